// lora_gradient   gradient[s, first + i * wide_step + j * narrow_step] +=
//                   scale * sum over the rows r of split s of wide[r, wide_first + i] * narrow[r, narrow_first + j]
//   wide      [rows, wide_stride] f32 in;    i < wide_count,    a multiple of 4 as are wide_first and wide_stride
//   narrow    [rows, narrow_stride] f32 in;  j < narrow_count,  a multiple of 4 as are narrow_first and narrow_stride
//   gradient  [splits, gradient_stride] f32 in/out, accumulated
// The outer products of both LoRA gradients: dB has wide = dy and narrow = z, dA has wide = x and narrow = dz; the
// steps lay them out as [wide, narrow] or [narrow, wide].
// One workgroup per 4 * lanes wide columns, 8 narrow columns and split; split s has the rows from rows * s / splits
// to rows * (s + 1) / splits, rounded to whole blocks of `lanes`. Each lane owns 4 wide columns; the narrow values of
// `lanes` rows are loaded at once and handed round. Sums in f32, in the order of the rows.
struct Params {
  rows: u32,
  wide_count: u32,
  wide_stride: u32,
  wide_first: u32,
  narrow_count: u32,
  narrow_stride: u32,
  narrow_first: u32,
  first: u32,
  wide_step: u32,
  narrow_step: u32,
  gradient_stride: u32,
  splits: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> wide: array<vec4f>;
@group(0) @binding(2) var<storage, read> narrow: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> gradient: array<f32>;

// Narrow columns of a workgroup, in vectors.
const narrow_vectors = 2u;

@compute @workgroup_size(lanes)
fn lora_gradient(@builtin(workgroup_id) tile: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let wide_vectors = params.wide_count / 4u;
  let own_vector = tile.x * lanes + lane;
  let wide_vector = params.wide_first / 4u + min(own_vector, wide_vectors - 1u);
  let first_narrow = tile.y * narrow_vectors;
  let blocks = (params.rows + lanes - 1u) / lanes;
  let first_block = blocks * tile.z / params.splits;
  let end_block = blocks * (tile.z + 1u) / params.splits;
  var sum: array<array<vec4f, 4>, narrow_vectors>;

  for (var block = first_block; block < end_block; block++) {
    let own_row = block * lanes + lane;
    let inside = own_row < params.rows;
    var x: array<vec4f, lanes>;
    for (var r = 0u; r < lanes; r++) { // @unroll
      x[r] = wide[min(block * lanes + r, params.rows - 1u) * (params.wide_stride / 4u) + wide_vector];
    }
    for (var n = 0u; n < narrow_vectors; n++) { // @unroll
      let vector = min(first_narrow + n, params.narrow_count / 4u - 1u);
      let row = select(0u, own_row, inside);
      let value = narrow[(row * params.narrow_stride + params.narrow_first) / 4u + vector];
      publish(select(vec4f(), value, inside));
      for (var r = 0u; r < lanes; r++) { // @unroll
        let factor = peer(r);
        sum[n][0] += x[r].x * factor;
        sum[n][1] += x[r].y * factor;
        sum[n][2] += x[r].z * factor;
        sum[n][3] += x[r].w * factor;
      }
    }
  }

  if (own_vector < wide_vectors) {
    for (var n = 0u; n < narrow_vectors; n++) { // @unroll
      if ((first_narrow + n) * 4u < params.narrow_count) {
        for (var i = 0u; i < 4u; i++) { // @unroll
          for (var j = 0u; j < 4u; j++) { // @unroll
            let index = tile.z * params.gradient_stride + params.first
              + (own_vector * 4u + i) * params.wide_step
              + ((first_narrow + n) * 4u + j) * params.narrow_step;
            gradient[index] += params.scale * sum[n][i][j];
          }
        }
      }
    }
  }
}
