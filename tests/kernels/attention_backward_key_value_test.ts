import { attentionBackwardKeyValue } from "../../kernels/attention_backward_key_value.ts";
import { attentionKeyTiles } from "../../kernels/attention_schedule.ts";
import { assertClose } from "../close.ts";
import { attention, attentionBackward } from "../reference/attention.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { pack, PACKED_CASES, sideBySide, titleOf, uploadBackward } from "./_attention_cases.ts";
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
