// dropout   y[r, c] = x[r, c] * keep / (1 - probability)   + y[r, c] if accumulate is 1
//           keep = uniform4(random4((counters[r], step, site, seed)) + (c / 4, 0, 0, 0))[c % 4] >= probability
//   counters  [rows] u32 in, one number per token, whatever batch it comes in
//   x         [rows, width] f32 in
//   y         [rows, width] f32 in/out, overwritten or accumulated
//   width a multiple of 4
// One invocation per vector of four. The backward pass is the same kernel: dx = dy * keep / (1 - probability).
// The numbers are hashed twice because once leaves the masks of two counters correlated, by as much as 0.5, if they
// differ in their highest bits only, as numbers made of a hash or of packed fields may.
struct Params {
  rows: u32,
  width: u32,
  probability: f32,
  seed: u32,
  step: u32,
  site: u32,
  accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counters: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn dropout(@builtin(global_invocation_id) id: vec3u) {
  let vectors = params.width / 4u;
  if (id.x >= vectors) {
    return;
  }
  let key = random4(vec4u(counters[id.y], params.step, params.site, params.seed));
  let draw = uniform4(key + vec4u(id.x, 0u, 0u, 0u));
  let index = id.y * vectors + id.x;
  let scaled = x[index] / (1.0 - params.probability);
  let kept = select(vec4f(), scaled, draw >= vec4f(params.probability));
  if (params.accumulate == 1u) {
    y[index] += kept;
  } else {
    y[index] = kept;
  }
}
