// matmul_skinny   the product of `matmul`, for up to row_tile rows:
//   y[r, y_first + c] = sum over k of x[r, k] * weight[c, k]
//                     + lora_scale * sum over j of z[r, j] * lora_b[c, j]      where r < lora_rows
//                     + residual[r, y_first + c]                               if add_residual is 1
//   buffers as in matmul
// One workgroup per column_tile columns. Each lane owns column_tile / lanes columns; the lanes load 4 * lanes values
// of a row of x at once and hand them round, so that the weights are all that is loaded lane by lane. Sums in f32.
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

const row_tile = 4u;
const column_tile = 16u;
const lane_columns = column_tile / lanes;
const chunk_packs = lanes / packed_quarters;

@compute @workgroup_size(lanes)
fn matmul_skinny(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let first_column = tile.x * column_tile + lane;
  let vectors = params.depth / 4u;
  let packs = vectors / packed_quarters;
  var sum: array<array<f32, lane_columns>, row_tile>;

  for (var chunk = 0u; chunk < vectors; chunk += lanes) {
    let inside = chunk + lane < vectors;
    let own_vector = select(0u, chunk + lane, inside);
    var own: array<vec4f, row_tile>;
    for (var r = 0u; r < row_tile; r++) { // @unroll
      own[r] = select(vec4f(), x[min(r, params.rows - 1u) * vectors + own_vector], inside);
    }
    for (var p = 0u; p < chunk_packs; p++) { // @unroll
      let pack = min(chunk / packed_quarters + p, packs - 1u);
      for (var c = 0u; c < lane_columns; c++) { // @unroll
        let column = min(first_column + c * lanes, params.columns - 1u);
        let w = weight[column * packs + pack];
        let scale = pack_scale(column, packs, pack);
        for (var r = 0u; r < row_tile; r++) { // @unroll
          publish(own[r]);
          for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
            sum[r][c] += dot(peer(p * packed_quarters + quarter), unpack(w, quarter, scale));
          }
        }
      }
    }
  }

  for (var c = 0u; c < lane_columns; c++) { // @unroll
    let column = first_column + c * lanes;
    if (column < params.columns) {
      let scale = row_scale(column);
      for (var r = 0u; r < row_tile; r++) { // @unroll
        if (r < params.rows) {
          var total = scale * sum[r][c];
          if (r < params.lora_rows) {
            for (var j = 0u; j < params.rank / 4u; j++) {
              let product = dot(z[r * (params.rank / 4u) + j], lora_b[column * (params.rank / 4u) + j]);
              total += params.lora_scale * product;
            }
          }
          let index = r * params.y_stride + params.y_first + column;
          if (params.add_residual == 1u) {
            total += residual[index];
          }
          y[index] = total;
        }
      }
    }
  }
}
