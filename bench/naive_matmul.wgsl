// naive_matmul   y[r, c] = sum over k of x[r, k] * weight[c, k]
//   x [rows, depth] f32 in      weight [columns, depth] f32 in      y [rows, columns] f32 out, overwritten
// One invocation per output: what a first attempt at a kernel looks like, and the yardstick of bench/.
struct Params {
  rows: u32,
  columns: u32,
  depth: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn naive_matmul(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) {
    return;
  }
  var sum = 0.0;
  for (var k = 0u; k < params.depth; k++) {
    sum += x[id.y * params.depth + k] * weight[id.x * params.depth + k];
  }
  y[id.y * params.columns + id.x] = sum;
}
