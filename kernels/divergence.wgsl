// divergence   loss[r] and its gradient for the student's logits, with p = softmax(logits[r, :]) the student,
//              q = softmax(reference[r, :]) and m = (p + q) / 2
//   kind 0, JSD         loss = KL(p || m) / 2 + KL(q || m) / 2     gradient = p * (a - sum p a), a = log(p / m) / 2
//   kind 1, forward KL  loss = KL(q || p)                          gradient = p - q
//   kind 2, reverse KL  loss = KL(p || q)                          gradient = p * (a - sum p a), a = log(p / q)
//   logits     [rows, stride] f32 in/out; replaced by scale * gradient, columns from vocabulary on by 0
//   reference  [rows, stride] f32 in
//   loss       [rows] f32 out, overwritten, in nats and without scale
//   stride a multiple of 4; vocabulary need not be
// One workgroup per row; its lanes stride over the row. Probabilities stay logarithms wherever they are divided, so
// one that underflows counts as 0. Sums in f32.
struct Params {
  rows: u32,
  vocabulary: u32,
  stride: u32,
  kind: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> reference: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;

const jsd = 0u;
const forward_kl = 1u;
// Stands in for columns past the vocabulary: its exponential is 0, and differences of it are finite.
const absent = -1e30;

fn present(vector: u32) -> vec4<bool> {
  return vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.vocabulary);
}

fn student(first: u32, vector: u32) -> vec4f {
  return select(vec4f(absent), logits[first + vector], present(vector));
}

fn teacher(first: u32, vector: u32) -> vec4f {
  return select(vec4f(absent), reference[first + vector], present(vector));
}

fn largest_of(value: vec4f) -> f32 {
  return max(max(value.x, value.y), max(value.z, value.w));
}

fn sum_of(value: vec4f) -> f32 {
  return dot(value, vec4f(1.0));
}

// Probabilities as logarithms, and what each of them multiplies in the loss.
struct Terms {
  log_p: vec4f,
  log_q: vec4f,
  p: vec4f,
  q: vec4f,
}

// A row's norm is its maximum and the logarithm of what its exponentials, relative to that, add up to.
fn terms(first: u32, vector: u32, p_norm: vec2f, q_norm: vec2f) -> Terms {
  let log_p = student(first, vector) - p_norm.x - p_norm.y;
  let log_q = teacher(first, vector) - q_norm.x - q_norm.y;
  let difference = log_p - log_q;
  if (params.kind == jsd) {
    let log_m = max(log_p, log_q) + log(0.5 + 0.5 * exp(-abs(difference)));
    return Terms(log_p, log_q, 0.5 * (log_p - log_m), 0.5 * (log_q - log_m));
  }
  if (params.kind == forward_kl) {
    return Terms(log_p, log_q, vec4f(), -difference);
  }
  return Terms(log_p, log_q, difference, vec4f());
}

@compute @workgroup_size(lanes)
fn divergence(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let vectors = params.stride / 4u;
  let first = group.x * vectors;
  var p_own = vec4f(absent);
  var q_own = vec4f(absent);
  for (var vector = lane; vector < vectors; vector += lanes) {
    p_own = max(p_own, student(first, vector));
    q_own = max(q_own, teacher(first, vector));
  }
  let p_largest = lanes_max(largest_of(p_own));
  let q_largest = lanes_max(largest_of(q_own));
  var total = vec2f();
  for (var vector = lane; vector < vectors; vector += lanes) {
    total.x += sum_of(exp(student(first, vector) - p_largest));
    total.y += sum_of(exp(teacher(first, vector) - q_largest));
  }
  let p_norm = vec2f(p_largest, log(lanes_sum(total.x)));
  let q_norm = vec2f(q_largest, log(lanes_sum(total.y)));
  var mean = vec2f();
  for (var vector = lane; vector < vectors; vector += lanes) {
    let term = terms(first, vector, p_norm, q_norm);
    mean.x += dot(exp(term.log_p), term.p);
    mean.y += dot(exp(term.log_q), term.q);
  }
  let p_mean = lanes_sum(mean.x);
  let q_mean = lanes_sum(mean.y);
  if (lane == 0u) {
    loss[group.x] = p_mean + q_mean;
  }
  for (var vector = lane; vector < vectors; vector += lanes) {
    let term = terms(first, vector, p_norm, q_norm);
    let centred = exp(term.log_p) * (term.p - p_mean);
    let gradient = select(centred, exp(term.log_p) - exp(term.log_q), params.kind == forward_kl);
    logits[first + vector] = select(vec4f(), params.scale * gradient, present(vector));
  }
}
