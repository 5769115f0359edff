import { cacheWrite } from "../../kernels/cache_write.ts";
import { assertClose } from "../close.ts";
import { cacheWrite as reference } from "../reference/rows.ts";
import { gpuTest, noise } from "./_gpu.ts";

// Values are copied, so the smallest difference is too large.
const EXACT = { absolute: Number.MIN_VALUE, relative: 0 };

for (
  const { slots, width, sourceStride, sourceFirst, capacity, why } of [
    { slots: [], width: 8, sourceStride: 8, sourceFirst: 0, capacity: 4, why: "no rows" },
    { slots: [0], width: 4, sourceStride: 4, sourceFirst: 0, capacity: 1, why: "one row, one vector" },
    {
      slots: [5, 0, 2],
      width: 12,
      sourceStride: 40,
      sourceFirst: 16,
      capacity: 6,
      why: "part of a wider row",
    },
    { slots: [1, 3], width: 252, sourceStride: 252, sourceFirst: 0, capacity: 4, why: "a vector short" },
    { slots: [1, 3], width: 256, sourceStride: 256, sourceFirst: 0, capacity: 4, why: "a workgroup" },
    { slots: [3, 1], width: 260, sourceStride: 264, sourceFirst: 4, capacity: 4, why: "a vector past" },
  ]
) {
  gpuTest(`cache_write puts ${slots.length} rows of ${width} into their slots (${why})`, async (gpu) => {
    const rows = slots.length;
    const source = noise(rows * sourceStride, 1), cache = noise(capacity * width, 2);
    const tensors = {
      source: gpu.upload("source", source, [rows, sourceStride]),
      slots: gpu.upload("slots", Uint32Array.from(slots)),
      cache: gpu.upload("cache", cache, [capacity, width]),
    };
    gpu.run(cacheWrite, {
      params: { rows, width, source_stride: sourceStride, source_first: sourceFirst, capacity },
      buffers: tensors,
    });
    const expected = reference(source, slots, cache, { width, sourceStride, sourceFirst });
    assertClose(await gpu.readF32(tensors.cache), expected, EXACT, [capacity, width]);
    gpu.free(...Object.values(tensors));
  });
}
