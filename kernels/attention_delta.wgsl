// attention_delta   delta[r, h] = sum over d of dy[r, h, d] * y[r, h, d]
//   y      [rows, heads * head_dim] f32 in
//   dy     [rows, heads * head_dim] f32 in
//   delta  [rows, heads] f32 out, overwritten
//   head_dim a multiple of 4
// The mean, over the keys a row sees, of the gradient for its probabilities: both backward kernels of attention
// subtract it. One invocation per row and head. Sums in f32.
struct Params {
  rows: u32,
  heads: u32,
  head_dim: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;

@compute @workgroup_size(64)
fn attention_delta(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.rows * params.heads) {
    return;
  }
  let vectors = params.head_dim / 4u;
  var sum = 0.0;
  for (var vector = id.x * vectors; vector < (id.x + 1u) * vectors; vector++) {
    sum += dot(dy[vector], y[vector]);
  }
  delta[id.x] = sum;
}
