import { assertEquals } from "@std/assert";
import type { TransformerDescription } from "../../core/types.ts";
import { Checkpoint } from "../../model/checkpoint.ts";
import { linear } from "../../model/linear.ts";
import { embed, logitsOf } from "../../model/ops.ts";
import { allTensors, loadWeights } from "../../model/weights.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { withFolder } from "./_files.ts";
import { withLimit } from "./_golden.ts";

const ROWS = 32000, WIDTH = 4096, LIMIT = 1 << 27;

/** A model of nothing but an embedding and a norm. */
const MODEL: TransformerDescription = {
  layers: 0,
  width: WIDTH,
  heads: 32,
  kvHeads: 32,
  headDim: 128,
  feedForward: 1,
  vocabulary: ROWS,
  contextLength: 1,
  normEpsilon: 1e-5,
  ropeTheta: 10000,
  tiedEmbeddings: true,
};

/** Rows that repeat, but for their first two values, which are those of {@linkcode digits}. A prime, as no part is. */
const PERIOD = 977;

/** Two whole numbers below 251 that tell a row from all others. */
const digits = (row: number) => [row >> 7, row & 127];

/** The upper half of an f32, which is a bf16. */
const bf16 = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16;

/** The rows that repeat: signs and mantissas are random, magnitudes between 1/2 and 1. */
function periodicRows(): Uint16Array<ArrayBuffer> {
  let state = 7;
  return Uint16Array.from({ length: PERIOD * WIDTH }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 0x3f00 | (state >>> 31 << 15) | (state >>> 20 & 127);
  });
}

async function write(folder: string, periodic: Uint16Array<ArrayBuffer>): Promise<void> {
  const bytes = 2 * ROWS * WIDTH;
  const header = new TextEncoder().encode(JSON.stringify({
    "model.embed_tokens.weight": { dtype: "BF16", shape: [ROWS, WIDTH], data_offsets: [0, bytes] },
    "model.norm.weight": { dtype: "BF16", shape: [WIDTH], data_offsets: [bytes, bytes + 2 * WIDTH] },
  }));
  using file = await Deno.open(`${folder}/model.safetensors`, { write: true, createNew: true });
  const writer = file.writable.getWriter();
  await writer.write(new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer));
  await writer.write(header);
  for (let first = 0; first < ROWS; first += PERIOD) {
    const rows = periodic.slice(0, Math.min(PERIOD, ROWS - first) * WIDTH);
    for (let row = 0; row < rows.length / WIDTH; row++) rows.set(digits(first + row).map(bf16), row * WIDTH);
    await writer.write(new Uint8Array(rows.buffer));
  }
  await writer.write(new Uint8Array(2 * WIDTH));
  await writer.close();
}

gpuTest(
  "A 32000 x 4096 matrix is right where the adapter binds 128 MiB: lookups, logits and products",
  async (gpu) => {
    await withFolder(async (folder) => {
      const periodic = periodicRows();
      await write(folder, periodic);
      const base = new Float32Array(Uint32Array.from(periodic, (bits) => bits << 16).buffer);
      using checkpoint = await Checkpoint.open(folder);
      const weights = await loadWeights(withLimit(gpu, LIMIT), checkpoint, MODEL), { embedding } = weights;
      assertEquals(embedding.parts.map(({ first, tensor }) => [first, tensor.shape[0]]), [[0, 16384], [
        16384,
        15616,
      ]]);

      const x = Float32Array.from({ length: WIDTH }, (_, column) => ((column * 37) % 64 - 32) / 64);
      const dots = Array.from({ length: PERIOD }, (_, row) => {
        let sum = 0;
        for (let column = 2; column < WIDTH; column++) sum += base[row * WIDTH + column] * x[column];
        return sum;
      });
      const product = (row: number) => {
        const [high, low] = digits(row);
        return dots[row % PERIOD] + high * x[0] + low * x[1];
      };
      const ids = [0, 1, 16383, 16384, 31999, PERIOD, 16384 + PERIOD];
      const idsOnGpu = gpu.upload("ids", Uint32Array.from(ids)), hidden = gpu.upload("x", x, [1, WIDTH]);
      const embedded = embed(gpu, embedding, idsOnGpu, ids.length);
      const logits = logitsOf(gpu, weights.head, hidden, idsOnGpu, 1);
      const y = gpu.tensor("y", "f32", [1, ROWS]);
      linear(gpu, embedding, hidden, 1, { y, stride: ROWS, first: 0 });

      const rows = ids.map((id) => {
        const start = id % PERIOD * WIDTH;
        return [...digits(id), ...base.subarray(start + 2, start + WIDTH)];
      });
      assertEquals([...await gpu.readF32(embedded)], rows.flat());
      const tolerance = { absolute: 1e-3, relative: 1e-5 };
      assertClose(await gpu.readF32(logits), ids.map(product), tolerance);
      assertClose(await gpu.readF32(y), Array.from({ length: ROWS }, (_, row) => product(row)), tolerance);
      gpu.free(...allTensors(weights), idsOnGpu, hidden, embedded, logits, y);
      gpu.trim();
    });
  },
);
