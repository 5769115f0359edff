// column_sums   sums[first + c] += sum over r of x[r, c]: the gradient of a bias
//   x     [rows, columns] f32 in
//   sums  [first + columns] f32 in/out, accumulated
// One invocation per column, over all rows in order. Sums in f32.
struct Params {
  rows: u32,
  columns: u32,
  first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn column_sums(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.columns) {
    return;
  }
  var sum = 0.0;
  for (var row = 0u; row < params.rows; row++) {
    sum += x[row * params.columns + id.x];
  }
  sums[params.first + id.x] += sum;
}
