// sum_experts   y[t, c] = residual[t, c] + sum over j of x[slots[t, j], c]
//   slots     [tokens, per_token] u32 in, each below rows, of route_experts
//   x         [rows, width] f32 in
//   residual  [tokens, width] f32 in
//   y         [tokens, width] f32 out, overwritten
//   width a multiple of 4
// One invocation per vector of four. Sums in f32, in the order of j.
struct Params {
  tokens: u32,
  per_token: u32,
  width: u32,
  rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn sum_experts(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  var sum = residual[id.y * vectors + id.x];
  for (var j = 0u; j < params.per_token; j++) {
    sum += x[slots[id.y * params.per_token + j] * vectors + id.x];
  }
  y[id.y * vectors + id.x] = sum;
}
