// expert_matmul_skinny   as expert_matmul, for a few slots of each expert
//   spans    [experts, 3] u32 in; choices [slots] u32 in: of route_experts
//   x        [slots, depth] f32 in; where slots_per_token is not 0, [slots / slots_per_token, depth], by token
//   weight   [weight_rows, depth] packed in: rows weight_first to weight_first + weight_rows of the experts' matrices,
//            [columns, depth] each, one below the other
//   y        [slots, columns] f32 out, overwritten in the columns whose rows weight has
//   depth a multiple of 4 and of a weight pack
// One workgroup per tile of up to row_tile slots of one expert and column_tile columns; those behind the last tile have
// nothing to do. Lanes stride over the depth of every column, and add up at the end. Sums in f32.
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

const row_tile = 4u;
const column_tile = 4u;

@compute @workgroup_size(lanes)
fn expert_matmul_skinny(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let slots = slot_tile(tile.x, row_tile, params.experts, all_tokens);
  let range = columns_in(slots.expert, params.columns, params.weight_first, params.weight_rows);
  let first_column = tile.y * column_tile;
  if (slots.first == slots.end || first_column >= range.y || first_column + column_tile <= range.x) {
    return;
  }
  let first_weight = slots.expert * params.columns - params.weight_first;
  let vectors = params.depth / 4u;
  let packs = vectors / packed_quarters;
  var x_first: array<u32, row_tile>;
  for (var r = 0u; r < row_tile; r++) { // @unroll
    x_first[r] = row_of(min(slots.first + r, slots.end - 1u), params.slots_per_token) * vectors;
  }
  var sum: array<array<f32, column_tile>, row_tile>;

  for (var pack = lane; pack < packs; pack += lanes) {
    for (var c = 0u; c < column_tile; c++) { // @unroll
      let row = first_weight + clamp(first_column + c, range.x, range.y - 1u);
      let w = weight[row * packs + pack];
      let scale = pack_scale(row, packs, pack);
      for (var r = 0u; r < row_tile; r++) { // @unroll
        for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
          sum[r][c] += dot(x[x_first[r] + pack * packed_quarters + quarter], unpack(w, quarter, scale));
        }
      }
    }
  }

  for (var c = 0u; c < column_tile; c++) { // @unroll
    for (var r = 0u; r < row_tile; r++) { // @unroll
      let total = lanes_sum(sum[r][c]);
      let column = first_column + c;
      if (lane == 0u && slots.first + r < slots.end && column >= range.x && column < range.y) {
        y[(slots.first + r) * params.columns + column] = row_scale(first_weight + column) * total;
      }
    }
  }
}
