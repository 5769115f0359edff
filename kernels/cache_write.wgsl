// cache_write   cache[slots[r], c] = source[r, source_first + c]
//   source  [rows, source_stride] f32 in
//   slots   [rows] u32 in, distinct, each below capacity
//   cache   [capacity, width] f32 in/out, the rows in slots overwritten
//   width, source_stride and source_first multiples of 4
// One invocation per vector of four.
struct Params {
  rows: u32,
  width: u32,
  source_stride: u32,
  source_first: u32,
  capacity: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4f>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read_write> cache: array<vec4f>;

@compute @workgroup_size(64)
fn cache_write(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  cache[slots[id.y] * vectors + id.x] = source[(id.y * params.source_stride + params.source_first) / 4u + id.x];
}
