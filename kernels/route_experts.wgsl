// route_experts   experts[t, j] = the expert with the j-th largest of logits[t, :], the first of equals
//                 weights[t, j] = softmax over j of logits[t, experts[t, j]]
// and all choices (t, j), which have the number t * per_token + j, sorted by expert into slots:
//                 slots[t, j] = slot of the choice            choices[s] = number of the choice in slot s
//                 spans[e, :] = first slot of expert e; the slot behind those of the first `adapted` tokens; the slot
//                               behind its last
//   logits   [tokens, stride] f32 in, of which the first count columns count
//   weights  [tokens, per_token] f32 out, overwritten      experts, slots  the same in u32
//   choices  [tokens * per_token] u32 out, overwritten     spans           [count, 3] u32 out, overwritten
//   per_token at most count; tokens * per_token at most 2^24; an expert's slots keep the order of their choices
// A softmax over all experts of which the largest are made to sum to 1 is the softmax over those. Where NaN leaves
// fewer than per_token experts to choose from, any are chosen, and the weights are NaN.
// One workgroup. Each lane chooses for a range of tokens, and then finds the slots of their choices, four experts at a
// time: behind the slots that lanes before it need. Counts are below 2^24, so f32 holds them.
struct Params {
  tokens: u32,
  count: u32,
  per_token: u32,
  stride: u32,
  adapted: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> experts: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> slots: array<u32>;
@group(0) @binding(5) var<storage, read_write> choices: array<u32>;
@group(0) @binding(6) var<storage, read_write> spans: array<u32>;

fn choose(token: u32) {
  let first = token * params.per_token;
  var least = 0.0;
  var last = 0u;
  var total = 0.0;
  var largest = 0.0;
  for (var j = 0u; j < params.per_token; j++) {
    var value = 0.0;
    var expert = j;
    var found = false;
    for (var e = 0u; e < params.count; e++) {
      let logit = logits[token * params.stride + e];
      let left = j == 0u || logit < least || (logit == least && e > last);
      if (left && (!found || logit > value)) {
        value = logit;
        expert = e;
        found = true;
      }
    }
    least = select(logits[token * params.stride + expert], value, found);
    last = expert;
    largest = select(largest, least, j == 0u);
    experts[first + j] = expert;
    weights[first + j] = exp(least - largest);
    total += weights[first + j];
  }
  for (var j = 0u; j < params.per_token; j++) {
    weights[first + j] /= total;
  }
}

// 1 at the choice's expert, if it is one of the four from `first` on.
fn which_of_four(choice: u32, first: u32) -> vec4f {
  return select(vec4f(), vec4f(1.0), vec4u(experts[choice]) == first + vec4u(0u, 1u, 2u, 3u));
}

@compute @workgroup_size(lanes)
fn route_experts(@builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let share = (params.tokens + lanes - 1u) / lanes;
  let first_token = min(lane * share, params.tokens);
  let end_token = min(first_token + share, params.tokens);
  for (var token = first_token; token < end_token; token++) {
    choose(token);
  }

  let first = first_token * params.per_token;
  let end = end_token * params.per_token;
  var start = 0.0;
  for (var four = 0u; four < params.count; four += 4u) {
    var own: vec4f;
    var own_adapted: vec4f;
    for (var choice = first; choice < end; choice++) {
      let hit = which_of_four(choice, four);
      own += hit;
      own_adapted += select(vec4f(), hit, choice < params.adapted * params.per_token);
    }
    var before: vec4f;
    var total: vec4f;
    var total_adapted: vec4f;
    publish(own);
    for (var i = 0u; i < lanes; i++) { // @unroll
      before += select(vec4f(), peer(i), i < lane);
      total += peer(i);
    }
    publish(own_adapted);
    for (var i = 0u; i < lanes; i++) { // @unroll
      total_adapted += peer(i);
    }

    let starts = start + vec4f(0.0, total.x, total.x + total.y, total.x + total.y + total.z);
    for (var c = 0u; c < 4u; c++) { // @unroll
      if (lane == 0u && four + c < params.count) {
        spans[3u * (four + c)] = u32(starts[c]);
        spans[3u * (four + c) + 1u] = u32(starts[c] + total_adapted[c]);
        spans[3u * (four + c) + 2u] = u32(starts[c] + total[c]);
      }
    }
    var next = starts + before;
    for (var choice = first; choice < end; choice++) {
      let hit = which_of_four(choice, four);
      if (any(hit > vec4f())) {
        let slot = u32(dot(hit, next));
        slots[choice] = slot;
        choices[slot] = choice;
        next += hit;
      }
    }
    start += dot(total, vec4f(1.0));
  }
}
