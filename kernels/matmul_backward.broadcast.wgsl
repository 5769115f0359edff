// matmul_backward   dx[r, k] = scale * sum over c of dy[r, dy_first + c] * weight[c, k]   + dx[r, k] if accumulate is 1
//   dy      [rows, dy_stride] f32 in; columns dy_first + columns up to the next multiple of 4 must hold 0
//   weight  [columns, depth] packed in
//   dx      [rows, depth] f32 in/out, overwritten or accumulated
//   dy_first and dy_stride multiples of 4; depth a multiple of 4 and of a weight pack
// One workgroup per tile of row_tile rows and lanes * lane_packs packs of dx: depth_tile columns, or more where a
// pack for each lane is more, and then the last workgroups have nothing to do. Each lane owns lane_packs packs of
// columns and all rows of the tile; a row of dy is loaded by one lane and handed to the others. Sums in f32.
struct Params {
  rows: u32,
  columns: u32,
  depth: u32,
  dy_stride: u32,
  dy_first: u32,
  scale: f32,
  accumulate: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<Packed>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4f>;

const row_tile = 8u;
const depth_tile = 64u;
const lane_packs = max(1u, depth_tile / lanes / (4u * packed_quarters));
const group_rows = min(row_tile, lanes);

@compute @workgroup_size(lanes)
fn matmul_backward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let first_row = tile.x * row_tile;
  let own_row = min(lane, group_rows - 1u);
  let packs = params.depth / (4u * packed_quarters);
  let first_pack = tile.y * lanes * lane_packs + lane;
  if (tile.y * lanes * lane_packs >= packs) {
    return;
  }
  var sum: array<array<vec4f, lane_packs * packed_quarters>, row_tile>;

  for (var vector = 0u; vector < (params.columns + 3u) / 4u; vector++) {
    var w: array<array<Packed, 4>, lane_packs>;
    var scale: array<array<f32, 4>, lane_packs>;
    var row_scales: vec4f;
    for (var c = 0u; c < 4u; c++) { // @unroll
      let column = min(vector * 4u + c, params.columns - 1u);
      row_scales[c] = row_scale(column);
      for (var p = 0u; p < lane_packs; p++) { // @unroll
        let pack = min(first_pack + p * lanes, packs - 1u);
        w[p][c] = weight[column * packs + pack];
        scale[p][c] = pack_scale(column, packs, pack);
      }
    }
    for (var group = 0u; group < row_tile / group_rows; group++) { // @unroll
      let row = min(first_row + group * group_rows + own_row, params.rows - 1u);
      publish(row_scales * dy[(row * params.dy_stride + params.dy_first) / 4u + vector]);
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
      if (first_row + r < params.rows && pack < packs) {
        for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
          let index = ((first_row + r) * packs + pack) * packed_quarters + quarter;
          let value = params.scale * sum[r][p * packed_quarters + quarter];
          if (params.accumulate == 1u) {
            dx[index] += value;
          } else {
            dx[index] = value;
          }
        }
      }
    }
  }
}
