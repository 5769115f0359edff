// expert_swiglu   y[s, c] = weights[choices[s]] * gate * sigmoid(gate) * up
//                 with gate = gate_up[s, c] and up = gate_up[s, width + c]
//   choices  [slots] u32 in, each below slots; weights [slots] f32 in, both of route_experts
//   gate_up  [slots, 2 * width] f32 in
//   y        [slots, width] f32 out, overwritten
//   width a multiple of 4
// The weight of a choice stands in front of the expert's last matrix, with which it commutes, so that the matrix's
// outputs need only be added. One invocation per vector of four.
struct Params {
  slots: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> choices: array<u32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> gate_up: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn expert_swiglu(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  let gate = gate_up[id.y * 2u * vectors + id.x];
  let up = gate_up[(id.y * 2u + 1u) * vectors + id.x];
  // exp of a negative number only: exp(-gate) overflows f32 for a gate below -88.
  let decay = exp(-abs(gate));
  let sigmoid = select(decay, vec4f(1.0), gate >= vec4f()) / (1.0 + decay);
  y[id.y * vectors + id.x] = weights[choices[id.y]] * gate * sigmoid * up;
}
