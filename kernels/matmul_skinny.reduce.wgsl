// matmul_skinny   the product of `matmul`, for up to row_tile rows:
//   y[r, y_first + c] = sum over k of x[r, k] * weight[c, k]
//                     + lora_scale * sum over j of z[r, j] * lora_b[c, j]      where r < lora_rows
//                     + residual[r, y_first + c]                               if add_residual is 1
//   buffers as in matmul
// One workgroup per column_tile columns. The lanes stride over the depth, so that neighbours read neighbouring
// weights, and add up their sums at the end. Sums in f32.
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
const column_tile = 4u;

@compute @workgroup_size(lanes)
fn matmul_skinny(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let first_column = tile.x * column_tile;
  let vectors = params.depth / 4u;
  let packs = vectors / packed_quarters;
  var sum: array<array<f32, column_tile>, row_tile>;

  for (var pack = lane; pack < packs; pack += lanes) {
    for (var c = 0u; c < column_tile; c++) { // @unroll
      let column = min(first_column + c, params.columns - 1u);
      let w = weight[column * packs + pack];
      let scale = pack_scale(column, packs, pack);
      for (var r = 0u; r < row_tile; r++) { // @unroll
        let start = min(r, params.rows - 1u) * vectors + pack * packed_quarters;
        for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
          sum[r][c] += dot(x[start + quarter], unpack(w, quarter, scale));
        }
      }
    }
  }

  for (var c = 0u; c < column_tile; c++) { // @unroll
    for (var r = 0u; r < row_tile; r++) { // @unroll
      var total = lanes_sum(sum[r][c]);
      let column = first_column + c;
      if (lane == 0u && r < params.rows && column < params.columns) {
        total *= row_scale(column);
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
