// cross_entropy   loss[r] = log sum exp(z) - (1 - smoothing) * z[labels[r]] - smoothing * mean over k of z[k]
//                 dlogits[r, k] = scale * (softmax(z)[k] - (1 - smoothing) * (k == labels[r]) - smoothing / classes)
//                 with z = logits[r, :]
//   logits   [rows, classes] f32 in
//   labels   [rows] u32 in, each below classes
//   loss     [rows] f32 out, overwritten, in nats and without scale
//   dlogits  [rows, classes] f32 out, overwritten
// One workgroup per row; its lanes stride over the row. Sums in f32.
struct Params {
  rows: u32,
  classes: u32,
  scale: f32,
  smoothing: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(lanes)
fn cross_entropy(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let first = group.x * params.classes;
  let label = labels[group.x];
  var own_largest = logits[first];
  for (var column = lane; column < params.classes; column += lanes) {
    own_largest = max(own_largest, logits[first + column]);
  }
  // All below is relative to the row's maximum: exp overflows f32 above 88.
  let largest = lanes_max(own_largest);
  var own_total = 0.0;
  var own_sum = 0.0;
  for (var column = lane; column < params.classes; column += lanes) {
    let value = logits[first + column] - largest;
    own_total += exp(value);
    own_sum += value;
  }
  let total = lanes_sum(own_total);
  let mean = lanes_sum(own_sum) / f32(params.classes);
  let certain = 1.0 - params.smoothing;
  if (lane == 0u) {
    loss[group.x] = log(total) - certain * (logits[first + label] - largest) - params.smoothing * mean;
  }
  let uniform_share = params.smoothing / f32(params.classes);
  for (var column = lane; column < params.classes; column += lanes) {
    let probability = exp(logits[first + column] - largest) / total;
    let wanted = select(0.0, certain, column == label) + uniform_share;
    dlogits[first + column] = params.scale * (probability - wanted);
  }
}
