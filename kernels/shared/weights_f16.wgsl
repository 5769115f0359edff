// Weights in float16, two to a u32, the first in the low half: one load brings eight, quarter q is 4q to 4q + 3.
// unpack2x16float is exact and needs no shader-f16.
alias Packed = vec4<u32>;
const packed_quarters = 2u;

fn row_scale(row: u32) -> f32 {
  return 1.0;
}

fn pack_scale(row: u32, packs: u32, pack: u32) -> f32 {
  return 1.0;
}

fn unpack(pack: Packed, quarter: u32, scale: f32) -> vec4f {
  let pair = select(pack.xy, pack.zw, quarter == 1u);
  return vec4f(unpack2x16float(pair.x), unpack2x16float(pair.y));
}
