// attention_backward_key_value   dk[n] = scale * sum over (r, h) of ds[r, h] * q[r, h]
//                                dv[n] = sum over (r, h) of p[r, h] * dy[r, h]
//   with p[r, h] = exp(scale * dot(q[r, h], k[n]) - lse[r, h]) and ds[r, h] = p[r, h] * (dot(dy[r, h], v[n]) - delta[r, h]),
//   over the rows r that attend to key n and the `group` heads h that share its kv head
//   qkv        [rows, stride] f32 in, q from column 0 on, k from k_first on and v from v_first on, head after head
//   key_tiles  [tile_count, 4] u32 in, see attention_schedule.ts
//   positions  [rows] u32 in: a row sees a key whose position is less than `window` before its own
//   lse        [rows, kv_heads * group] f32 in, from attention
//   delta      [rows, kv_heads * group] f32 in, from attention_delta
//   dy         [rows, kv_heads * group * head_dim] f32 in
//   dqkv       [rows, stride] f32 out, the columns of k and v overwritten in the rows of the key tiles
//   stride, k_first and head_dim multiples of 4; v directly behind k, so v_first is k_first + kv_heads * head_dim
// One workgroup per key tile and kv head. A tile has up to row_tile neighbouring keys of one segment. The rows from its
// first key on, up to its query_end, pass in steps of `lanes` items, an item being a row and one of the group's heads:
// among them a row attends to a key exactly if it is not before it, because a segment lies in one piece, and the
// branches that see a prefix lie directly behind it. For the scores a lane owns an item, and the keys are handed round;
// for dk and dv a lane owns lane_vectors vectors of the head, and p and ds are handed round. Sums in f32, in the order
// of the items, and nothing is added to by two workgroups.
struct Params {
  tile_count: u32,
  kv_heads: u32,
  group: u32,
  rows: u32,
  stride: u32,
  k_first: u32,
  v_first: u32,
  window: u32,
  scale: f32,
}

struct KeyTile {
  first_key: u32,
  key_count: u32,
  query_end: u32,
  unused: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(2) var<storage, read> key_tiles: array<KeyTile>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> lse: array<f32>;
@group(0) @binding(5) var<storage, read> delta: array<f32>;
@group(0) @binding(6) var<storage, read> dy: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> dqkv: array<vec4f>;

const row_tile = 8u;
const head_dim = 64u;
const head_vectors = head_dim / 4u;
const lane_vectors = (head_vectors + lanes - 1u) / lanes;
// Items held at once: 4 vectors each of q and dy, which is what stays in registers.
const block_items = min(lanes, max(4u / lane_vectors, 1u));
const group_rows = min(row_tile, lanes);
const quads = row_tile / 4u;

@compute @workgroup_size(lanes)
fn attention_backward_key_value(
  @builtin(workgroup_id) id: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  enter(lane);
  let tile = key_tiles[id.x];
  let heads = params.kv_heads * params.group;
  let row_vectors = params.stride / 4u;
  let k_vector = params.k_first / 4u + id.y * head_vectors;
  let v_vector = params.v_first / 4u + id.y * head_vectors;
  let item_end = (tile.query_end - tile.first_key) * params.group;

  var own_key: array<u32, row_tile / group_rows>;
  for (var g = 0u; g < row_tile / group_rows; g++) { // @unroll
    let key = tile.first_key + min(g * group_rows + min(lane, group_rows - 1u), tile.key_count - 1u);
    own_key[g] = key * row_vectors;
  }
  var dk: array<array<vec4f, lane_vectors>, row_tile>;
  var dv: array<array<vec4f, lane_vectors>, row_tile>;

  for (var first_item = 0u; first_item < item_end; first_item += lanes) {
    let inside = first_item + lane < item_end;
    let item = min(first_item + lane, item_end - 1u);
    let row = tile.first_key + item / params.group;
    let head = id.y * params.group + item % params.group;
    let own_q = row * row_vectors + head * head_vectors;
    let own_dy = (row * heads + head) * head_vectors;
    var score: array<vec4f, quads>;
    var dp: array<vec4f, quads>;
    for (var vector = 0u; vector < head_vectors; vector++) {
      let query = qkv[own_q + vector];
      let gradient = dy[own_dy + vector];
      for (var g = 0u; g < row_tile / group_rows; g++) { // @unroll
        publish(qkv[own_key[g] + k_vector + vector]);
        for (var r = 0u; r < group_rows; r++) { // @unroll
          score[(g * group_rows + r) / 4u][r % 4u] += dot(query, peer(r));
        }
        publish(qkv[own_key[g] + v_vector + vector]);
        for (var r = 0u; r < group_rows; r++) { // @unroll
          dp[(g * group_rows + r) / 4u][r % 4u] += dot(gradient, peer(r));
        }
      }
    }

    let own_lse = lse[row * heads + head];
    let own_delta = delta[row * heads + head];
    let position = positions[row];
    var p: array<vec4f, quads>;
    var ds: array<vec4f, quads>;
    for (var quad = 0u; quad < quads; quad++) { // @unroll
      let key = tile.first_key + quad * 4u + vec4u(0u, 1u, 2u, 3u);
      // The keys of a tile are neighbours in one segment.
      let key_position = positions[tile.first_key] + quad * 4u + vec4u(0u, 1u, 2u, 3u);
      let near = position - key_position < vec4u(params.window);
      let seen = key <= vec4u(row) & near & vec4<bool>(inside);
      p[quad] = select(vec4f(), exp(params.scale * score[quad] - own_lse), seen);
      ds[quad] = p[quad] * (dp[quad] - own_delta);
    }

    for (var block = 0u; block < lanes / block_items; block++) { // @unroll
      var query: array<array<vec4f, lane_vectors>, block_items>;
      var gradient: array<array<vec4f, lane_vectors>, block_items>;
      for (var j = 0u; j < block_items; j++) { // @unroll
        let n = min(first_item + block * block_items + j, item_end - 1u);
        let n_row = tile.first_key + n / params.group;
        let n_head = id.y * params.group + n % params.group;
        for (var c = 0u; c < lane_vectors; c++) { // @unroll
          let vector = n_head * head_vectors + min(c * lanes + lane, head_vectors - 1u);
          query[j][c] = qkv[n_row * row_vectors + vector];
          gradient[j][c] = dy[n_row * heads * head_vectors + vector];
        }
      }
      for (var quad = 0u; quad < quads; quad++) { // @unroll
        publish(ds[quad]);
        for (var j = 0u; j < block_items; j++) { // @unroll
          let factor = peer(block * block_items + j);
          for (var r = 0u; r < 4u; r++) { // @unroll
            for (var c = 0u; c < lane_vectors; c++) { // @unroll
              dk[quad * 4u + r][c] += factor[r] * query[j][c];
            }
          }
        }
        publish(p[quad]);
        for (var j = 0u; j < block_items; j++) { // @unroll
          let factor = peer(block * block_items + j);
          for (var r = 0u; r < 4u; r++) { // @unroll
            for (var c = 0u; c < lane_vectors; c++) { // @unroll
              dv[quad * 4u + r][c] += factor[r] * gradient[j][c];
            }
          }
        }
      }
    }
  }

  for (var r = 0u; r < row_tile; r++) { // @unroll
    if (r < tile.key_count) {
      let first = (tile.first_key + r) * row_vectors;
      for (var c = 0u; c < lane_vectors; c++) { // @unroll
        let vector = c * lanes + lane;
        if (vector < head_vectors) {
          dqkv[first + k_vector + vector] = params.scale * dk[r][c];
          dqkv[first + v_vector + vector] = dv[r][c];
        }
      }
    }
  }
}
