// Weights in bfloat16, two to a u32, the first in the low half: one load brings eight, quarter q is 4q to 4q + 3.
// A bfloat16 is the upper half of an f32, so decoding is exact.
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
  return bitcast<vec4f>(vec4u(pair.x << 16u, pair.x & 0xffff0000u, pair.y << 16u, pair.y & 0xffff0000u));
}
