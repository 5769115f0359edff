// Weights of 32 bits: one load brings four, and quarter 0 is all of them.
alias Packed = vec4<f32>;
const packed_quarters = 1u;

fn row_scale(row: u32) -> f32 {
  return 1.0;
}

fn pack_scale(row: u32, packs: u32, pack: u32) -> f32 {
  return 1.0;
}

fn unpack(pack: Packed, quarter: u32, scale: f32) -> vec4f {
  return pack;
}
