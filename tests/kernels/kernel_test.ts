import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { checkCall, defineKernel, tiles } from "../../kernels/kernel.ts";
import type { DType, Tensor } from "../../kernels/tensor.ts";

const norm = defineKernel({
  name: "norm",
  source: { file: "kernels/norm.wgsl", text: "" },
  params: { rows: "u32", width: "u32", direction: "i32", eps: "f32" },
  buffers: { x: "read", weight: "read", y: "read_write" },
  packed: "weight",
  shapes: ({ rows, width }) => ({ x: [rows, width], weight: [width], y: [rows, width] }),
  workgroups: ({ rows }) => [rows, 1, 1],
});

const tensor = (dtype: DType, ...shape: number[]): Tensor => ({
  label: "t",
  dtype,
  shape,
  buffer: {} as GPUBuffer,
  offset: 0,
});

const PARAMS = { rows: 2, width: 8, direction: -1, eps: 1e-6 };
const BUFFERS = { x: tensor("f32", 2, 8), weight: tensor("bf16", 8), y: tensor("f32", 2, 8) };

Deno.test("defineKernel() keeps the order of params and buffers as their layout", () => {
  assertEquals(norm.paramNames, ["rows", "width", "direction", "eps"]);
  assertEquals(norm.bufferNames, ["x", "weight", "y"]);
});

for (
  const { count, expected } of [
    { count: 0, expected: 0 },
    { count: 1, expected: 1 },
    { count: 63, expected: 1 },
    { count: 64, expected: 1 },
    { count: 65, expected: 2 },
  ]
) {
  Deno.test(`tiles() covers ${count} in tiles of 64 with ${expected}`, () => {
    assertEquals(tiles(count, 64), expected);
  });
}

Deno.test("checkCall() accepts buffers of the shapes that the params ask for", () => {
  checkCall(norm, { params: PARAMS, buffers: BUFFERS });
});

Deno.test("checkCall() accepts a buffer with room to spare and in another shape", () => {
  checkCall(norm, { params: PARAMS, buffers: { ...BUFFERS, x: tensor("f32", 17) } });
});

Deno.test("checkCall() refuses a buffer one value short, naming kernel, buffer, shape and params", () => {
  const buffers = { ...BUFFERS, weight: tensor("f32", 7) };
  const error = assertThrows(() => checkCall(norm, { params: PARAMS, buffers }), UserError);
  assertEquals(
    error.message,
    'Cannot run norm: buffer "weight" has 7 values but [8] needs 8\n' +
      '  where: kernels/norm.ts, params {"rows":2,"width":8,"direction":-1,"eps":0.000001}\n' +
      "  fix:   pass a buffer of that shape, or correct the params",
  );
  assertEquals(error.kind, "internal");
});

Deno.test("checkCall() refuses a call without one of its buffers", () => {
  const buffers = { ...BUFFERS, y: undefined } as unknown as typeof BUFFERS;
  assertThrows(() => checkCall(norm, { params: PARAMS, buffers }), UserError, 'buffer "y" is missing');
});

for (
  const { buffer, dtype, fix } of [
    { buffer: "x", dtype: "bf16", fix: "f32 or u32" },
    { buffer: "y", dtype: "f16", fix: "f32 or u32" },
    { buffer: "x", dtype: "int8", fix: "f32 or u32" },
    { buffer: "y", dtype: "int4", fix: "f32 or u32" },
    { buffer: "weight", dtype: "u32", fix: "f32 or f16 or bf16 or int8 or int4" },
  ] as const
) {
  Deno.test(`checkCall() refuses ${dtype} for buffer "${buffer}" and says what it takes`, () => {
    const buffers = { ...BUFFERS, [buffer]: tensor(dtype, 2, 8) };
    const error = assertThrows(() => checkCall(norm, { params: PARAMS, buffers }), UserError);
    assertEquals([error.what, error.fix], [
      `Cannot run norm: buffer "${buffer}" is of type ${dtype}`,
      `pass a tensor of type ${fix}`,
    ]);
  });
}

