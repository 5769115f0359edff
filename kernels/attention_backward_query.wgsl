// attention_backward_query   dq[r, h] = scale * sum over n of ds[n] * k[n]
//   with p[n] = exp(scale * dot(q[r, h], k[n]) - lse[r, h]) and ds[n] = p[n] * (dot(dy[r, h], v[n]) - delta[r, h]),
//   k and v of kv head floor(h / group), n over the last `window` keys that row r could attend to
//   q      [rows, q_stride] f32 in, head h in columns h * head_dim to (h + 1) * head_dim, turned by RoPE
//   kv     [kv_rows, kv_stride] f32 in, k from column k_first on and v from v_first on, head after head
//   tiles  [tile_count, 8] u32 in, see attention_schedule.ts
//   lse    [rows, kv_heads * group] f32 in, from attention
//   delta  [rows, kv_heads * group] f32 in, from attention_delta
//   dy     [rows, kv_heads * group * head_dim] f32 in
//   dq     [rows, q_stride] f32 out, laid out as q, its columns overwritten in the rows of the tiles
//   q_stride, kv_stride, k_first and head_dim multiples of 4; v directly behind k, so v_first is
//   k_first + kv_heads * head_dim; q may be part of the buffer kv
// One workgroup per tile and kv head, as in attention. For the scores a lane owns a key, and rows of q and dy are
// handed round; for dq a lane owns lane_vectors vectors of the head, and ds is handed round. Sums in f32.
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
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4f>;

const row_tile = 8u;
const head_dim = 64u;
const lane_keys = 2u;
const head_vectors = head_dim / 4u;
const lane_vectors = (head_vectors + lanes - 1u) / lanes;
// Keys held at once: 8 vectors, which is what stays in registers.
const block_keys = min(lanes, max(8u / lane_vectors, 1u));
const group_rows = min(row_tile, lanes);
const quads = row_tile / 4u;

// Row of `kv` with the n-th key of a segment; its prefix comes first.
fn key_row(tile: Tile, n: u32) -> u32 {
  let prefix = tile.prefix_end - tile.prefix_start;
  return select(tile.own_start + n - prefix, tile.prefix_start + n, n < prefix);
}

