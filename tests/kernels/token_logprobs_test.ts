import { tokenLogprobs } from "../../kernels/token_logprobs.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { assertClose } from "../close.ts";
import { entropy, logSoftmax } from "../reference/loss.ts";
import { gpuTest, noise, noiseIndices, wideGpuTest } from "./_gpu.ts";

// Differences of logits up to 20 are rounded to 2e-6, and WGSL allows log an absolute error of 5e-7.
const TOLERANCE = { absolute: 3e-6, relative: 2e-6 };
// The same differences, weighted by probabilities that exp gives with an error of some 1e-6.
const ENTROPY_TOLERANCE = { absolute: 4e-6, relative: 4e-6 };

async function run(
  gpu: Gpu,
  logits: Float32Array<ArrayBuffer>,
  ids: Uint32Array<ArrayBuffer>,
  { rows, vocabulary, stride }: { rows: number; vocabulary: number; stride: number },
): Promise<{ logprobs: Float32Array; entropies: Float32Array }> {
  const tensors = {
    logits: gpu.upload("logits", logits, [rows, stride]),
    ids: gpu.upload("ids", ids),
    logprobs: gpu.upload("logprobs", noise(rows, 8)),
    entropies: gpu.upload("entropies", noise(rows, 9)),
  };
  gpu.run(tokenLogprobs, { params: { rows, vocabulary, stride }, buffers: tensors });
  const [logprobs, entropies] = await gpu.read(tensors.logprobs, tensors.entropies);
  gpu.free(...Object.values(tensors));
  return { logprobs: logprobs as Float32Array, entropies: entropies as Float32Array };
}

for (
  const { why, wide, ...shape } of [
    { rows: 0, vocabulary: 8, stride: 8, why: "no rows" },
    { rows: 1, vocabulary: 1, stride: 4, why: "one row, one token" },
    { rows: 9, vocabulary: 28, stride: 28, why: "a vector short of 8 lanes" },
    { rows: 9, vocabulary: 33, stride: 36, why: "a token past 8 lanes" },
    { rows: 9, vocabulary: 129, stride: 136, wide: true, why: "a token past 32 lanes, a vector of padding" },
    { rows: 65, vocabulary: 1003, stride: 1004, why: "many vectors for each lane" },
  ]
) {
  const { rows, vocabulary, stride } = shape;
  const test = wide ? wideGpuTest : gpuTest;
  test(`token_logprobs [${rows}, ${vocabulary} of ${stride}] matches the reference (${why})`, async (gpu) => {
    // The padding is larger than any logit, so a kernel that looks at it fails.
    const logits = noise(rows * stride, 1).map((value, index) =>
      index % stride < vocabulary ? value * 10 : 100
    );
    const ids = noiseIndices(rows, vocabulary, 2);
    const { logprobs, entropies } = await run(gpu, logits, ids, shape);
    const values = Array.from(
      { length: rows },
      (_, r) => logits.subarray(r * stride, r * stride + vocabulary),
    );
    assertClose(logprobs, values.map((row, r) => logSoftmax(row)[ids[r]]), TOLERANCE);
    assertClose(entropies, values.map(entropy), ENTROPY_TOLERANCE);
  });
}

gpuTest(
  "token_logprobs of a certain token is 0, and so is the entropy, however large the logits",
  async (gpu) => {
    const logits = Float32Array.of(3e4, 0, 0, -3e4, -500, -500, 500, -500);
    const shape = { rows: 2, vocabulary: 4, stride: 4 };
    const { logprobs, entropies } = await run(gpu, logits, Uint32Array.of(0, 2), shape);
    assertClose(logprobs, [0, 0], TOLERANCE);
    assertClose(entropies, [0, 0], ENTROPY_TOLERANCE);
  },
);
