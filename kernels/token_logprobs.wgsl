// token_logprobs   logprobs[r] = log_softmax(logits[r, :])[ids[r]]
//                  entropies[r] = -sum over v of p[v] * log p[v], with p = softmax(logits[r, :])
//   logits     [rows, stride] f32 in, of which the first vocabulary columns count
//   ids        [rows] u32 in, each below vocabulary
//   logprobs   [rows] f32 out, overwritten, in nats
//   entropies  [rows] f32 out, overwritten, in nats
//   stride a multiple of 4; vocabulary need not be
// One workgroup per row; its lanes stride over the row. Sums in f32.
struct Params {
  rows: u32,
  vocabulary: u32,
  stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<vec4f>;
@group(0) @binding(2) var<storage, read> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> logprobs: array<f32>;
@group(0) @binding(4) var<storage, read_write> entropies: array<f32>;

// Stands in for columns past the vocabulary: its exponential is 0, and its product with that too.
const absent = -1e30;

fn load(first: u32, vector: u32) -> vec4f {
  let column = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
  return select(vec4f(absent), logits[first + vector], column < vec4u(params.vocabulary));
}

@compute @workgroup_size(lanes)
fn token_logprobs(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let vectors = (params.vocabulary + 3u) / 4u;
  let first = group.x * (params.stride / 4u);
  var own_largest = vec4f(absent);
  for (var vector = lane; vector < vectors; vector += lanes) {
    own_largest = max(own_largest, load(first, vector));
  }
  // All below is relative to the row's maximum: exp overflows f32 above 88.
  let largest = lanes_max(max(max(own_largest.x, own_largest.y), max(own_largest.z, own_largest.w)));
  var own_total = 0.0;
  var own_weighted = 0.0;
  for (var vector = lane; vector < vectors; vector += lanes) {
    let value = load(first, vector) - largest;
    let mass = exp(value);
    own_total += dot(mass, vec4f(1.0));
    own_weighted += dot(mass, value);
  }
  let total = lanes_sum(own_total);
  let weighted = lanes_sum(own_weighted);
  if (lane == 0u) {
    let id = ids[group.x];
    logprobs[group.x] = logits[first + id / 4u][id % 4u] - largest - log(total);
    entropies[group.x] = log(total) - weighted / total;
  }
}
