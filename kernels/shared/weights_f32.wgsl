// Weights of 32 bits: one load brings four, and quarter 0 is all of them.
alias Packed = vec4<f32>;
const packed_quarters = 1u;

fn unpack(pack: Packed, quarter: u32) -> vec4f {
  return pack;
}
