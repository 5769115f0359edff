// matmul_backward   dx[r, k] = scale * sum over c of dy[r, dy_first + c] * weight[c, k]   + dx[r, k] if accumulate is 1
//   dy      [rows, dy_stride] f32 in; columns dy_first + columns up to the next multiple of 4 must hold 0
//   weight  [columns, depth] packed in
//   dx      [rows, depth] f32 in/out, overwritten or accumulated
//   dy_first and dy_stride multiples of 4; depth a multiple of 4 and of a weight pack
// One workgroup of 16 x 16 threads per tile of row_tile rows and depth_tile columns of dx. Slabs of both operands,
// 16 columns of dy, go through workgroup memory; each thread sums rows and vectors 16 apart. Sums in f32.
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

const row_tile = 64u;
const depth_tile = 64u;
const thread_rows = row_tile / 16u;
const thread_vectors = depth_tile / 64u;
const tile_packs = depth_tile / (4u * packed_quarters);
// A slab of dy is 4 vectors wide; a fifth as padding keeps threads that read different rows off the same banks.
const slab_stride = 5u;

var<workgroup> dy_slab: array<vec4f, row_tile * slab_stride>;
var<workgroup> weight_slab: array<vec4f, 16u * depth_tile / 4u>;

@compute @workgroup_size(256)
fn matmul_backward(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first_row = tile.x * row_tile;
  let first_pack = tile.y * tile_packs;
  let packs = params.depth / (4u * packed_quarters);
  let thread_row = thread / 16u;
  let thread_vector = thread % 16u;
  var sum: array<array<vec4f, thread_vectors>, thread_rows>;

  let vectors = (params.columns + 3u) / 4u;
  for (var slab = 0u; slab < vectors; slab += 4u) {
    workgroupBarrier();
    for (var index = thread; index < row_tile * 4u; index += 256u) {
      let row = first_row + index / 4u;
      let vector = slab + index % 4u;
      let inside = row < params.rows && vector < vectors;
      let value = dy[select(0u, (row * params.dy_stride + params.dy_first) / 4u + vector, inside)];
      dy_slab[(index / 4u) * slab_stride + index % 4u] = select(vec4f(), value, inside);
    }
    for (var index = thread; index < 16u * tile_packs; index += 256u) {
      let column = slab * 4u + index / tile_packs;
      let pack = first_pack + index % tile_packs;
      let inside = column < params.columns && pack < packs;
      let value = weight[select(0u, column * packs + pack, inside)];
      let own_column = select(0u, column, inside);
      let column_scale = row_scale(own_column);
      let scale = pack_scale(own_column, packs, select(0u, pack, inside));
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
      let row = first_row + thread_row + r * 16u;
      let vector = first_pack * packed_quarters + thread_vector + v * 16u;
      if (row < params.rows && vector < depth_vectors) {
        let index = row * depth_vectors + vector;
        let value = params.scale * sum[r][v];
        if (params.accumulate == 1u) {
          dx[index] += value;
        } else {
          dx[index] = value;
        }
      }
    }
  }
}
