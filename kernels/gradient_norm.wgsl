// gradient_norm   gradient[0, i] = sum over s of gradient[s, i]
//                 partial[g] = sum of gradient[0, i]^2 over the values i of workgroup g
//   gradient  [splits, count] f32 in/out; split 0 overwritten
//   partial   [groups] f32 out, overwritten
//   count a multiple of 4
// One workgroup per partial sum; workgroups stride over the vectors together, each lane over vectors of its own.
// Splits are added in order, so equal inputs give equal sums. Sums in f32.
struct Params {
  count: u32,
  splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(lanes)
fn gradient_norm(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  enter(lane);
  let vectors = params.count / 4u;
  var squares = 0.0;
  for (var vector = group.x * lanes + lane; vector < vectors; vector += groups.x * lanes) {
    var sum = gradient[vector];
    for (var split = 1u; split < params.splits; split++) {
      sum += gradient[split * vectors + vector];
    }
    gradient[vector] = sum;
    squares += dot(sum, sum);
  }
  let total = lanes_sum(squares);
  if (lane == 0u) {
    partial[group.x] = total;
  }
}
