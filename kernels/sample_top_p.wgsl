// sample_top_p   tokens[r] is drawn from softmax(logits[r, :] / temperature), cut to the most probable tokens
//                logprobs[r] = log_softmax(logits[r, :])[tokens[r]], of the uncut distribution at temperature 1
//   logits    [rows, stride] f32 in, of which the first vocabulary columns count
//   counters  [rows] u32 in, one number per sequence, whatever batch it comes in
//   tokens    [rows] u32 out, overwritten; a row with a NaN gives some token
//   logprobs  [rows] f32 out, overwritten, in nats
//   stride a multiple of 4; vocabulary need not be; temperature above 0
// A token is kept if all strictly more probable ones together have less than top_p of the mass: the smallest set of
// most probable tokens that reaches top_p. Tokens of equal logit are kept or cut together. The most probable one is
// always kept, so top_p 0 is greedy; top_p 1 keeps all. The draw inverts the cumulative distribution in column order
// at uniform4(random4((counters[r], step, stream, seed))).x, hashed twice as in dropout.
// One workgroup per row; its lanes stride over the row. Sums in f32.
struct Params {
  rows: u32,
  vocabulary: u32,
  stride: u32,
  temperature: f32,
  top_p: f32,
  seed: u32,
  step: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> counters: array<u32>;
@group(0) @binding(3) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(4) var<storage, read_write> logprobs: array<f32>;

// Stands in for columns past the vocabulary, and the row.
const absent = -1e30;
// Sets these random numbers apart from those of other kernels with the same seed.
const stream = 0x73616d70u;

fn load(first: u32, vector: u32) -> vec4f {
  let column = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
  return select(vec4f(absent), logits[first + vector], column < vec4u(params.vocabulary));
}

// Unsigned numbers in the order of the floats.
fn ordered(value: vec4f) -> vec4u {
  let bits = bitcast<vec4u>(value);
  return select(bits | vec4u(0x80000000u), ~bits, bits >= vec4u(0x80000000u));
}

fn mass(value: vec4f, largest: f32) -> vec4f {
  return exp((value - largest) / params.temperature);
}

fn kept_mass(first: u32, vector: u32, largest: f32, threshold: u32) -> vec4f {
  let value = load(first, vector);
  return select(vec4f(), mass(value, largest), ordered(value) >= vec4u(threshold));
}

// The smallest ordered number with less than `limit` of mass strictly above it, found four bits at a time. Each sum
// adds the same terms in the same order, with zeros for some, so sums fall as the threshold rises.
fn smallest_kept(first: u32, lane: u32, largest: f32, limit: f32) -> u32 {
  let vectors = (params.vocabulary + 3u) / 4u;
  var kept = 0u;
  for (var place = 0u; place < 8u; place++) {
    let shift = 28u - 4u * place;
    // The compiler of Deno 2.9 zeroes a variable once, not once per iteration, unless told to (wgpu #9489).
    var above = array<vec4f, 15>();
    for (var vector = lane; vector < vectors; vector += lanes) {
      let value = load(first, vector);
      let key = ordered(value);
      let weight = mass(value, largest);
      for (var digit = 0u; digit < 15u; digit++) { // @unroll
        above[digit] += select(vec4f(), weight, key >= vec4u(kept + ((digit + 1u) << shift)));
      }
    }
    var chosen = 0u;
    for (var digit = 0u; digit < 15u; digit++) { // @unroll
      chosen += select(0u, 1u, lanes_sum(dot(above[digit], vec4f(1.0))) >= limit);
    }
    kept += chosen << shift;
  }
  return kept;
}

// The last token of any mass that starts at or before the goal. Rounding may put the goal past the end of the row, and
// then that is the row's last token.
fn token_at(goal: f32, first: u32, lane: u32, largest: f32, threshold: u32) -> u32 {
  let vectors = (params.vocabulary + 3u) / 4u;
  var start = 0.0;
  var block = 0u;
  var block_start = 0.0;
  for (var vector = 0u; vector < vectors; vector += lanes) {
    let block_mass = lanes_sum(dot(kept_mass(first, vector + lane, largest, threshold), vec4f(1.0)));
    if (block_mass > 0.0 && start <= goal) {
      block = vector;
      block_start = start;
    }
    start += block_mass;
  }
  publish(kept_mass(first, block + lane, largest, threshold));
  var token = 0u;
  start = block_start;
  for (var other = 0u; other < lanes; other++) {
    let masses = peer(other);
    for (var c = 0u; c < 4u; c++) { // @unroll
      if (masses[c] > 0.0 && start <= goal) {
        token = (block + other) * 4u + c;
      }
      start += masses[c];
    }
  }
  return token;
}

@compute @workgroup_size(lanes)
fn sample_top_p(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let vectors = (params.vocabulary + 3u) / 4u;
  let first = group.x * (params.stride / 4u);

  var own_largest = vec4f(absent);
  for (var vector = lane; vector < vectors; vector += lanes) {
    own_largest = max(own_largest, load(first, vector));
  }
  let largest = lanes_max(max(max(own_largest.x, own_largest.y), max(own_largest.z, own_largest.w)));

  var own_plain = 0.0;
  var own_total = 0.0;
  for (var vector = lane; vector < vectors; vector += lanes) {
    let value = load(first, vector);
    own_plain += dot(exp(value - largest), vec4f(1.0));
    own_total += dot(mass(value, largest), vec4f(1.0));
  }
  let plain = lanes_sum(own_plain);
  let total = lanes_sum(own_total);

  var threshold = 0u;
  if (params.top_p < 1.0) {
    threshold = smallest_kept(first, lane, largest, params.top_p * total);
  }
  threshold = clamp(threshold, ordered(vec4f(absent)).x + 1u, ordered(vec4f(largest)).x);

  var own_kept = 0.0;
  for (var vector = lane; vector < vectors; vector += lanes) {
    own_kept += dot(kept_mass(first, vector, largest, threshold), vec4f(1.0));
  }
  let draw = uniform4(random4(vec4u(counters[group.x], params.step, stream, params.seed))).x;
  let goal = draw * lanes_sum(own_kept);
  let token = token_at(goal, first, lane, largest, threshold);
  if (lane == 0u) {
    tokens[group.x] = token;
    logprobs[group.x] = logits[first + token / 4u][token % 4u] - largest - log(plain);
  }
}
