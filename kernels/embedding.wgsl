// embedding   y[r, c] = weight[ids[r], c]
//   ids     [rows] u32 in, each below vocabulary
//   weight  [vocabulary, width] packed in
//   y       [rows, width] f32 out, overwritten
//   width a multiple of 4 and of a weight pack
// One invocation per weight pack.
struct Params {
  rows: u32,
  width: u32,
  vocabulary: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<Packed>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn embedding(@builtin(global_invocation_id) id: vec3u) {
  let packs = params.width / (4u * packed_quarters);
  if (id.x >= packs) {
    return;
  }
  let w = weight[ids[id.y] * packs + id.x];
  for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
    y[(id.y * packs + id.x) * packed_quarters + quarter] = unpack(w, quarter);
  }
}
