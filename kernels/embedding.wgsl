// embedding   y[r, c] = weight[ids[r] - first, c]
//                                          where first <= ids[r] < first + vocabulary
//   ids     [rows] u32 in
//   weight  [vocabulary, width] packed in: the rows of ids from first on
//   y       [rows, width] f32 out, overwritten; rows of other ids are left alone, for another part of the matrix
//   width a multiple of 4 and of a weight pack
// One invocation per weight pack.
struct Params {
  rows: u32,
  width: u32,
  vocabulary: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<Packed>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn embedding(@builtin(global_invocation_id) id: vec3u) {
  let packs = params.width / (4u * packed_quarters);
  // An id below first wraps around to one far beyond the vocabulary.
  let row = ids[id.y] - params.first;
  if (id.x >= packs || row >= params.vocabulary) {
    return;
  }
  let w = weight[row * packs + id.x];
  let scale = pack_scale(row, packs, id.x);
  for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
    y[(id.y * packs + id.x) * packed_quarters + quarter] = row_scale(row) * unpack(w, quarter, scale);
  }
}
