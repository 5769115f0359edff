// Exchange of values between the invocations of a workgroup, which is one subgroup of `lanes` invocations.
// Each invocation enters with its index, then publishes values; peer(i) is the one that lane i published last.
const lanes = 8u;

var<private> published: vec4f;

fn enter(lane: u32) {
}

fn publish(value: vec4f) {
  published = value;
}

fn peer(lane: u32) -> vec4f {
  return subgroupShuffle(published, lane);
}

fn lanes_sum(value: f32) -> f32 {
  return subgroupAdd(value);
}

fn lanes_max(value: f32) -> f32 {
  return subgroupMax(value);
}
