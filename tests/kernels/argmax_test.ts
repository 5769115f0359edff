import { assert, assertEquals } from "@std/assert";
import { argmax } from "../../kernels/argmax.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { assertClose } from "../close.ts";
import { logSoftmax } from "../reference/loss.ts";
import { argmax as reference } from "../reference/sampling.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Differences of logits up to 20 are rounded to 2e-6, and WGSL allows log an absolute error of 5e-7.
const TOLERANCE = { absolute: 3e-6, relative: 2e-6 };

async function run(
  gpu: Gpu,
  logits: Float32Array<ArrayBuffer>,
  { rows, vocabulary, stride }: { rows: number; vocabulary: number; stride: number },
): Promise<{ tokens: number[]; logprobs: Float32Array }> {
  const tensors = {
    logits: gpu.upload("logits", logits, [rows, stride]),
    tokens: gpu.upload("tokens", new Uint32Array(rows).fill(0xffffffff)),
    logprobs: gpu.upload("logprobs", noise(rows, 9)),
  };
  gpu.run(argmax, { params: { rows, vocabulary, stride }, buffers: tensors });
  const [tokens, logprobs] = await gpu.read(tensors.tokens, tensors.logprobs);
  gpu.free(...Object.values(tensors));
  return { tokens: [...tokens], logprobs: logprobs as Float32Array };
}

for (
  const { why, wide, ...shape } of [
    { rows: 0, vocabulary: 8, stride: 8, why: "no rows" },
    { rows: 1, vocabulary: 1, stride: 4, why: "one row, one token" },
    { rows: 9, vocabulary: 28, stride: 28, why: "a vector short of 8 lanes" },
    { rows: 9, vocabulary: 32, stride: 32, why: "a vector for each of 8 lanes" },
    { rows: 9, vocabulary: 33, stride: 36, why: "a token past 8 lanes" },
    { rows: 9, vocabulary: 129, stride: 136, wide: true, why: "a token past 32 lanes, a vector of padding" },
    { rows: 65, vocabulary: 1003, stride: 1004, why: "many vectors for each lane" },
  ]
) {
  const { rows, vocabulary, stride } = shape;
  const test = wide ? wideGpuTest : gpuTest;
  test(`argmax [${rows}, ${vocabulary} of ${stride}] matches the reference (${why})`, async (gpu) => {
    // The padding is larger than any logit, so a kernel that looks at it fails.
    const logits = noise(rows * stride, 1).map((value, index) =>
      index % stride < vocabulary ? value * 10 : 100
    );
    const { tokens, logprobs } = await run(gpu, logits, shape);
    const values = Array.from(
      { length: rows },
      (_, r) => logits.subarray(r * stride, r * stride + vocabulary),
    );
    const expected = values.map(reference);
    assertEquals(tokens, expected);
    assertClose(logprobs, values.map((row, r) => logSoftmax(row)[expected[r]]), TOLERANCE);
  });
}

gpuTest("argmax takes the first of equal logits, wherever they are", async (gpu) => {
  const vocabulary = 1000, ties = [[3, 2], [40, 9, 41], [999, 998], [0, 999], [500, 132, 260]];
  const logits = new Float32Array(ties.length * vocabulary).fill(-5);
  ties.forEach((tokens, r) => tokens.forEach((token) => logits[r * vocabulary + token] = -4));
  const { tokens } = await run(gpu, logits, { rows: ties.length, vocabulary, stride: vocabulary });
  assertEquals(tokens, ties.map((tied) => Math.min(...tied)));
});

gpuTest("argmax of a row with NaN is a token of the vocabulary", async (gpu) => {
  const vocabulary = 101, stride = 104, logits = noise(3 * stride, 1);
  logits.fill(NaN, 0, stride);
  logits[stride + 50] = NaN;
  const { tokens } = await run(gpu, logits, { rows: 3, vocabulary, stride });
  assert(tokens.every((token) => token < vocabulary), `tokens ${tokens}`);
  assertEquals(tokens[2], reference(logits.subarray(2 * stride, 2 * stride + vocabulary)));
});
