// attention   y[r, h] = sum over n of p[n] * v[n]         with p = softmax over n of scale * dot(q[r, h], k[n])
//             lse[r, h] = log sum over n of exp(scale * dot(q[r, h], k[n]))
//             k and v of kv head floor(h / group), n over the last `window` keys that row r could attend to
//   q      [rows, q_stride] f32 in, head h in columns h * head_dim to (h + 1) * head_dim, turned by RoPE
//   kv     [kv_rows, kv_stride] f32 in, k from column k_first on and v from v_first on, head after head
//   tiles  [tile_count, 8] u32 in, see attention_schedule.ts
//   y      [rows, kv_heads * group * head_dim] f32 out, overwritten in the rows of the tiles
//   lse    [rows, kv_heads * group] f32 out, overwritten in the rows of the tiles
//   q_stride, kv_stride, k_first and head_dim multiples of 4; v directly behind k, so v_first is
//   k_first + kv_heads * head_dim; q may be part of the buffer kv
// One workgroup per tile and kv head. A tile has up to row_tile items, each a query and one of the `group` heads that
// share the kv head, so that all of them use what is loaded of k and v. Keys pass in steps of lanes * lane_keys, and
// softmax is brought up to date at each. For the scores a lane owns a key, and the queries are handed round; for y a
// lane owns lane_vectors vectors of the head, and the probabilities are handed round. Sums in f32.
// A row's result depends on its keys in their order and on nothing else: not on the batch, nor on how its keys are
// divided into a prefix and others.
struct Params {
  tile_count: u32,
  kv_heads: u32,
  group: u32,
  rows: u32,
  q_stride: u32,
  kv_rows: u32,
  kv_stride: u32,
  k_first: u32,
  v_first: u32,
  window: u32,
  scale: f32,
}

