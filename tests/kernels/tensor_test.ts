import { assertEquals } from "@std/assert";
import { byteLength, type DType, scalesOf, type Tensor, valueCount, wordsOf } from "../../kernels/tensor.ts";

Deno.test("valueCount() of a scalar is 1 and of a shape with an empty axis 0", () => {
  assertEquals([[], [0, 8], [3], [2, 3, 4]].map(valueCount), [1, 0, 3, 24]);
});

Deno.test("byteLength() counts 4 bytes for values of 32 bits, 2 for those of 16, and whole bytes for codes", () => {
  const types = ["f32", "u32", "f16", "bf16", "int8", "int4"] satisfies DType[];
  assertEquals(types.map((dtype) => byteLength(dtype, [3, 5])), [60, 60, 30, 30, 15, 8]);
});

Deno.test("scalesOf() int8 is an f32 for each row, over all axes but the last", () => {
  assertEquals(scalesOf("int8", [2, 3, 48]), { dtype: "f32", shape: [6] });
});

for (
  const { depth, groups } of [{ depth: 16, groups: 1 }, { depth: 32, groups: 1 }, { depth: 48, groups: 2 }]
) {
  Deno.test(`scalesOf() int4 in rows of ${depth} is ${groups} f16 for each row`, () => {
    assertEquals(scalesOf("int4", [3, depth]), { dtype: "f16", shape: [3, groups] });
  });
}

Deno.test("scalesOf() a type that is not quantised is undefined", () => {
  const types = ["f32", "u32", "f16", "bf16"] satisfies DType[];
  assertEquals(types.map((dtype) => scalesOf(dtype, [3, 32])), types.map(() => undefined));
});

Deno.test("wordsOf() a quantised tensor are its codes as u32, without the scales", () => {
  const buffer = {} as GPUBuffer;
  const scales: Tensor = { label: "w scales", dtype: "f16", shape: [3, 1], buffer, offset: 0 };
  const tensor: Tensor = { label: "w", dtype: "int4", shape: [3, 16], buffer, offset: 256, scales };
  assertEquals(wordsOf(tensor), { label: "w", dtype: "u32", shape: [6], buffer, offset: 256 });
  assertEquals(wordsOf(scales).shape, [2]);
});
