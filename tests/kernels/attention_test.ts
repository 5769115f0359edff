import { attention, NO_WINDOW } from "../../kernels/attention.ts";
import { attentionTiles, type Segment } from "../../kernels/attention_schedule.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { assertClose } from "../close.ts";
import { attention as reference, type AttentionShape } from "../reference/attention.ts";
import {
  CACHED_CASES,
  cachedTitleOf,
  overNoise,
  pack,
  packCached,
  PACKED_CASES,
  titleOf,
} from "./_attention_cases.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Scores are sums of up to 128 products and WGSL allows exp(x) 3 + 2 |x| ULP; y is a mean of values up to 1.
const TOLERANCE = { absolute: 4e-6, relative: 4e-6 };
// What depends on nothing but its keys, and what stays as it was: the smallest difference is too large.
const EXACT = { absolute: Number.MIN_VALUE, relative: 0 };

interface Call {
  readonly rows: number;
  readonly q: Float32Array<ArrayBuffer>;
  /** Keys and values; those of `q`'s own buffer unless given. */
  readonly kv?: Float32Array<ArrayBuffer>;
  readonly kvRows: number;
  readonly keyFirst: number;
  readonly segments: readonly Segment[];
  readonly window?: number;
  readonly shape: AttentionShape;
  readonly rowTile: number;
}

/** Runs the kernel on tensors of noise. */
async function run(
  gpu: Gpu,
  { rows, q, kv, kvRows, keyFirst, segments, window = NO_WINDOW, shape, rowTile }: Call,
): Promise<{ y: Float32Array; lse: Float32Array }> {
  const { kvHeads, group, headDim, scale } = shape, heads = kvHeads * group;
  const tiles = attentionTiles(segments, { group, rowTile });
  const tensors = {
    q: gpu.upload("q", q, [rows, q.length / rows]),
    tiles: gpu.upload("tiles", tiles, [tiles.length / 8, 8]),
    y: gpu.upload("y", noise(rows * heads * headDim, 4), [rows, heads * headDim]),
    lse: gpu.upload("lse", noise(rows * heads, 5), [rows, heads]),
    ...(kv && { kv: gpu.upload("kv", kv, [kvRows, kv.length / kvRows]) }),
  };
  gpu.run(attention, {
    params: {
      tile_count: tiles.length / 8,
      kv_heads: kvHeads,
      group,
      rows,
      q_stride: q.length / rows,
      kv_rows: kvRows,
      kv_stride: (kv ?? q).length / kvRows,
      k_first: keyFirst,
      v_first: keyFirst + kvHeads * headDim,
      window,
      scale,
    },
    buffers: { ...tensors, kv: tensors.kv ?? tensors.q },
    constants: { row_tile: rowTile, head_dim: headDim },
  });
  const [y, lse] = await gpu.read(tensors.y, tensors.lse);
  gpu.free(...Object.values(tensors));
  return { y: y as Float32Array, lse: lse as Float32Array };
}

for (const packedCase of PACKED_CASES) {
  const test = packedCase.wide ? wideGpuTest : gpuTest;
  test(`attention of ${titleOf(packedCase)} matches the reference (${packedCase.why})`, async (gpu) => {
    const { segments, keys, window, shape, input, rows, heads, width, qkv } = pack(packedCase);
    const { rowTile } = packedCase;
    const { y, lse } = await run(gpu, {
      rows,
      q: qkv,
      kvRows: rows,
      keyFirst: width,
      segments,
      window,
      shape,
      rowTile,
    });
    const expected = reference(input, keys, shape);
    assertClose(y, overNoise(rows * width, 4, expected.y), TOLERANCE, [rows, width]);
    assertClose(lse, overNoise(rows * heads, 5, expected.lse), TOLERANCE, [rows, heads]);
  });
}

for (const cachedCase of CACHED_CASES) {
  gpuTest(
    `attention of ${cachedTitleOf(cachedCase)} matches the reference (${cachedCase.why})`,
    async (gpu) => {
      const { segments, keys, window, shape, input, rows, slots, width, heads, q, kv } = packCached(
        cachedCase,
      );
      const { y, lse } = await run(gpu, {
        rows,
        q,
        kv,
        kvRows: slots,
        keyFirst: 0,
        segments,
        window,
        shape,
        rowTile: cachedCase.rowTile,
      });
      const expected = reference(input, keys, shape);
      assertClose(y, overNoise(rows * width, 4, expected.y), TOLERANCE, [rows, width]);
      assertClose(lse, overNoise(rows * heads, 5, expected.lse), TOLERANCE);
    },
  );
}

for (const window of [undefined, 9]) {
  const seen = window === undefined ? "" : `, each row seeing ${window} keys,`;
  const name =
    `attention of a sequence${seen} is equal bit by bit alone, in a batch, and cut into prefix and branch`;
  gpuTest(name, async (gpu) => {
    const results: Float32Array[] = [];
    for (
      const groups of [
        [{ prefix: 21, branches: [] }],
        [{ prefix: 21, branches: [3] }, { prefix: 9, branches: [] }],
        [{ prefix: 13, branches: [8, 5] }],
      ]
    ) {
      const packed = pack({ groups, kvHeads: 2, group: 2, headDim: 64, rowTile: 8, window, why: "" });
      // Noise of one seed begins the same whatever its length, so all three begin with the same 21 rows.
      const { y } = await run(gpu, {
        ...packed,
        q: packed.qkv,
        kvRows: packed.rows,
        keyFirst: packed.width,
        rowTile: 8,
      });
      results.push(y.subarray(0, 21 * packed.width));
    }
    assertClose(results[1], results[0], EXACT);
    assertClose(results[2], results[0], EXACT);
  });
}
