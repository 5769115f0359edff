// scatter_rows   y[index[r], c] += x[r, c]
//   index  [rows] u32 in, distinct, each below target_rows
//   x      [rows, width] f32 in
//   y      [target_rows, width] f32 in/out, the rows in index accumulated
//   width a multiple of 4
// One invocation per vector of four; two rows with one index would race.
struct Params {
  rows: u32,
  width: u32,
  target_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn scatter_rows(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  y[index[id.y] * vectors + id.x] += x[id.y * vectors + id.x];
}
