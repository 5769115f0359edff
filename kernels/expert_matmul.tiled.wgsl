// expert_matmul   y[s, c] = sum over k of x[r, k] * weight[e * columns + c, k]     for the slots s of each expert e,
//                 with r the slot, or its token
//   spans    [experts, 3] u32 in; choices [slots] u32 in: of route_experts
//   x        [slots, depth] f32 in; where slots_per_token is not 0, [slots / slots_per_token, depth], by token
//   weight   [weight_rows, depth] packed in: rows weight_first to weight_first + weight_rows of the experts' matrices,
//            [columns, depth] each, one below the other
//   y        [slots, columns] f32 out, overwritten in the columns whose rows weight has
//   depth a multiple of 4 and of a weight pack
// One workgroup of 16 x 16 threads per tile of up to row_tile slots of one expert and column_tile columns; those behind
// the last tile have nothing to do. Slabs of both operands, 16 deep, go through workgroup memory; each thread sums
// slots and columns 16 apart. Sums in f32.
struct Params {
  slots: u32,
  experts: u32,
  slots_per_token: u32,
  columns: u32,
  depth: u32,
  weight_first: u32,
  weight_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> x: array<vec4f>;
@group(0) @binding(4) var<storage, read> weight: array<Packed>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const row_tile = 64u;
const column_tile = 64u;
const thread_rows = row_tile / 16u;
const thread_columns = column_tile / 16u;
// A slab is 4 vectors deep; a fifth as padding keeps 16 threads that read 16 rows off each other's memory banks.
const slab_stride = 5u;
const slab_packs = 4u / packed_quarters;
const thread_loads = (row_tile * 4u + 255u) / 256u;

var<workgroup> x_slab: array<vec4f, row_tile * slab_stride>;
var<workgroup> weight_slab: array<vec4f, column_tile * slab_stride>;

@compute @workgroup_size(256)
fn expert_matmul(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) thread: u32) {
  let slots = slot_tile(tile.x, row_tile, params.experts, all_tokens);
  let range = columns_in(slots.expert, params.columns, params.weight_first, params.weight_rows);
  let first_column = tile.y * column_tile;
  if (slots.first == slots.end || first_column >= range.y || first_column + column_tile <= range.x) {
    return;
  }
  let first_weight = slots.expert * params.columns - params.weight_first;
  let thread_row = thread / 16u;
  let thread_column = thread % 16u;
  let vectors = params.depth / 4u;
  let packs = vectors / packed_quarters;
  var x_first: array<u32, thread_loads>;
  for (var load = 0u; load < thread_loads; load++) { // @unroll
    let slot = min(slots.first + (thread + load * 256u) / 4u, slots.end - 1u);
    x_first[load] = row_of(slot, params.slots_per_token) * vectors;
  }
  var sum: array<array<f32, thread_columns>, thread_rows>;

  for (var slab = 0u; slab < vectors; slab += 4u) {
    workgroupBarrier();
    for (var load = 0u; load < thread_loads; load++) { // @unroll
      let index = thread + load * 256u;
      let vector = slab + index % 4u;
      if (index < row_tile * 4u) {
        let value = x[x_first[load] + select(0u, vector, vector < vectors)];
        x_slab[(index / 4u) * slab_stride + index % 4u] = select(vec4f(), value, vector < vectors);
      }
    }
    for (var index = thread; index < column_tile * slab_packs; index += 256u) {
      let column = first_column + index / slab_packs;
      let pack = slab / packed_quarters + index % slab_packs;
      let inside = column >= range.x && column < range.y && pack < packs;
      let row = first_weight + select(range.x, column, inside);
      let value = weight[row * packs + select(0u, pack, inside)];
      let column_scale = row_scale(row);
      let scale = pack_scale(row, packs, select(0u, pack, inside));
      let start = (index / slab_packs) * slab_stride + (index % slab_packs) * packed_quarters;
      for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
        weight_slab[start + quarter] = select(vec4f(), column_scale * unpack(value, quarter, scale), inside);
      }
    }
    workgroupBarrier();
    for (var vector = 0u; vector < 4u; vector++) { // @unroll
      var w: array<vec4f, thread_columns>;
      for (var c = 0u; c < thread_columns; c++) { // @unroll
        w[c] = weight_slab[(thread_column + c * 16u) * slab_stride + vector];
      }
      for (var r = 0u; r < thread_rows; r++) { // @unroll
        let value = x_slab[(thread_row + r * 16u) * slab_stride + vector];
        for (var c = 0u; c < thread_columns; c++) { // @unroll
          sum[r][c] += dot(value, w[c]);
        }
      }
    }
  }

  for (var r = 0u; r < thread_rows; r++) { // @unroll
    for (var c = 0u; c < thread_columns; c++) { // @unroll
      let slot = slots.first + thread_row + r * 16u;
      let column = first_column + thread_column + c * 16u;
      if (slot < slots.end && column >= range.x && column < range.y) {
        y[slot * params.columns + column] = sum[r][c];
      }
    }
  }
}