const product = defineKernel({
  name: "product",
  source: { file: "kernels/product.wgsl", text: "" },
  params: { columns: "u32", depth: "u32" },
  buffers: { weight: "read" },
  packed: "weight",
  shapes: ({ columns, depth }) => ({ weight: [columns, depth] }),
  workgroups: () => [1, 1, 1],
});

const codes = (dtype: DType, shape: number[], scales?: Tensor): Tensor => ({
  ...tensor(dtype, ...shape),
  scales,
});

for (
  const [dtype, depth, scales] of [
    ["int8", 16, tensor("f32", 3)],
    ["int8", 48, tensor("f32", 5)],
    ["int4", 16, tensor("f16", 3, 1)],
    ["int4", 48, tensor("f16", 3, 2)],
  ] as const
) {
  Deno.test(`checkCall() accepts ${dtype} in rows of ${depth} with scales [${scales.shape}]`, () => {
    checkCall(product, {
      params: { columns: 3, depth },
      buffers: { weight: codes(dtype, [3, depth], scales) },
    });
  });
}

for (
  const { weight, depth, what } of [
    { weight: codes("int8", [3, 24], tensor("f32", 3)), depth: 24, what: "is int8 in rows of 24" },
    {
      weight: codes("int8", [3, 32], tensor("f32", 3)),
      depth: 16,
      what: "is int8 in rows of 32 and read in",
    },
    { weight: codes("int8", [3, 32]), depth: 32, what: "is int8 without scales" },
    {
      weight: codes("int8", [3, 32], tensor("f16", 3)),
      depth: 32,
      what: "has scales of type f16 where int8",
    },
    { weight: codes("int8", [3, 32], tensor("f32", 2)), depth: 32, what: "has 2 scales but [3] needs 3" },
    {
      weight: codes("int4", [3, 48], tensor("f32", 3, 2)),
      depth: 48,
      what: "has scales of type f32 where int4",
    },
    { weight: codes("int4", [3, 48], tensor("f16", 5)), depth: 48, what: "has 5 scales but [3, 2] needs 6" },
  ]
) {
  Deno.test(`checkCall() refuses a quantised buffer that ${what}`, () => {
    const error = assertThrows(
      () => checkCall(product, { params: { columns: 3, depth }, buffers: { weight } }),
      UserError,
    );
    assertStringIncludes(error.what, `Cannot run product: buffer "weight" ${what}`);
  });
}

for (
  const { param, value, type } of [
    { param: "rows", value: -1, type: "u32" },
    { param: "rows", value: 1.5, type: "u32" },
    { param: "rows", value: 2 ** 32, type: "u32" },
    { param: "rows", value: NaN, type: "u32" },
    { param: "rows", value: undefined, type: "u32" },
    { param: "rows", value: "2", type: "u32" },
    { param: "direction", value: 2 ** 31, type: "i32" },
    { param: "direction", value: 0.5, type: "i32" },
    { param: "eps", value: NaN, type: "f32" },
  ]
) {
  const shown = typeof value === "string" ? `"${value}"` : value;
  Deno.test(`checkCall() refuses ${shown} for "${param}", a ${type}, naming it`, () => {
    const params = { ...PARAMS, [param]: value } as typeof PARAMS;
    const error = assertThrows(() => checkCall(norm, { params, buffers: BUFFERS }), UserError);
    assertEquals([error.what, error.fix], [
      `Cannot run norm: param "${param}" is ${value}`,
      `pass a number of type ${type}`,
    ]);
  });
}

Deno.test("checkCall() accepts the smallest and largest number of each type", () => {
  for (const direction of [-(2 ** 31), 2 ** 31 - 1]) {
    checkCall(norm, { params: { ...PARAMS, direction }, buffers: BUFFERS });
  }
  const params = { ...PARAMS, rows: 0, width: 2 ** 32 - 1, eps: 3e38 };
  checkCall(norm, { params, buffers: { ...BUFFERS, weight: tensor("bf16", 2 ** 32 - 1) } });
});
