// expert_matmul_backward   dx[s, k] = sum over c of dy[r, c] * weight[e * columns + c, k]     for the slots s of each
//                          expert e that have adapted tokens, with r the slot, or its token
//   spans    [experts, 3] u32 in; choices [slots] u32 in: of route_experts; `adapted` of the slots have adapted tokens
//   dy       [slots, columns] f32 in; where slots_per_token is not 0, [adapted / slots_per_token, columns], by token
//   weight   [weight_rows, depth] packed in: rows weight_first to weight_first + weight_rows of the experts' matrices,
//            [columns, depth] each, one below the other
//   dx       [slots, depth] f32 in/out: slots of adapted tokens overwritten, or accumulated where weight begins amid
//            the expert's rows, so that a matrix in parts takes a call for each, in order
//   columns and weight_first multiples of 4; depth a multiple of 4 and of a weight pack
// One workgroup of 16 x 16 threads per tile of up to row_tile slots of one expert and depth_tile columns of dx. Slabs
// of both operands, 16 columns of dy, go through workgroup memory; each thread sums slots and vectors 16 apart. Sums
// in f32.
struct Params {
  slots: u32,
  adapted: u32,
  experts: u32,
  slots_per_token: u32,
  columns: u32,
  depth: u32,
  weight_first: u32,
  weight_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read> weight: array<Packed>;
@group(0) @binding(5) var<storage, read_write> dx: array<vec4f>;

const row_tile = 64u;
const depth_tile = 64u;
const thread_rows = row_tile / 16u;
const thread_vectors = depth_tile / 64u;
const tile_packs = depth_tile / (4u * packed_quarters);
// A slab of dy is 4 vectors wide; a fifth as padding keeps threads that read different rows off the same banks.
const slab_stride = 5u;
const thread_loads = (row_tile * 4u + 255u) / 256u;

var<workgroup> dy_slab: array<vec4f, row_tile * slab_stride>;
var<workgroup> weight_slab: array<vec4f, 16u * depth_tile / 4u>;

@compute @workgroup_size(256)
fn expert_matmul_backward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) thread: u32) {
  let slots = slot_tile(tile.x, row_tile, params.experts, adapted_tokens);
  let range = columns_in(slots.expert, params.columns, params.weight_first, params.weight_rows);
  if (slots.first == slots.end || range.x == range.y) {
    return;
  }
  let first_weight = slots.expert * params.columns - params.weight_first;
  let first_pack = tile.y * tile_packs;
  let packs = params.depth / (4u * packed_quarters);
  let thread_row = thread / 16u;
  let thread_vector = thread % 16u;
  var dy_first: array<u32, thread_loads>;
  for (var load = 0u; load < thread_loads; load++) { // @unroll
    let slot = min(slots.first + (thread + load * 256u) / 4u, slots.end - 1u);
    dy_first[load] = row_of(slot, params.slots_per_token) * (params.columns / 4u);
  }
  var sum: array<array<vec4f, thread_vectors>, thread_rows>;

  let vectors = range.y / 4u;
  for (var slab = range.x / 4u; slab < vectors; slab += 4u) {
    workgroupBarrier();
    for (var load = 0u; load < thread_loads; load++) { // @unroll
      let index = thread + load * 256u;
      let vector = slab + index % 4u;
      if (index < row_tile * 4u) {
        let value = dy[dy_first[load] + select(0u, vector, vector < vectors)];
        dy_slab[(index / 4u) * slab_stride + index % 4u] = select(vec4f(), value, vector < vectors);
      }
    }
    for (var index = thread; index < 16u * tile_packs; index += 256u) {
      let column = slab * 4u + index / tile_packs;
      let pack = first_pack + index % tile_packs;
      let inside = column < range.y && pack < packs;
      let row = first_weight + select(range.x, column, inside);
      let value = weight[row * packs + select(0u, pack, inside)];
      let column_scale = row_scale(row);
      let scale = pack_scale(row, packs, select(0u, pack, inside));
      for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
        let weights = column_scale * unpack(value, quarter, scale);
        weight_slab[index * packed_quarters + quarter] = select(vec4f(), weights, inside);
      }
    }
    workgroupBarrier();
    for (var vector = 0u; vector < 4u; vector++) { // @unroll
      for (var v = 0u; v < thread_vectors; v++) { // @unroll
        let column = vector * depth_tile + thread_vector + v * 16u;
        let w0 = weight_slab[column];
        let w1 = weight_slab[column + depth_tile / 4u];
        let w2 = weight_slab[column + depth_tile / 2u];
        let w3 = weight_slab[column + depth_tile / 4u * 3u];
        for (var r = 0u; r < thread_rows; r++) { // @unroll
          let value = dy_slab[(thread_row + r * 16u) * slab_stride + vector];
          sum[r][v] += value.x * w0 + value.y * w1 + value.z * w2 + value.w * w3;
        }
      }
    }
  }

  let depth_vectors = params.depth / 4u;
  for (var r = 0u; r < thread_rows; r++) { // @unroll
    for (var v = 0u; v < thread_vectors; v++) { // @unroll
      let slot = slots.first + thread_row + r * 16u;
      let vector = first_pack * packed_quarters + thread_vector + v * 16u;
      if (slot < slots.end && vector < depth_vectors) {
        let index = slot * depth_vectors + vector;
        if (range.x > 0u) {
          dx[index] += sum[r][v];
        } else {
          dx[index] = sum[r][v];
        }
      }
    }
  }
}
