// quantise_int4   scales[first_row + r, g] = the weight of row r and group g whose magnitude is largest, / -8, as f16
//                 codes[first_row + r, k] = 8 + weight[r, k] / its scale, to the nearest integer in [0, 15], ties to even
//   weight  [rows, depth] packed in
//   codes   [first_row + rows, depth / 8] u32 out: eight codes each, the first in the low bits
//   scales  [first_row + rows, groups] f16 out, two to a u32, the first in the low half; groups = ceil(depth / 32)
//   depth a multiple of 16; of both outputs the rows from first_row on are overwritten, those before stay as they are
// A group is 32 values along a row, the last maybe 16. One whose scale is too small for f16 becomes zeros. One with a
// NaN, an infinity or a magnitude above 8 * 65504 becomes NaN, all of it: its scale is.
// One invocation per word of scales, so for two groups; a half that belongs to a row before first_row is kept.
struct Params {
  rows: u32,
  depth: u32,
  first_row: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<Packed>;
@group(0) @binding(2) var<storage, read_write> codes: array<u32>;
@group(0) @binding(3) var<storage, read_write> scale_words: array<u32>;

const group_packs = 8u / packed_quarters;
const largest_f16 = 65504.0;
const not_a_number = 0x7e00u;
const infinity = 0x7f800000u;

@compute @workgroup_size(64)
fn quantise_int4(@builtin(global_invocation_id) id: vec3u) {
  let groups = (params.depth + 31u) / 32u;
  let first_group = params.first_row * groups;
  let pair = first_group / 2u + id.x;
  if (2u * pair >= first_group + params.rows * groups) {
    return;
  }
  var halves = scale_words[pair];
  for (var side = 0u; side < 2u; side++) {
    // Wraps to a large number for a group before the first.
    let index = 2u * pair + side - first_group;
    if (index < params.rows * groups) {
      halves = insertBits(halves, quantise_group(index / groups, index % groups), 16u * side, 16u);
    }
  }
  scale_words[pair] = halves;
}

// Writes the codes of a group and gives its scale, the bits of an f16.
fn quantise_group(row: u32, group: u32) -> u32 {
  let packs = params.depth / (4u * packed_quarters);
  let own_scale = row_scale(row);
  var values: array<vec4f, 8>;
  for (var p = 0u; p < group_packs; p++) { // @unroll
    // Behind the end of the row its last values again, which change no maximum.
    let pack = min(group * group_packs + p, packs - 1u);
    let w = weight[row * packs + pack];
    let scale = pack_scale(row, packs, pack);
    for (var quarter = 0u; quarter < packed_quarters; quarter++) { // @unroll
      values[p * packed_quarters + quarter] = own_scale * unpack(w, quarter, scale);
    }
  }

  var most = vec4f();
  var least = vec4f();
  var bits = vec4u();
  for (var v = 0u; v < 8u; v++) { // @unroll
    most = max(most, values[v]);
    least = min(least, values[v]);
    bits = max(bits, bitcast<vec4u>(values[v]) & vec4u(0x7fffffffu));
  }
  let above = max(max(most.x, most.y), max(most.z, most.w));
  let below = min(min(least.x, least.y), min(least.z, least.w));
  let wanted = select(above, below, -below > above) / -8.0;
  let broken = max(max(bits.x, bits.y), max(bits.z, bits.w)) >= infinity || abs(wanted) > largest_f16;

  // Codes go by the scale as it is stored, so that its rounding does not add to theirs.
  let stored = pack2x16float(vec2f(select(wanted, 0.0, broken), 0.0));
  let scale = unpack2x16float(stored).x;
  let usable = scale != 0.0;
  let inverse = select(0.0, 1.0 / scale, usable);
  let words = params.depth / 8u;
  for (var word = 0u; word < 4u; word++) { // @unroll
    if (group * 4u + word < words) {
      let low = code4(values[2u * word] * inverse);
      let high = code4(values[2u * word + 1u] * inverse);
      let both = low.x | (low.y << 4u) | (low.z << 8u) | (low.w << 12u)
        | (high.x << 16u) | (high.y << 20u) | (high.z << 24u) | (high.w << 28u);
      codes[(params.first_row + row) * words + group * 4u + word] = select(0x88888888u, both, usable);
    }
  }
  return select(stored & 0xffffu, not_a_number, broken);
}

fn code4(quotient: vec4f) -> vec4u {
  return vec4u(clamp(round(quotient) + 8.0, vec4f(0.0), vec4f(15.0)));
}
