// Weights in int4, eight to a u32, the first in the low bits: one load brings sixteen, quarter q is 4q to 4q + 3.
// A weight is its code, less 8, times the scale of its group: two packs of a row, the last maybe one. The scales are
// float16, two to a u32, the first in the low half.
alias Packed = vec2<u32>;
const packed_quarters = 4u;

@group(0) @binding(15) var<storage, read> scales: array<u32>;

fn row_scale(row: u32) -> f32 {
  return 1.0;
}

fn pack_scale(row: u32, packs: u32, pack: u32) -> f32 {
  let group = row * ((packs + 1u) / 2u) + pack / 2u;
  return unpack2x16float(scales[group / 2u])[group % 2u];
}

fn unpack(pack: Packed, quarter: u32, scale: f32) -> vec4f {
  let bits = pack[quarter / 2u] >> (16u * (quarter % 2u));
  let codes = (vec4u(bits) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u);
  return (vec4f(codes) - 8.0) * scale;
}
