// token_logits_backward   dx[r, c] += sum over j of dlogits[r, j] * weight[ids[j] - first, c]
//                                    where first <= ids[j] < first + vocabulary
//   dlogits  [rows, tokens] f32 in
//   weight   [vocabulary, width] packed in: the rows of ids from first on; frozen, so it gets no gradient
//   ids      [tokens] u32 in; others belong to another part of the matrix
//   dx       [rows, width] f32 in/out, accumulated
//   width a multiple of 4 and of a weight pack
// One invocation per weight pack of columns. Sums in f32.
struct Params {
  rows: u32,
  width: u32,
  tokens: u32,
  vocabulary: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dlogits: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<Packed>;
@group(0) @binding(3) var<storage, read> ids: array<u32>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(64)
fn token_logits_backward(@builtin(global_invocation_id) id: vec3u) {
  let packs = params.width / (4u * packed_quarters);
  if (id.x >= packs) {
    return;
  }
  var sum: array<vec4f, packed_quarters>;
  for (var token = 0u; token < params.tokens; token++) {
    // An id below first wraps around to one far beyond the vocabulary.
    let part_row = ids[token] - params.first;
    let inside = part_row < params.vocabulary;
    let row = select(0u, part_row, inside);
    let w = weight[row * packs + id.x];
    let scale = pack_scale(row, packs, id.x);
    let gradient = select(0.0, row_scale(row) * dlogits[id.y * params.tokens + token], inside);
    for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
      sum[quarter] += gradient * unpack(w, quarter, scale);
    }
  }
  for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
    dx[(id.y * packs + id.x) * packed_quarters + quarter] += sum[quarter];
  }
}
