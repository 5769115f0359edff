// rmsnorm   y[r, c] = x[r, c] * weight[c] / sqrt(mean over c of x[r, c]^2 + eps)
//   x       [rows, width] f32 in
//   weight  [width] f32 in
//   y       [rows, width] f32 out, overwritten
//   width a multiple of 4
// One workgroup per row; its lanes stride over the row. Sums in f32.
struct Params {
  rows: u32,
  width: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(lanes)
fn rmsnorm(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let vectors = params.width / 4u;
  let first = group.x * vectors;
  var squares = 0.0;
  for (var vector = lane; vector < vectors; vector += lanes) {
    let value = x[first + vector];
    squares += dot(value, value);
  }
  let scale = inverseSqrt(lanes_sum(squares) / f32(params.width) + params.eps);
  for (var vector = lane; vector < vectors; vector += lanes) {
    y[first + vector] = x[first + vector] * scale * weight[vector];
  }
}