@compute @workgroup_size(lanes)
fn attention_backward_query(
  @builtin(workgroup_id) id: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  enter(lane);
  let tile = tiles[id.x];
  let heads = params.kv_heads * params.group;
  let k_vector = params.k_first / 4u + id.y * head_vectors;
  let v_vector = params.v_first / 4u + id.y * head_vectors;
  let first_count = tile.prefix_end - tile.prefix_start + tile.own_end - tile.own_start;
  let last_count = first_count + (tile.first_item + tile.item_count - 1u) / params.group;

  // Keys that each row sees, and its lse and delta.
  var own_q: array<u32, row_tile / group_rows>;
  var own_dy: array<u32, row_tile / group_rows>;
  var count: array<vec4u, quads>;
  var row_lse: array<vec4f, quads>;
  var row_delta: array<vec4f, quads>;
  for (var quad = 0u; quad < quads; quad++) { // @unroll
    count[quad] = first_count + (tile.first_item + quad * 4u + vec4u(0u, 1u, 2u, 3u)) / params.group;
  }
  for (var g = 0u; g < row_tile / group_rows; g++) { // @unroll
    let item = tile.first_item + min(g * group_rows + min(lane, group_rows - 1u), tile.item_count - 1u);
    let row = tile.first_row + item / params.group;
    let head = id.y * params.group + item % params.group;
    own_q[g] = row * (params.q_stride / 4u) + head * head_vectors;
    own_dy[g] = (row * heads + head) * head_vectors;
    publish(vec4f(lse[row * heads + head], delta[row * heads + head], 0.0, 0.0));
    for (var r = 0u; r < group_rows; r++) { // @unroll
      let value = peer(r);
      row_lse[(g * group_rows + r) / 4u][r % 4u] = value.x;
      row_delta[(g * group_rows + r) / 4u][r % 4u] = value.y;
    }
  }
  var sum: array<array<vec4f, lane_vectors>, row_tile>;

  let step = lanes * lane_keys;
  let least_count = first_count + tile.first_item / params.group;
  let unseen = select(0u, least_count - params.window, least_count > params.window);
  for (var first_key = unseen / step * step; first_key < last_count; first_key += step) {
    var own_row: array<u32, lane_keys>;
    for (var k = 0u; k < lane_keys; k++) { // @unroll
      own_row[k] = key_row(tile, min(first_key + k * lanes + lane, last_count - 1u)) * (params.kv_stride / 4u);
    }
    var score: array<array<vec4f, lane_keys>, quads>;
    var dp: array<array<vec4f, lane_keys>, quads>;
    for (var vector = 0u; vector < head_vectors; vector++) {
      var key: array<vec4f, lane_keys>;
      var value: array<vec4f, lane_keys>;
      for (var k = 0u; k < lane_keys; k++) { // @unroll
        key[k] = kv[own_row[k] + k_vector + vector];
        value[k] = kv[own_row[k] + v_vector + vector];
      }
      for (var g = 0u; g < row_tile / group_rows; g++) { // @unroll
        publish(q[own_q[g] + vector]);
        for (var r = 0u; r < group_rows; r++) { // @unroll
          let query = peer(r);
          for (var k = 0u; k < lane_keys; k++) { // @unroll
            score[(g * group_rows + r) / 4u][k][r % 4u] += dot(query, key[k]);
          }
        }
        publish(dy[own_dy[g] + vector]);
        for (var r = 0u; r < group_rows; r++) { // @unroll
          let gradient = peer(r);
          for (var k = 0u; k < lane_keys; k++) { // @unroll
            dp[(g * group_rows + r) / 4u][k][r % 4u] += dot(gradient, value[k]);
          }
        }
      }
    }

    for (var k = 0u; k < lane_keys; k++) { // @unroll
      var ds: array<vec4f, quads>;
      for (var quad = 0u; quad < quads; quad++) { // @unroll
        let n = vec4u(first_key + k * lanes + lane);
        let seen = n < count[quad] & count[quad] - n <= vec4u(params.window);
        let p = select(vec4f(), exp(params.scale * score[quad][k] - row_lse[quad]), seen);
        ds[quad] = p * (dp[quad][k] - row_delta[quad]);
      }
      for (var block = 0u; block < lanes / block_keys; block++) { // @unroll
        var key: array<array<vec4f, lane_vectors>, block_keys>;
        for (var j = 0u; j < block_keys; j++) { // @unroll
          let n = min(first_key + k * lanes + block * block_keys + j, last_count - 1u);
          let first = key_row(tile, n) * (params.kv_stride / 4u) + k_vector;
          for (var c = 0u; c < lane_vectors; c++) { // @unroll
            key[j][c] = kv[first + min(c * lanes + lane, head_vectors - 1u)];
          }
        }
        for (var quad = 0u; quad < quads; quad++) { // @unroll
          publish(ds[quad]);
          for (var j = 0u; j < block_keys; j++) { // @unroll
            let factor = peer(block * block_keys + j);
            for (var r = 0u; r < 4u; r++) { // @unroll
              for (var c = 0u; c < lane_vectors; c++) { // @unroll
                sum[quad * 4u + r][c] += factor[r] * key[j][c];
              }
            }
          }
        }
      }
    }
  }

  for (var r = 0u; r < row_tile; r++) { // @unroll
    if (r < tile.item_count) {
      let item = tile.first_item + r;
      let head = id.y * params.group + item % params.group;
      let first = (tile.first_row + item / params.group) * (params.q_stride / 4u) + head * head_vectors;
      for (var c = 0u; c < lane_vectors; c++) { // @unroll
        let vector = c * lanes + lane;
        if (vector < head_vectors) {
          dq[first + vector] = params.scale * sum[r][c];
        }
      }
    }
  }
}
