import { attentionBackwardKeyValue } from "../../kernels/attention_backward_key_value.ts";
import { attentionKeyTiles } from "../../kernels/attention_schedule.ts";
import { assertClose } from "../close.ts";
import { attention, attentionBackward } from "../reference/attention.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import {
  CACHED_CASES,
  cachedTitleOf,
  pack,
  packCached,
  PACKED_CASES,
  sideBySide,
  titleOf,
  uploadBackward,
  uploadCachedBackward,
} from "./_attention_cases.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Sums over up to 65 rows of products of three sums in f32, one of them of up to 128 products.
// A score of 200 is rounded to 8e-6, and what p is off by is multiplied by the scale, then 35.
const toleranceOf = (size = 2) => ({ absolute: Math.max(1e-5, 1e-6 * size), relative: 1e-5 });
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-8, relative: 1e-7 };

for (const window of [undefined, 2]) {
  const seen = window === undefined ? "" : ` where a row sees ${window} keys`;
  Deno.test(`the reference of attention_backward_key_value is the gradient of attention for k and v${seen}`, () => {
    const groups = [{ prefix: 3, branches: [2, 1] }];
    const { input, keys, shape, width } = pack({
      groups,
      kvHeads: 2,
      group: 2,
      headDim: 4,
      rowTile: 8,
      window,
      why: "",
    });
    const dy = noise(keys.length * width, 4);
    const { dk, dv } = attentionBackward(input, dy, keys, shape);
    const forK = centralDifferences((k) => inner(dy, attention({ ...input, k }, keys, shape).y), input.k);
    const forV = centralDifferences((v) => inner(dy, attention({ ...input, v }, keys, shape).y), input.v);
    assertClose(dk, forK, DIFFERENCES, [keys.length, width / 2]);
    assertClose(dv, forV, DIFFERENCES, [keys.length, width / 2]);
  });
}

for (const packedCase of PACKED_CASES) {
  const test = packedCase.wide ? wideGpuTest : gpuTest;
  const name = `attention_backward_key_value of ${titleOf(packedCase)}`;
  test(`${name} puts the reference into the columns of k and v (${packedCase.why})`, async (gpu) => {
    const packed = pack(packedCase), { rows, used, width, stride, segments, shape } = packed;
    const { params, tensors, gradients: { dk, dv } } = uploadBackward(gpu, packed);
    const schedule = attentionKeyTiles(segments, { rowTile: packedCase.rowTile });
    const tileCount = schedule.length / 4;
    const tiles = gpu.upload("key_tiles", schedule, [tileCount, 4]);
    gpu.run(attentionBackwardKeyValue, {
      params: { tile_count: tileCount, ...params },
      buffers: { ...tensors, key_tiles: tiles },
      constants: { row_tile: packedCase.rowTile, head_dim: shape.headDim },
    });
    const before = noise(rows * stride, 5), kvWidth = shape.kvHeads * shape.headDim;
    const q = before.filter((_, at) => at < used * stride && at % stride < width);
    const parts = [[q, width], [dk, kvWidth], [dv, kvWidth]] as const;
    const expected = sideBySide(rows, parts, Float64Array.from(before));
    assertClose(await gpu.readF32(tensors.dqkv), expected, toleranceOf(packedCase.size), [rows, stride]);
    gpu.free(tiles, ...Object.values(tensors));
  });
}

for (const cachedCase of CACHED_CASES) {
  const name = `attention_backward_key_value of ${cachedTitleOf(cachedCase)}`;
  gpuTest(`${name}, gives the new keys their gradients (${cachedCase.why})`, async (gpu) => {
    const packed = packCached(cachedCase), { rows, width, kvWidth, stride, segments, window } = packed;
    const { kvHeads, group, headDim, scale } = packed.shape;
    const { tensors: { q, kv, dq, ...tensors }, gradients } = uploadCachedBackward(gpu, packed);
    // What lies in the cache is frozen: among the keys whose gradient is wanted, a row sees its own and those after.
    const own = segments.map(({ start, length }) => ({ start, length, own: { start, end: start + 1 } }));
    const schedule = attentionKeyTiles(own, { rowTile: cachedCase.rowTile });
    const tiles = gpu.upload("key_tiles", schedule, [schedule.length / 4, 4]);
    gpu.run(attentionBackwardKeyValue, {
      params: {
        tile_count: schedule.length / 4,
        kv_heads: kvHeads,
        group,
        rows,
        stride,
        k_first: width,
        v_first: width + kvWidth,
        window,
        scale,
      },
      buffers: { ...tensors, qkv: q, dqkv: dq, key_tiles: tiles },
      constants: { row_tile: cachedCase.rowTile, head_dim: headDim },
    });
    const before = noise(rows * stride, 5);
    const queries = before.filter((_, at) => at < packed.used * stride && at % stride < width);
    const [dk, dv] = [gradients.dk, gradients.dv].map((all) =>
      packed.ownSlots.flatMap((slot) => [...all.subarray(slot * kvWidth, (slot + 1) * kvWidth)])
    );
    const parts = [[queries, width], [dk, kvWidth], [dv, kvWidth]] as const;
    const expected = sideBySide(rows, parts, Float64Array.from(before));
    assertClose(await gpu.readF32(dq), expected, toleranceOf(), [rows, stride]);
    gpu.free(q, kv, dq, tiles, ...Object.values(tensors));
  });
}
