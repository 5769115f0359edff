// token_logits   logits[r, j] = sum over c of x[r, c] * weight[ids[j] - first, c]
//                               where first <= ids[j] < first + vocabulary
//   x       [rows, width] f32 in
//   weight  [vocabulary, width] packed in: the rows of ids from first on
//   ids     [tokens] u32 in
//   logits  [rows, tokens] f32 out, overwritten; those of other ids are left alone, for another part of the matrix
//   width a multiple of 4 and of a weight pack
// One workgroup per logit; its lanes stride over the row. Sums in f32.
struct Params {
  rows: u32,
  width: u32,
  tokens: u32,
  vocabulary: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<Packed>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(lanes)
fn token_logits(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let packs = params.width / (4u * packed_quarters);
  let x_first = group.y * packs * packed_quarters;
  // An id below first wraps around to one far beyond the vocabulary.
  let token = ids[group.x] - params.first;
  let inside = token < params.vocabulary;
  let row = select(0u, token, inside);
  var sum = 0.0;
  for (var pack = lane; pack < packs; pack += lanes) {
    let w = weight[row * packs + pack];
    let scale = pack_scale(row, packs, pack);
    for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
      sum += dot(x[x_first + pack * packed_quarters + quarter], unpack(w, quarter, scale));
    }
  }
  let logit = row_scale(row) * lanes_sum(sum);
  if (lane == 0u && inside) {
    logits[group.y * params.tokens + group.x] = logit;
  }
}
