import { attention, NO_WINDOW } from "../../kernels/attention.ts";
import { attentionTiles, type Segment } from "../../kernels/attention_schedule.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { assertClose } from "../close.ts";
import { attention as reference, type AttentionShape, visibleKeys } from "../reference/attention.ts";
import { overNoise, pack, PACKED_CASES, sideBySide, titleOf } from "./_attention_cases.ts";
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

const CACHED_CASES: readonly { lengths: number[]; cached: number[]; shared?: number; why: string }[] = [
  { lengths: [], cached: [], why: "no rows" },
  { lengths: [1], cached: [0], why: "the first token" },
  { lengths: [1, 1, 1], cached: [14, 15, 16], why: "around two keys for each of 8 lanes" },
  { lengths: [1, 1, 1], cached: [62, 63, 64], why: "around two keys for each of 32 lanes" },
  { lengths: [5, 1, 9], cached: [0, 3, 20], why: "prefill beside decode" },
  { lengths: [1, 3], cached: [4, 0], shared: 6, why: "a prefix in the cache that both go on from" },
];

for (const { lengths, cached, shared = 0, why } of CACHED_CASES) {
  for (
    const { kvHeads, group, headDim, rowTile, window } of [
      { kvHeads: 1, group: 4, headDim: 64, rowTile: 4, window: 7 },
      { kvHeads: 2, group: 1, headDim: 128, rowTile: 4 },
      { kvHeads: 2, group: 2, headDim: 128, rowTile: 4 },
      { kvHeads: 1, group: 4, headDim: 128, rowTile: 4 },
      { kvHeads: 1, group: 4, headDim: 64, rowTile: 8 },
    ]
  ) {
    const name =
      `attention of [${lengths}] tokens behind [${cached}] cached, ${kvHeads} x ${group} heads of ${headDim}`;
    const tiled = `row_tile=${rowTile}${window === undefined ? "" : `, window ${window}`}`;
    gpuTest(`${name}, ${tiled}, matches the reference (${why})`, async (gpu) => {
      const kvWidth = kvHeads * headDim, width = kvWidth * group, stride = width + 2 * kvWidth;
      const shape = { kvHeads, group, headDim, scale: 2 / Math.sqrt(headDim) };
      const segments: Segment[] = [], prefix = { start: 2, end: 2 + shared };
      // A slot between the sequences, so that each finds its own place.
      let row = 0, slot = prefix.end + 1;
      lengths.forEach((length, index) => {
        const end = slot + cached[index] + 1;
        segments.push({ start: row, length, ...(shared > 0 && { prefix }), own: { start: slot, end } });
        row += length;
        slot = end + length;
      });
      const rows = row + 1, keys = visibleKeys(segments, window);
      // What no row could attend to is never looked at; what only lies outside the window may be, to no effect.
      const seen = new Set(visibleKeys(segments).flat());
      const q = noise(row * width, 1), k = noise(slot * kvWidth, 2), v = noise(slot * kvWidth, 3);
      const kv = sideBySide(slot, [[k, kvWidth], [v, kvWidth]], new Float32Array(slot * 2 * kvWidth))
        .map((value, at) => seen.has(Math.floor(at / 2 / kvWidth)) ? value : NaN);
      const { y, lse } = await run(gpu, {
        rows,
        q: sideBySide(rows, [[q, width]], new Float32Array(rows * stride).fill(NaN)),
        kv,
        kvRows: slot,
        keyFirst: 0,
        segments,
        window,
        shape,
        rowTile,
      });
      const expected = reference({ q, k, v }, keys, shape);
      assertClose(y, overNoise(rows * width, 4, expected.y), TOLERANCE, [rows, width]);
      assertClose(lse, overNoise(rows * kvHeads * group, 5, expected.lse), TOLERANCE);
    });
  }
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
