// quantise_int8   scales[first_row + r] = largest |weight[r, k]| over k, / 127
//                 codes[first_row + r, k] = weight[r, k] / scales[first_row + r], to the nearest integer, ties to even
//   weight  [rows, depth] packed in
//   codes   [first_row + rows, depth / 4] u32 out: four codes each, the first in the low byte
//   scales  [first_row + rows] f32 out
//   depth a multiple of 16; of both outputs the rows from first_row on are overwritten, those before stay as they are
// A row of magnitudes below 1e-30 becomes zeros. A row with a NaN or an infinity becomes NaN, all of it: its scale is.
// One workgroup per row, 32768 of them to a line of the grid; its lanes stride over the row.
struct Params {
  rows: u32,
  depth: u32,
  first_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<Packed>;
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
// As bits, because WGSL may take any f32 that it computes for a number.
@group(0) @binding(3) var<storage, read_write> scale_words: array<u32>;

const grid_line = 32768u;
const infinity = 0x7f800000u;
const not_a_number = 0x7fc00000u;

@compute @workgroup_size(lanes)
fn quantise_int8(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  enter(lane);
  let row = group.y * grid_line + group.x;
  if (row >= params.rows) {
    return;
  }
  let packs = params.depth / (4u * packed_quarters);
  let own_scale = row_scale(row);

  // Magnitudes in the order of their bits, where NaN stands above infinity.
  var bits = vec4u();
  for (var pack = lane; pack < packs; pack += lanes) {
    let w = weight[row * packs + pack];
    let scale = pack_scale(row, packs, pack);
    for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
      bits = max(bits, bitcast<vec4u>(own_scale * unpack(w, quarter, scale)) & vec4u(0x7fffffffu));
    }
  }
  let own_bits = max(max(bits.x, bits.y), max(bits.z, bits.w));
  let broken = lanes_max(select(0.0, 1.0, own_bits >= infinity)) > 0.0;
  let largest = lanes_max(bitcast<f32>(select(own_bits, 0u, own_bits >= infinity)));
  let usable = !broken && largest >= 1e-30;
  let inverse = select(0.0, 127.0 / largest, usable);

  for (var pack = lane; pack < packs; pack += lanes) {
    let w = weight[row * packs + pack];
    let scale = pack_scale(row, packs, pack);
    for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
      let code = vec4i(round(own_scale * unpack(w, quarter, scale) * inverse));
      codes[((params.first_row + row) * packs + pack) * packed_quarters + quarter] =
        select(0u, pack4xI8(code), usable);
    }
  }
  if (lane == 0u) {
    let scale = select(0u, bitcast<u32>(largest / 127.0), usable);
    scale_words[params.first_row + row] = select(scale, not_a_number, broken);
  }
}
