// add_bias   y[r, first + c] += scale * bias[c]
//   bias  [columns] f32 in
//   y     [rows, stride] f32 in/out, accumulated in columns first to first + columns
// One invocation per value.
struct Params {
  rows: u32,
  columns: u32,
  stride: u32,
  first: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn add_bias(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) {
    return;
  }
  y[id.y * params.stride + params.first + id.x] += params.scale * bias[id.x];
}