struct Tile {
  first_row: u32,
  first_item: u32,
  item_count: u32,
  prefix_start: u32,
  prefix_end: u32,
  own_start: u32,
  own_end: u32,
  unused: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> kv: array<vec4f>;
@group(0) @binding(3) var<storage, read> tiles: array<Tile>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

const row_tile = 8u;
const head_dim = 64u;
// Two keys for a lane halve the cost of handing the queries round and of softmax; more make short segments dear.
const lane_keys = 2u;
const head_vectors = head_dim / 4u;
const lane_vectors = (head_vectors + lanes - 1u) / lanes;
// Keys whose values are held at once: 8 vectors, which is what stays in registers.
const block_keys = min(lanes, max(8u / lane_vectors, 1u));
const group_rows = min(row_tile, lanes);
const quads = row_tile / 4u;
// Below every score, and still far from overflow when scores are subtracted from it.
const hidden = -1e30;

// Row of `kv` with the n-th key of a segment; its prefix comes first.
fn key_row(tile: Tile, n: u32) -> u32 {
  let prefix = tile.prefix_end - tile.prefix_start;
  return select(tile.own_start + n - prefix, tile.prefix_start + n, n < prefix);
}

@compute @workgroup_size(lanes)
fn attention(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let tile = tiles[id.x];
  let k_vector = params.k_first / 4u + id.y * head_vectors;
  let v_vector = params.v_first / 4u + id.y * head_vectors;
  let first_count = tile.prefix_end - tile.prefix_start + tile.own_end - tile.own_start;
  let last_count = first_count + (tile.first_item + tile.item_count - 1u) / params.group;

  var own_q: array<u32, row_tile / group_rows>;
  for (var g = 0u; g < row_tile / group_rows; g++) { // @unroll
    let item = tile.first_item + min(g * group_rows + min(lane, group_rows - 1u), tile.item_count - 1u);
    let head = id.y * params.group + item % params.group;
    own_q[g] = (tile.first_row + item / params.group) * (params.q_stride / 4u) + head * head_vectors;
  }
  // Keys that each row sees; its largest score, the sum of exp of this lane's scores, and its sum of v.
  var count: array<vec4u, quads>;
  var largest: array<vec4f, quads>;
  var total: array<vec4f, quads>;
  var sum: array<array<vec4f, lane_vectors>, row_tile>;
  for (var quad = 0u; quad < quads; quad++) { // @unroll
    count[quad] = first_count + (tile.first_item + quad * 4u + vec4u(0u, 1u, 2u, 3u)) / params.group;
    largest[quad] = vec4f(hidden);
  }

  // The first row sees the earliest keys; steps begin at the same keys whatever the window.
  let step = lanes * lane_keys;
  let least_count = first_count + tile.first_item / params.group;
  let unseen = select(0u, least_count - params.window, least_count > params.window);
  for (var first_key = unseen / step * step; first_key < last_count; first_key += step) {
    var own_k: array<u32, lane_keys>;
    for (var k = 0u; k < lane_keys; k++) { // @unroll
      let row = key_row(tile, min(first_key + k * lanes + lane, last_count - 1u));
      own_k[k] = row * (params.kv_stride / 4u) + k_vector;
    }
    var score: array<array<vec4f, lane_keys>, quads>;
    for (var vector = 0u; vector < head_vectors; vector++) {
      var key: array<vec4f, lane_keys>;
      for (var k = 0u; k < lane_keys; k++) { // @unroll
        key[k] = kv[own_k[k] + vector];
      }
      for (var g = 0u; g < row_tile / group_rows; g++) { // @unroll
        publish(q[own_q[g] + vector]);
        for (var r = 0u; r < group_rows; r++) { // @unroll
          let query = peer(r);
          for (var k = 0u; k < lane_keys; k++) { // @unroll
            score[(g * group_rows + r) / 4u][k][r % 4u] += dot(query, key[k]);
          }
        }
      }
    }

    for (var quad = 0u; quad < quads; quad++) { // @unroll
      var own_largest = largest[quad];
      for (var k = 0u; k < lane_keys; k++) { // @unroll
        let n = vec4u(first_key + k * lanes + lane);
        let seen = n < count[quad] & count[quad] - n <= vec4u(params.window);
        score[quad][k] = select(vec4f(hidden), params.scale * score[quad][k], seen);
        own_largest = max(own_largest, score[quad][k]);
      }
      let before = largest[quad];
      for (var r = 0u; r < 4u; r++) { // @unroll
        largest[quad][r] = lanes_max(own_largest[r]);
      }
      let keep = exp(before - largest[quad]);
      total[quad] *= keep;
      for (var k = 0u; k < lane_keys; k++) { // @unroll
        score[quad][k] = exp(score[quad][k] - largest[quad]);
        total[quad] += score[quad][k];
      }
      for (var r = 0u; r < 4u; r++) { // @unroll
        for (var c = 0u; c < lane_vectors; c++) { // @unroll
          sum[quad * 4u + r][c] *= keep[r];
        }
      }
    }

    for (var k = 0u; k < lane_keys; k++) { // @unroll
      for (var block = 0u; block < lanes / block_keys; block++) { // @unroll
        var value: array<array<vec4f, lane_vectors>, block_keys>;
        for (var j = 0u; j < block_keys; j++) { // @unroll
          let n = min(first_key + k * lanes + block * block_keys + j, last_count - 1u);
          let first = key_row(tile, n) * (params.kv_stride / 4u) + v_vector;
          for (var c = 0u; c < lane_vectors; c++) { // @unroll
            value[j][c] = kv[first + min(c * lanes + lane, head_vectors - 1u)];
          }
        }
        for (var quad = 0u; quad < quads; quad++) { // @unroll
          publish(score[quad][k]);
          for (var j = 0u; j < block_keys; j++) { // @unroll
            let p = peer(block * block_keys + j);
            for (var r = 0u; r < 4u; r++) { // @unroll
              for (var c = 0u; c < lane_vectors; c++) { // @unroll
                sum[quad * 4u + r][c] += p[r] * value[j][c];
              }
            }
          }
        }
      }
    }
  }

  for (var r = 0u; r < row_tile; r++) { // @unroll
    let row_total = lanes_sum(total[r / 4u][r % 4u]);
    if (r < tile.item_count) {
      let item = tile.first_item + r;
      let head = id.y * params.group + item % params.group;
      let row_head = (tile.first_row + item / params.group) * params.kv_heads * params.group + head;
      for (var c = 0u; c < lane_vectors; c++) { // @unroll
        let vector = c * lanes + lane;
        if (vector < head_vectors) {
          y[row_head * head_vectors + vector] = sum[r][c] / row_total;
        }
      }
      if (lane == 0u) {
        lse[row_head] = largest[r / 4u][r % 4u] + log(row_total);
      }
    }
  }
}
