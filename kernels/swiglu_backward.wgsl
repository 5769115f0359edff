// swiglu_backward   dgate = dy[r, c] * up * s * (1 + gate * (1 - s))     dup = dy[r, c] * gate * s
//                   with gate = gate_up[r, c], up = gate_up[r, width + c] and s = sigmoid(gate)
//   gate_up   [rows, 2 * width] f32 in
//   dy        [rows, width] f32 in
//   dgate_up  [rows, 2 * width] f32 out, overwritten; dgate first, as in gate_up
//   width a multiple of 4
// One invocation per vector of four.
struct Params {
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4f>;
@group(0) @binding(2) var<storage, read> dy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dgate_up: array<vec4f>;

@compute @workgroup_size(64)
fn swiglu_backward(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  let gate_index = id.y * 2u * vectors + id.x;
  let up_index = gate_index + vectors;
  let gate = gate_up[gate_index];
  let up = gate_up[up_index];
  let gradient = dy[id.y * vectors + id.x];
  // exp of a negative number only: exp(-gate) overflows f32 for a gate below -88.
  let decay = exp(-abs(gate));
  let positive = gate >= vec4f();
  let sigmoid = select(decay, vec4f(1.0), positive) / (1.0 + decay);
  let opposite = select(vec4f(1.0), decay, positive) / (1.0 + decay);
  dgate_up[gate_index] = gradient * up * sigmoid * (1.0 + gate * opposite);
  dgate_up[up_index] = gradient * gate * sigmoid;
}
