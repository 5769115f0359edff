// matmul   y[r, y_first + c] = sum over k of x[r, k] * weight[c, k]
//                            + lora_scale * sum over j of z[r, j] * lora_b[c, j]      where r < lora_rows
//                            + residual[r, y_first + c]                               if add_residual is 1
//   x         [rows, depth] f32 in                weight   [columns, depth] packed in
//   z         [lora_rows, rank] f32 in            lora_b   [columns, rank] f32 in
//   residual  [rows, y_stride] f32 in             y        [rows, y_stride] f32 out, overwritten
//   depth a multiple of 4 and of a weight pack; rank a multiple of 4, 0 for none
// One workgroup per tile of row_tile rows and column_tile columns. Each lane owns column_tile / lanes columns and all
// rows of the tile; a row of x is loaded by one lane and handed to the others. Sums in f32.
struct Params {
  rows: u32,
  columns: u32,
  depth: u32,
  rank: u32,
  lora_rows: u32,
  lora_scale: f32,
  add_residual: u32,
  y_stride: u32,
  y_first: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<Packed>;
@group(0) @binding(3) var<storage, read> z: array<vec4f>;
@group(0) @binding(4) var<storage, read> lora_b: array<vec4f>;
@group(0) @binding(5) var<storage, read> residual: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

const row_tile = 16u;
const column_tile = 16u;
const lane_columns = column_tile / lanes;
const group_rows = min(row_tile, lanes);

@compute @workgroup_size(lanes)
fn matmul(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let first_row = tile.x * row_tile;
  let own_row = min(lane, group_rows - 1u);
  let first_column = tile.y * column_tile + lane;
  var sum: array<array<f32, lane_columns>, row_tile>;

  let packs = params.depth / (4u * packed_quarters);
  for (var pack = 0u; pack < packs; pack++) {
    var w: array<Packed, lane_columns>;
    var scale: array<f32, lane_columns>;
    for (var c = 0u; c < lane_columns; c++) { // @unroll
      let column = min(first_column + c * lanes, params.columns - 1u);
      w[c] = weight[column * packs + pack];
      scale[c] = pack_scale(column, packs, pack);
    }
    for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
      for (var group = 0u; group < row_tile / group_rows; group++) { // @unroll
        let row = min(first_row + group * group_rows + own_row, params.rows - 1u);
        publish(x[row * (params.depth / 4u) + pack * packed_quarters + quarter]);
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
    let scale = row_scale(min(first_column + c * lanes, params.columns - 1u));
    for (var r = 0u; r < row_tile; r++) { // @unroll
      sum[r][c] *= scale;
    }
  }

  for (var j = 0u; j < params.rank / 4u; j++) {
    var b: array<vec4f, lane_columns>;
    for (var c = 0u; c < lane_columns; c++) { // @unroll
      b[c] = lora_b[min(first_column + c * lanes, params.columns - 1u) * (params.rank / 4u) + j];
    }
    for (var group = 0u; group < row_tile / group_rows; group++) { // @unroll
      let row = first_row + group * group_rows + own_row;
      let adapted = row < params.lora_rows;
      let scale = select(0.0, params.lora_scale, adapted);
      publish(scale * z[select(0u, row, adapted) * (params.rank / 4u) + j]);
      for (var r = 0u; r < group_rows; r++) { // @unroll
        let value = peer(r);
        for (var c = 0u; c < lane_columns; c++) { // @unroll
          sum[group * group_rows + r][c] += dot(value, b[c]);
        }
      }
    }
  }

  for (var r = 0u; r < row_tile; r++) { // @unroll
    for (var c = 0u; c < lane_columns; c++) { // @unroll
      let column = first_column + c * lanes;
      if (first_row + r < params.rows && column < params.columns) {
        let index = (first_row + r) * params.y_stride + params.y_first + column;
        if (params.add_residual == 1u) {
          y[index] = residual[index] + sum[r][c];
        } else {
          y[index] = sum[r][c];
        }
      }
    }
  }
}
