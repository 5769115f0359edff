// matmul   y[r, y_first + c] = sum over k of x[r, k] * weight[c, k]
//                            + lora_scale * sum over j of z[r, j] * lora_b[c, j]      where r < lora_rows
//                            + residual[r, y_first + c]                               if add_residual is 1
//   x         [rows, depth] f32 in                weight   [columns, depth] packed in
//   z         [lora_rows, rank] f32 in            lora_b   [columns, rank] f32 in
//   residual  [rows, y_stride] f32 in             y        [rows, y_stride] f32 out, overwritten
//   depth a multiple of 4 and of a weight pack; rank a multiple of 4, 0 for none
// One workgroup of 16 x 16 threads per tile of row_tile rows and column_tile columns. Slabs of both operands, 16
// deep, go through workgroup memory; each thread sums rows and columns 16 apart. Sums in f32.
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

const row_tile = 64u;
const column_tile = 64u;
const thread_rows = row_tile / 16u;
const thread_columns = column_tile / 16u;
// A slab is 4 vectors deep; a fifth as padding keeps 16 threads that read 16 rows off each other's memory banks.
const slab_stride = 5u;
const slab_packs = 4u / packed_quarters;

var<workgroup> x_slab: array<vec4f, row_tile * slab_stride>;
var<workgroup> weight_slab: array<vec4f, column_tile * slab_stride>;

@compute @workgroup_size(256)
fn matmul(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = tile.x * row_tile;
  let first_column = tile.y * column_tile;
  let thread_row = thread / 16u;
  let thread_column = thread % 16u;
  var sum: array<array<f32, thread_columns>, thread_rows>;

  let vectors = params.depth / 4u;
  let packs = vectors / packed_quarters;
  for (var slab = 0u; slab < vectors; slab += 4u) {
    workgroupBarrier();
    for (var index = thread; index < row_tile * 4u; index += 256u) {
      let row = first_row + index / 4u;
      let vector = slab + index % 4u;
      let inside = row < params.rows && vector < vectors;
      let value = x[select(0u, row * vectors + vector, inside)];
      x_slab[(index / 4u) * slab_stride + index % 4u] = select(vec4f(), value, inside);
    }
    for (var index = thread; index < column_tile * slab_packs; index += 256u) {
      let column = first_column + index / slab_packs;
      let pack = slab / packed_quarters + index % slab_packs;
      let inside = column < params.columns && pack < packs;
      let value = weight[select(0u, column * packs + pack, inside)];
      let scale = pack_scale(select(0u, column, inside), packs, select(0u, pack, inside));
      let start = (index / slab_packs) * slab_stride + (index % slab_packs) * packed_quarters;
      for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
        weight_slab[start + quarter] = select(vec4f(), unpack(value, quarter, scale), inside);
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
  for (var c = 0u; c < thread_columns; c++) { // @unroll
    let scale = row_scale(min(first_column + thread_column + c * 16u, params.columns - 1u));
    for (var r = 0u; r < thread_rows; r++) { // @unroll
      sum[r][c] *= scale;
    }
  }

  for (var j = 0u; j < params.rank / 4u; j++) {
    for (var r = 0u; r < thread_rows; r++) { // @unroll
      let row = first_row + thread_row + r * 16u;
      if (row < params.lora_rows) {
        let value = params.lora_scale * z[row * (params.rank / 4u) + j];
        for (var c = 0u; c < thread_columns; c++) { // @unroll
          let column = min(first_column + thread_column + c * 16u, params.columns - 1u);
          sum[r][c] += dot(value, lora_b[column * (params.rank / 4u) + j]);
        }
      }
    }
  }

  for (var r = 0u; r < thread_rows; r++) { // @unroll
    for (var c = 0u; c < thread_columns; c++) { // @unroll
      let row = first_row + thread_row + r * 16u;
      let column = first_column + thread_column + c * 16u;
      if (row < params.rows && column < params.columns) {
        let index = row * params.y_stride + params.y_first + column;
        if (params.add_residual == 1u) {
          y[index] = residual[index] + sum[r][c];
        } else {
          y[index] = sum[r][c];
        }
      }
    }
  }
}
