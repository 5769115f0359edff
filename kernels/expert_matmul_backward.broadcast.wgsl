// expert_matmul_backward   dx[s, k] = sum over c of dy[r, c] * weight[e * columns + c, k]     for the slots s of each
//                          expert e that have adapted tokens, with r the slot, or its token
//   spans    [experts, 3] u32 in; choices [slots] u32 in: of route_experts; `adapted` of the slots have adapted tokens
//   dy       [slots, columns] f32 in; where slots_per_token is not 0, [adapted / slots_per_token, columns], by token
//   weight   [weight_rows, depth] packed in: rows weight_first to weight_first + weight_rows of the experts' matrices,
//            [columns, depth] each, one below the other
//   dx       [slots, depth] f32 in/out: slots of adapted tokens overwritten, or accumulated where weight begins amid
//            the expert's rows, so that a matrix in parts takes a call for each, in order
//   columns and weight_first multiples of 4; depth a multiple of 4 and of a weight pack
// One workgroup per tile of up to row_tile slots of one expert and lanes * lane_packs packs of dx. Each lane owns
// lane_packs packs of columns and all slots of the tile; a row of dy is loaded by one lane and handed to the others.
// Sums in f32.
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

const row_tile = 8u;
const depth_tile = 64u;
const lane_packs = max(1u, depth_tile / lanes / (4u * packed_quarters));
const group_rows = min(row_tile, lanes);
const row_groups = row_tile / group_rows;

@compute @workgroup_size(lanes)
fn expert_matmul_backward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let slots = slot_tile(tile.x, row_tile, params.experts, adapted_tokens);
  let range = columns_in(slots.expert, params.columns, params.weight_first, params.weight_rows);
  let packs = params.depth / (4u * packed_quarters);
  // A lane's pack may be wider than its share of the tile, and then the last tiles have nothing to do.
  if (slots.first == slots.end || range.x == range.y || tile.y * lanes * lane_packs >= packs) {
    return;
  }
  let first_weight = slots.expert * params.columns - params.weight_first;
  let first_pack = tile.y * lanes * lane_packs + lane;
  var dy_first: array<u32, row_groups>;
  for (var group = 0u; group < row_groups; group++) { // @unroll
    let slot = min(slots.first + group * group_rows + min(lane, group_rows - 1u), slots.end - 1u);
    dy_first[group] = row_of(slot, params.slots_per_token) * (params.columns / 4u);
  }
  var sum: array<array<vec4f, lane_packs * packed_quarters>, row_tile>;

  for (var vector = range.x / 4u; vector < range.y / 4u; vector++) {
    var w: array<array<Packed, 4>, lane_packs>;
    var scale: array<vec4f, lane_packs>;
    var row_scales: vec4f;
    for (var c = 0u; c < 4u; c++) { // @unroll
      row_scales[c] = row_scale(first_weight + vector * 4u + c);
    }
    for (var p = 0u; p < lane_packs; p++) { // @unroll
      for (var c = 0u; c < 4u; c++) { // @unroll
        let row = first_weight + vector * 4u + c;
        let pack = min(first_pack + p * lanes, packs - 1u);
        w[p][c] = weight[row * packs + pack];
        scale[p][c] = pack_scale(row, packs, pack);
      }
    }
    for (var group = 0u; group < row_groups; group++) { // @unroll
      publish(row_scales * dy[dy_first[group] + vector]);
      for (var r = 0u; r < group_rows; r++) { // @unroll
        let value = peer(r);
        for (var p = 0u; p < lane_packs; p++) { // @unroll
          for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
            sum[group * group_rows + r][p * packed_quarters + quarter] +=
              value.x * unpack(w[p][0], quarter, scale[p][0])
              + value.y * unpack(w[p][1], quarter, scale[p][1])
              + value.z * unpack(w[p][2], quarter, scale[p][2])
              + value.w * unpack(w[p][3], quarter, scale[p][3]);
          }
        }
      }
    }
  }

  for (var r = 0u; r < row_tile; r++) { // @unroll
    for (var p = 0u; p < lane_packs; p++) { // @unroll
      let pack = first_pack + p * lanes;
      if (slots.first + r < slots.end && pack < packs) {
        for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
          let index = ((slots.first + r) * packs + pack) * packed_quarters + quarter;
          let value = sum[r][p * packed_quarters + quarter];
          if (range.x > 0u) {
            dx[index] += value;
          } else {
            dx[index] = value;
          }
        }
      }
    }
  }
}
