// swiglu   y[r, c] = gate * sigmoid(gate) * up     with gate = gate_up[r, c] and up = gate_up[r, width + c]
//   gate_up  [rows, 2 * width] f32 in
//   y        [rows, width] f32 out, overwritten
//   width a multiple of 4
// One invocation per vector of four.
struct Params {
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gate_up: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn swiglu(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  let gate = gate_up[id.y * 2u * vectors + id.x];
  let up = gate_up[(id.y * 2u + 1u) * vectors + id.x];
  // exp of a negative number only: exp(-gate) overflows f32 for a gate below -88.
  let decay = exp(-abs(gate));
  let sigmoid = select(decay, vec4f(1.0), gate >= vec4f()) / (1.0 + decay);
  y[id.y * vectors + id.x] = gate * sigmoid * up;
}
