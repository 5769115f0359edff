// rope   a' = a * cos - direction * b * sin     for the halves a = x[r, first + h * head_dim + i]
//        b' = b * cos + direction * a * sin     and b = x[r, first + h * head_dim + head_dim / 2 + i] of a head,
//                                               cos and sin = table[positions[r], i]
//   positions  [rows] u32 in, each below capacity
//   table      [capacity, head_dim / 2, 2] f32 in, cosine then sine
//   x          [rows, stride] f32 in/out, columns first to first + heads * head_dim rotated in place
//   head_dim a multiple of 8; first and stride multiples of 4; direction 1, or -1 for the backward pass, which
//   turns a gradient back
// One invocation per four pairs.
struct Params {
  rows: u32,
  heads: u32,
  head_dim: u32,
  stride: u32,
  first: u32,
  capacity: u32,
  direction: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> x: array<vec4f>;

@compute @workgroup_size(64)
fn rope(@builtin(global_invocation_id) id: vec3u) {
  let half_vectors = params.head_dim / 8u;
  if (id.x >= params.heads * half_vectors) {
    return;
  }
  let head = id.x / half_vectors;
  let vector = id.x % half_vectors;
  let angle = (positions[id.y] * half_vectors + vector) * 2u;
  let low = table[angle];
  let high = table[angle + 1u];
  let cosine = vec4f(low.xz, high.xz);
  let sine = params.direction * vec4f(low.yw, high.yw);
  let index = (id.y * params.stride + params.first) / 4u + head * half_vectors * 2u + vector;
  let a = x[index];
  let b = x[index + half_vectors];
  x[index] = a * cosine - b * sine;
  x[index + half_vectors] = b * cosine + a * sine;
}
