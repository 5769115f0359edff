// relu_backward   dy[r, c] = dy[r, c] if y[r, c] > 0, else 0: the gradient of `relu`, in place; 0 at 0, as in torch
//   y   [rows, width] f32 in, what relu gave
//   dy  [rows, width] f32 in/out
//   width a multiple of 4
// One invocation per vector of four.
struct Params {
  rows: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> dy: array<vec4f>;

@compute @workgroup_size(64)
fn relu_backward(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  let index = id.y * vectors + id.x;
  dy[index] = select(dy[index], vec4f(), y[index] <= vec4f());
}
