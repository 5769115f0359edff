// expert_swiglu_backward   dgate = w * dy[s, c] * up * f * (1 + gate * (1 - f))     dup = w * dy[s, c] * gate * f
//                          dweights[i] = sum over c of dy[s, c] * gate * f * up
//                          for the first choices i, with s = slots[i], w = weights[i], gate = gate_up[s, c],
//                          up = gate_up[s, width + c] and f = sigmoid(gate)
//   slots     [count] u32 in, each below rows; weights [count] f32 in, both of route_experts
//   gate_up   [rows, 2 * width] f32 in
//   dy        [rows, width] f32 in, of which the rows in slots count
//   dgate_up  [rows, 2 * width] f32 out, the rows in slots overwritten; dgate first, as in gate_up
//   dweights  [count] f32 out, overwritten
//   width a multiple of 4
// One workgroup per choice; its lanes stride over the row. Sums in f32.
struct Params {
  count: u32,
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> slots: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> gate_up: array<vec4f>;
@group(0) @binding(4) var<storage, read> dy: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> dgate_up: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> dweights: array<f32>;

@compute @workgroup_size(lanes)
fn expert_swiglu_backward(
  @builtin(workgroup_id) choice: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  enter(lane);
  let vectors = params.width / 4u;
  let slot = slots[choice.x];
  let weight = weights[choice.x];
  var own = 0.0;
  for (var vector = lane; vector < vectors; vector += lanes) {
    let gate_index = slot * 2u * vectors + vector;
    let up_index = gate_index + vectors;
    let gate = gate_up[gate_index];
    let up = gate_up[up_index];
    let gradient = dy[slot * vectors + vector];
    // exp of a negative number only: exp(-gate) overflows f32 for a gate below -88.
    let decay = exp(-abs(gate));
    let positive = gate >= vec4f();
    let sigmoid = select(decay, vec4f(1.0), positive) / (1.0 + decay);
    let opposite = select(vec4f(1.0), decay, positive) / (1.0 + decay);
    own += dot(gradient, gate * sigmoid * up);
    dgate_up[gate_index] = weight * gradient * up * sigmoid * (1.0 + gate * opposite);
    dgate_up[up_index] = weight * gradient * gate * sigmoid;
  }
  let total = lanes_sum(own);
  if (lane == 0u) {
    dweights[choice.x] = total;
  }
}
