// rmsnorm_backward   dx[r, c] += s * g[c] - x[r, c] * s^3 * mean over c of g[c] * x[r, c]
//                    with g[c] = dy[r, c] * weight[c] and s = 1 / sqrt(mean over c of x[r, c]^2 + eps)
//   x       [rows, width] f32 in
//   weight  [width] f32 in; frozen, so it gets no gradient
//   dy      [rows, width] f32 in
//   dx      [rows, width] f32 in/out, accumulated
//   width a multiple of 4
// One workgroup per row; its lanes stride over the row. s is computed again, not kept. Sums in f32.
struct Params {
  rows: u32,
  width: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> dx: array<vec4f>;

@compute @workgroup_size(lanes)
fn rmsnorm_backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let vectors = params.width / 4u;
  let first = group.x * vectors;
  var squares = 0.0;
  var product = 0.0;
  for (var vector = lane; vector < vectors; vector += lanes) {
    let value = x[first + vector];
    squares += dot(value, value);
    product += dot(value, dy[first + vector] * weight[vector]);
  }
  let width = f32(params.width);
  let scale = inverseSqrt(lanes_sum(squares) / width + params.eps);
  let along = scale * scale * lanes_sum(product) / width;
  for (var vector = lane; vector < vectors; vector += lanes) {
    let index = first + vector;
    dx[index] += scale * (dy[index] * weight[vector] - x[index] * along);
  }
}
