// route_experts_backward   dlogits[t, experts[t, j]] = w[t, j] * (dw[t, j] - sum over i of w[t, i] * dw[t, i])
//                          and 0 for experts that the token did not choose, which have no part in its weights
//   experts   [tokens, per_token] u32 in, each below stride; weights, dweights the same in f32, of route_experts
//   dlogits   [tokens, stride] f32 out, overwritten; 0 in columns that stand for no expert
// One invocation per token.
struct Params {
  tokens: u32,
  per_token: u32,
  stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> experts: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> dweights: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(64)
fn route_experts_backward(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.tokens) {
    return;
  }
  let first = id.x * params.per_token;
  var mean = 0.0;
  for (var j = 0u; j < params.per_token; j++) {
    mean += weights[first + j] * dweights[first + j];
  }
  for (var e = 0u; e < params.stride; e++) {
    dlogits[id.x * params.stride + e] = 0.0;
  }
  for (var j = 0u; j < params.per_token; j++) {
    dlogits[id.x * params.stride + experts[first + j]] = weights[first + j] * (dweights[first + j] - mean);
  }
}
