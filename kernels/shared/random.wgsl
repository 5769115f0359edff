// pcg4d: four random u32 from a counter of four, with no state.
// Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020.
fn random4(counter: vec4u) -> vec4u {
  var v = counter * 1664525u + 1013904223u;
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  v = v ^ (v >> vec4u(16u));
  v.x += v.y * v.w;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v.w += v.y * v.z;
  return v;
}

// The same as numbers in [0, 1), in steps of 2^-24, the finest that f32 holds evenly.
fn uniform4(counter: vec4u) -> vec4f {
  return vec4f(random4(counter) >> vec4u(8u)) * 5.9604644775390625e-8;
}
