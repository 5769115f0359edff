// argmax   tokens[r] = the first column with the largest of logits[r, :]
//          logprobs[r] = log_softmax(logits[r, :])[tokens[r]]
//   logits    [rows, stride] f32 in, of which the first vocabulary columns count
//   tokens    [rows] u32 out, overwritten; NaN never wins, and a row of nothing else gives 0
//   logprobs  [rows] f32 out, overwritten, in nats
//   stride a multiple of 4; vocabulary need not be, and is at most 2^24
// One workgroup per row; its lanes stride over the row. Sums in f32.
struct Params {
  rows: u32,
  vocabulary: u32,
  stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> logprobs: array<f32>;

// Stands in for columns past the vocabulary: its exponential is 0.
const absent = -1e30;

fn load(first: u32, vector: u32) -> vec4f {
  let column = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
  return select(vec4f(absent), logits[first + vector], column < vec4u(params.vocabulary));
}

@compute @workgroup_size(lanes)
fn argmax(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let vectors = (params.vocabulary + 3u) / 4u;
  let first = group.x * (params.stride / 4u);
  var own_largest = absent;
  var own_token = 0u;
  for (var vector = lane; vector < vectors; vector += lanes) {
    let value = load(first, vector);
    for (var c = 0u; c < 4u; c++) { // @unroll
      if (value[c] > own_largest) {
        own_largest = value[c];
        own_token = vector * 4u + c;
      }
    }
  }
  let largest = lanes_max(own_largest);
  // f32 holds every column number below 2^24, so the lanes' maximum of the negatives is the first column.
  let candidate = select(params.vocabulary, own_token, own_largest == largest);
  let token = u32(-lanes_max(-f32(candidate)));
  var own_total = 0.0;
  for (var vector = lane; vector < vectors; vector += lanes) {
    own_total += dot(exp(load(first, vector) - largest), vec4f(1.0));
  }
  let total = lanes_sum(own_total);
  if (lane == 0u) {
    tokens[group.x] = token;
    logprobs[group.x] = -log(total);
  }
}
