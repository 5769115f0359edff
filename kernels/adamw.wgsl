// adamw   one step of AdamW with clipping by the global norm, as torch does it:
//         norm = sqrt(sum of partial)     g = gradient * min(1, max_norm / (norm + 1e-6))     if max_norm is not 0
//         m = beta1 * m + (1 - beta1) * g     v = beta2 * v + (1 - beta2) * g^2
//         parameters -= learning_rate * (weight_decay * parameters + (m / correction1) / (sqrt(v / correction2) + eps))
//   gradient    [count] f32 in             partial  [groups] f32 in, sums of squares from gradient_norm
//   parameters  [count] f32 in/out         m, v     [count] f32 in/out
//   norm        [1] f32 out, overwritten: the norm before clipping
//   count a multiple of 4; correction1 = 1 - beta1^t and correction2 = 1 - beta2^t for step t from 1
// Workgroups stride over the vectors together, each lane over vectors of its own; every workgroup adds up partial.
struct Params {
  count: u32,
  groups: u32,
  learning_rate: f32,
  beta1: f32,
  beta2: f32,
  eps: f32,
  weight_decay: f32,
  correction1: f32,
  correction2: f32,
  max_norm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read> partial: array<f32>;
@group(0) @binding(3) var<storage, read_write> parameters: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> m: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> v: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size(lanes)
fn adamw(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  enter(lane);
  var own_squares = 0.0;
  for (var index = lane; index < params.groups; index += lanes) {
    own_squares += partial[index];
  }
  let total_norm = sqrt(lanes_sum(own_squares));
  if (group.x == 0u && lane == 0u) {
    norm[0] = total_norm;
  }
  let clip = select(1.0, min(1.0, params.max_norm / (total_norm + 1e-6)), params.max_norm > 0.0);
  for (var vector = group.x * lanes + lane; vector < params.count / 4u; vector += groups.x * lanes) {
    let g = clip * gradient[vector];
    let first = params.beta1 * m[vector] + (1.0 - params.beta1) * g;
    let second = params.beta2 * v[vector] + (1.0 - params.beta2) * g * g;
    let value = parameters[vector];
    let direction = (first / params.correction1) / (sqrt(second / params.correction2) + params.eps);
    m[vector] = first;
    v[vector] = second;
    parameters[vector] = value - params.learning_rate * (params.weight_decay * value + direction);
  }
}
