// expert_matmul   y[s, c] = sum over k of x[r, k] * weight[e * columns + c, k]     for the slots s of each expert e,
//                 with r the slot, or its token
//   spans    [experts, 3] u32 in; choices [slots] u32 in: of route_experts
//   x        [slots, depth] f32 in; where slots_per_token is not 0, [slots / slots_per_token, depth], by token
//   weight   [weight_rows, depth] packed in: rows weight_first to weight_first + weight_rows of the experts' matrices,
//            [columns, depth] each, one below the other
//   y        [slots, columns] f32 out, overwritten in the columns whose rows weight has
//   depth a multiple of 4 and of a weight pack
// One workgroup per tile of up to row_tile slots of one expert and column_tile columns; those behind the last tile have
// nothing to do. Each lane owns column_tile / lanes columns and all slots of the tile; a row of x is loaded by one lane
// and handed to the others. Sums in f32.
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

const row_tile = 16u;
const column_tile = 16u;
const lane_columns = column_tile / lanes;
const group_rows = min(row_tile, lanes);
const row_groups = row_tile / group_rows;

@compute @workgroup_size(lanes)
fn expert_matmul(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let slots = slot_tile(tile.x, row_tile, params.experts, all_tokens);
  let range = columns_in(slots.expert, params.columns, params.weight_first, params.weight_rows);
  if (slots.first == slots.end || tile.y * column_tile >= range.y || (tile.y + 1u) * column_tile <= range.x) {
    return;
  }
  let first_column = tile.y * column_tile + lane;
  let first_weight = slots.expert * params.columns - params.weight_first;
  var x_first: array<u32, row_groups>;
  for (var group = 0u; group < row_groups; group++) { // @unroll
    let slot = min(slots.first + group * group_rows + min(lane, group_rows - 1u), slots.end - 1u);
    x_first[group] = row_of(slot, params.slots_per_token) * (params.depth / 4u);
  }
  var sum: array<array<f32, lane_columns>, row_tile>;

  let packs = params.depth / (4u * packed_quarters);
  for (var pack = 0u; pack < packs; pack++) {
    var w: array<Packed, lane_columns>;
    var scale: array<f32, lane_columns>;
    for (var c = 0u; c < lane_columns; c++) { // @unroll
      let row = first_weight + clamp(first_column + c * lanes, range.x, range.y - 1u);
      w[c] = weight[row * packs + pack];
      scale[c] = pack_scale(row, packs, pack);
    }
    for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
      for (var group = 0u; group < row_groups; group++) { // @unroll
        publish(x[x_first[group] + pack * packed_quarters + quarter]);
        for (var r = 0u; r < group_rows; r++) { // @unroll
          let value = peer(r);
          for (var c = 0u; c < lane_columns; c++) { // @unroll
            sum[group * group_rows + r][c] += dot(value, unpack(w[c], quarter, scale[c]));
          }
        }
      }
    }
  }

  for (var c = 0u; c < lane_columns; c++) { // @unroll
    let column = first_column + c * lanes;
    let scale = row_scale(first_weight + clamp(column, range.x, range.y - 1u));
    for (var r = 0u; r < row_tile; r++) { // @unroll
      if (slots.first + r < slots.end && column >= range.x && column < range.y) {
        y[(slots.first + r) * params.columns + column] = scale * sum[r][c];
      }
    }
  }
}
