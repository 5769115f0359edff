// gather_rows   y[r, c] = x[index[r], c]
//   index  [rows] u32 in, each below source_rows
//   x      [source_rows, width] f32 in
//   y      [rows, width] f32 out, overwritten
//   width a multiple of 4
// One invocation per vector of four.
struct Params {
  rows: u32,
  width: u32,
  source_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn gather_rows(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  y[id.y * vectors + id.x] = x[index[id.y] * vectors + id.x];
}
