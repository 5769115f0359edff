import { attentionBackwardQuery } from "../../kernels/attention_backward_query.ts";
import { attentionTiles } from "../../kernels/attention_schedule.ts";
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

// Sums over up to 65 keys of products of three sums in f32, one of them of up to 128 products.
// A score of 200 is rounded to 8e-6, and what p is off by is multiplied by the scale, then 35.
const toleranceOf = (size = 2) => ({ absolute: Math.max(1e-5, 1e-6 * size), relative: 1e-5 });
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-8, relative: 1e-7 };

for (const window of [undefined, 2]) {
  const seen = window === undefined ? "" : ` where a row sees ${window} keys`;
  Deno.test(`the reference of attention_backward_query is the gradient of attention for q${seen}`, () => {
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
    const numeric = centralDifferences((q) => inner(dy, attention({ ...input, q }, keys, shape).y), input.q);
    assertClose(attentionBackward(input, dy, keys, shape).dq, numeric, DIFFERENCES, [keys.length, width]);
  });
}

for (const packedCase of PACKED_CASES) {
  const test = packedCase.wide ? wideGpuTest : gpuTest;
  const name = `attention_backward_query of ${titleOf(packedCase)}`;
  test(`${name} puts the reference into the columns of q (${packedCase.why})`, async (gpu) => {
    const packed = pack(packedCase), { rows, width, stride, segments, shape: { group, headDim } } = packed;
    const { params, tensors, gradients: { dq } } = uploadBackward(gpu, packed);
    const schedule = attentionTiles(segments, { group, rowTile: packedCase.rowTile });
    const tileCount = schedule.length / 8;
    const tiles = gpu.upload("tiles", schedule, [tileCount, 8]);
    const { qkv, positions: _, dqkv, ...read } = tensors;
    const { stride: q_stride, ...rest } = params;
    gpu.run(attentionBackwardQuery, {
      params: { tile_count: tileCount, ...rest, q_stride, kv_rows: rows, kv_stride: stride },
      buffers: { ...read, q: qkv, kv: qkv, dq: dqkv, tiles },
      constants: { row_tile: packedCase.rowTile, head_dim: headDim },
    });
    const expected = sideBySide(rows, [[dq, width]], Float64Array.from(noise(rows * stride, 5)));
    assertClose(await gpu.readF32(dqkv), expected, toleranceOf(packedCase.size), [rows, stride]);
    gpu.free(tiles, ...Object.values(tensors));
  });
}

for (const cachedCase of CACHED_CASES) {
  const name = `attention_backward_query of ${cachedTitleOf(cachedCase)}`;
  gpuTest(`${name}, matches the reference (${cachedCase.why})`, async (gpu) => {
    const packed = packCached(cachedCase), { rows, slots, width, kvWidth, stride, segments, window } = packed;
    const { kvHeads, group, headDim, scale } = packed.shape;
    const { tensors: { positions, ...tensors }, gradients: { dq } } = uploadCachedBackward(gpu, packed);
    const schedule = attentionTiles(segments, { group, rowTile: cachedCase.rowTile });
    const tiles = gpu.upload("tiles", schedule, [schedule.length / 8, 8]);
    gpu.run(attentionBackwardQuery, {
      params: {
        tile_count: schedule.length / 8,
        kv_heads: kvHeads,
        group,
        rows,
        q_stride: stride,
        kv_rows: slots,
        kv_stride: 2 * kvWidth,
        k_first: 0,
        v_first: kvWidth,
        window,
        scale,
      },
      buffers: { ...tensors, tiles },
      constants: { row_tile: cachedCase.rowTile, head_dim: headDim },
    });
    const expected = sideBySide(rows, [[dq, width]], Float64Array.from(noise(rows * stride, 5)));
    assertClose(await gpu.readF32(tensors.dq), expected, toleranceOf(), [rows, stride]);
    gpu.free(positions, tiles, ...Object.values(tensors));
  });
}
