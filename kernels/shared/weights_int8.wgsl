// Weights in int8, four to a u32, the first in the low byte: one load brings sixteen, quarter q is 4q to 4q + 3.
// A weight is its code times the scale of its row.
alias Packed = vec4<u32>;
const packed_quarters = 4u;

@group(0) @binding(15) var<storage, read> scales: array<f32>;

fn row_scale(row: u32) -> f32 {
  return scales[row];
}

fn pack_scale(row: u32, packs: u32, pack: u32) -> f32 {
  return 1.0;
}

fn unpack(pack: Packed, quarter: u32, scale: f32) -> vec4f {
  return vec4f(unpack4xI8(pack[quarter]));
}
