import { defineKernel, type Kernel, tiles } from "../../kernels/kernel.ts";
import type { SourceFile } from "../../kernels/specialise.ts";

/** The WGSL of {@linkcode shift}. */
export const SHIFT_SOURCE: SourceFile = {
  file: "tests/shift.wgsl",
  text: `struct Params {
  count: u32,
  value: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn shift(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) {
    y[id.x] = x[id.x] + params.value;
  }
}`,
};

/** A kernel that is not one of ours: `y[i] = x[i] + value` for `count` values. */
export const shift: Kernel<"count" | "value", "x" | "y"> = defineKernel({
  name: "shift",
  source: SHIFT_SOURCE,
  params: { count: "u32", value: "f32" },
  buffers: { x: "read", y: "read_write" },
  shapes: ({ count }) => ({ x: [count], y: [count] }),
  workgroups: ({ count }) => [tiles(count, 64), 1, 1],
});
