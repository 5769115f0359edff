import { assertEquals } from "@std/assert";
import { byteLength, type DType, valueCount } from "../../kernels/tensor.ts";

Deno.test("valueCount() of a scalar is 1 and of a shape with an empty axis 0", () => {
  assertEquals([[], [0, 8], [3], [2, 3, 4]].map(valueCount), [1, 0, 3, 24]);
});

Deno.test("byteLength() counts 4 bytes for values of 32 bits and 2 for those of 16", () => {
  const types = ["f32", "u32", "f16", "bf16"] satisfies DType[];
  assertEquals(types.map((dtype) => byteLength(dtype, [3, 5])), [60, 60, 30, 30]);
});
