// Exchange of values between the `lanes` invocations of a workgroup, through workgroup memory.
// Each invocation enters with its index, then publishes values; peer(i) is the one that lane i published last.
// All functions hold barriers: call them in uniform control flow.
const lanes = 8u;

var<workgroup> published: array<vec4f, lanes>;
var<private> own_lane: u32;

fn enter(lane: u32) {
  own_lane = lane;
}

fn publish(value: vec4f) {
  workgroupBarrier();
  published[own_lane] = value;
  workgroupBarrier();
}

fn peer(lane: u32) -> vec4f {
  return published[lane];
}

fn lanes_sum(value: f32) -> f32 {
  publish(vec4f(value, 0.0, 0.0, 0.0));
  var total = 0.0;
  for (var lane = 0u; lane < lanes; lane++) {
    total += published[lane].x;
  }
  return total;
}

fn lanes_max(value: f32) -> f32 {
  publish(vec4f(value, 0.0, 0.0, 0.0));
  var largest = value;
  for (var lane = 0u; lane < lanes; lane++) {
    largest = max(largest, published[lane].x);
  }
  return largest;
}
