// relu   y[r, c] = max(y[r, c], 0), in place; what is not a number stays so, as in torch
//   y  [rows, width] f32 in/out
//   width a multiple of 4
// One invocation per vector of four.
struct Params {
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn relu(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  let index = id.y * vectors + id.x;
  // max() may drop a NaN, which would hide that a training has diverged.
  y[index] = select(y[index], vec4f(), y[index] < vec4f());
}
