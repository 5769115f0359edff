import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Gpu } from "../../kernels/gpu.ts";
import { sampleTopP } from "../../kernels/sample_top_p.ts";
import { assertClose } from "../close.ts";
import { logSoftmax } from "../reference/loss.ts";
import { random4, uniform4 } from "../reference/random.ts";
import { argmax, draw, topP as keep } from "../reference/sampling.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Differences of logits up to 20 are rounded to 2e-6, and WGSL allows log an absolute error of 5e-7.
const LOGPROBS = { absolute: 3e-6, relative: 2e-6 };
// Masses are sums of up to a thousand exponentials in f32: closer to a boundary than this, either side is right.
const MARGIN = 1e-6;
/** The third number of the kernel's random counter. */
const STREAM = 0x73616d70;
const SEED = 11, STEP = 4;

interface Call {
  readonly vocabulary: number;
  readonly stride: number;
  readonly temperature: number;
  readonly topP: number;
  readonly step?: number;
  readonly seed?: number;
}

const range = (count: number) => Uint32Array.from({ length: count }, (_, index) => index);

/** `rows` copies of one row. */
function repeated(row: Float32Array, rows: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: rows * row.length }, (_, index) => row[index % row.length]);
}

async function run(
  gpu: Gpu,
  logits: Float32Array<ArrayBuffer>,
  counters: Uint32Array<ArrayBuffer>,
  { vocabulary, stride, temperature, topP, step = STEP, seed = SEED }: Call,
): Promise<{ tokens: number[]; logprobs: Float32Array }> {
  const rows = counters.length;
  const tensors = {
    logits: gpu.upload("logits", logits, [rows, stride]),
    counters: gpu.upload("counters", counters),
    tokens: gpu.upload("tokens", new Uint32Array(rows).fill(0xffffffff)),
    logprobs: gpu.upload("logprobs", noise(rows, 9)),
  };
  gpu.run(sampleTopP, {
    params: { rows, vocabulary, stride, temperature, top_p: topP, seed, step },
    buffers: tensors,
  });
  const [tokens, logprobs] = await gpu.read(tensors.tokens, tensors.logprobs);
  gpu.free(...Object.values(tensors));
  return { tokens: [...tokens], logprobs: logprobs as Float32Array };
}

Deno.test("the reference of sample_top_p keeps what transformers' TopPLogitsWarper keeps", () => {
  const kept: Record<number, number[]> = {
    0.1: [1, 0, 0, 0, 0, 0],
    0.5: [1, 0, 0, 1, 0, 0],
    0.7: [1, 0, 0, 1, 0, 0],
    0.9: [1, 0, 1, 1, 0, 0],
    0.99: [1, 1, 1, 1, 1, 0],
  };
  for (const [topP, expected] of Object.entries(kept)) {
    const actual = keep([2, -1, 0.5, 1.5, 0, -3], { temperature: 1, topP: Number(topP) }).kept;
    assertEquals(actual.map(Number), expected);
  }
});

for (
  const { vocabulary, stride, rows, wide, why } of [
    { vocabulary: 8, stride: 8, rows: 0, why: "no rows" },
    { vocabulary: 1, stride: 4, rows: 1, why: "one row, one token" },
    { vocabulary: 28, stride: 28, rows: 200, why: "a vector short of 8 lanes" },
    { vocabulary: 32, stride: 32, rows: 200, why: "a vector for each of 8 lanes" },
    { vocabulary: 33, stride: 36, rows: 200, why: "a token past 8 lanes" },
    {
      vocabulary: 129,
      stride: 136,
      rows: 100,
      wide: true,
      why: "a token past 32 lanes, a vector of padding",
    },
    { vocabulary: 1003, stride: 1004, rows: 100, why: "many vectors for each lane" },
  ]
) {
  for (
    const { temperature, topP } of [
      { temperature: 1, topP: 0.9 },
      { temperature: 0.6, topP: 0.5 },
      { temperature: 1.5, topP: 0.99 },
      { temperature: 1, topP: 1 },
    ]
  ) {
    const name =
      `sample_top_p [${rows}, ${vocabulary} of ${stride}], temperature ${temperature}, top_p ${topP}`;
    const test = wide ? wideGpuTest : gpuTest;
    test(`${name}, draws the tokens of the reference (${why})`, async (gpu) => {
      // The padding is larger than any logit, so a kernel that looks at it fails.
      const logits = noise(rows * stride, 1).map((value, i) => i % stride < vocabulary ? value * 5 : 100);
      const counters = range(rows);
      const { tokens, logprobs } = await run(gpu, logits, counters, {
        vocabulary,
        stride,
        temperature,
        topP,
      });
      let close = 0;
      counters.forEach((counter, r) => {
        const row = logits.subarray(r * stride, r * stride + vocabulary);
        const kept = keep(row, { temperature, topP });
        const expected = draw(kept, uniform4(random4([counter, STEP, STREAM, SEED]))[0]);
        if (Math.min(kept.margin, expected.margin) < MARGIN) close++;
        else assertEquals(tokens[r], expected.token, `row ${r}`);
        assertClose([logprobs[r]], [logSoftmax(row)[tokens[r]]], LOGPROBS);
      });
      assert(close <= rows / 20, `${close} of ${rows} rows are too close to a boundary to compare`);
    });
  }
}

gpuTest("sample_top_p draws every kept token and no other", async (gpu) => {
  const vocabulary = 12, draws = 2000, temperature = 0.8, topP = 0.8;
  for (let seed = 1; seed <= 12; seed++) {
    const row = noise(vocabulary, seed);
    const { kept } = keep(row, { temperature, topP });
    const call = { vocabulary, stride: vocabulary, temperature, topP };
    const { tokens } = await run(gpu, repeated(row, draws), range(draws), call);
    const drawn = new Set(tokens);
    assertEquals(kept.map((_, token) => drawn.has(token)), kept);
  }
});

gpuTest("sample_top_p of top_p 0 is argmax", async (gpu) => {
  const rows = 100, vocabulary = 53, stride = 56, logits = noise(rows * stride, 1);
  const { tokens } = await run(gpu, logits, range(rows), { vocabulary, stride, temperature: 1, topP: 0 });
  assertEquals(
    tokens,
    Array.from({ length: rows }, (_, r) => argmax(logits.subarray(r * stride, r * stride + vocabulary))),
  );
});

for (const temperature of [0.5, 1, 2]) {
  gpuTest(`sample_top_p of top_p 1 samples the softmax at temperature ${temperature}`, async (gpu) => {
    const vocabulary = 12, draws = 20000, row = noise(vocabulary, 3);
    const call = { vocabulary, stride: vocabulary, temperature, topP: 1 };
    const { tokens } = await run(gpu, repeated(row, draws), range(draws), call);
    const counts = new Array<number>(vocabulary).fill(0);
    for (const token of tokens) counts[token]++;
    const chiSquare = keep(row, { temperature, topP: 1 }).probabilities.reduce(
      (sum, probability, token) => sum + (counts[token] - draws * probability) ** 2 / (draws * probability),
      0,
    );
    // The 99.99 % quantile for 11 degrees of freedom.
    assert(chiSquare < 37.4, `chi-square ${chiSquare}, counts ${counts}`);
  });
}

gpuTest("sample_top_p keeps or cuts tokens of equal logit together", async (gpu) => {
  const draws = 1000, row = Float32Array.of(1, 0, 2, 1, 2, 0, 1, 0);
  const call = { vocabulary: 8, stride: 8, temperature: 1, topP: 0.7 };
  const { tokens } = await run(gpu, repeated(row, draws), range(draws), call);
  assertEquals([...new Set(tokens)].sort(), [0, 2, 3, 4, 6]);
});

gpuTest("sample_top_p tells logits apart that differ in their last bit", async (gpu) => {
  const draws = 200, row = Float32Array.of(1, 0, 1 + 2 ** -23, 0);
  const call = { vocabulary: 4, stride: 4, temperature: 1, topP: 0.3 };
  const { tokens } = await run(gpu, repeated(row, draws), range(draws), call);
  assertEquals([...new Set(tokens)], [2]);
});

for (
  const { counter, uniform, end } of [
    { counter: 33304902, uniform: 0, end: 0 },
    { counter: 2498111, uniform: 1 - 2 ** -24, end: -1 },
  ]
) {
  gpuTest(`sample_top_p draws the kept token at the end of the row at uniform ${uniform}`, async (gpu) => {
    assertEquals(uniform4(random4([counter, STEP, STREAM, SEED]))[0], uniform);
    const rows = 300, vocabulary = 33, stride = 36, temperature = 1, topP = 0.5;
    const logits = noise(rows * stride, 1);
    const call = { vocabulary, stride, temperature, topP };
    const { tokens } = await run(gpu, logits, new Uint32Array(rows).fill(counter), call);
    const expected = tokens.map((_, r) => {
      const { kept } = keep(logits.subarray(r * stride, r * stride + vocabulary), { temperature, topP });
      return kept.flatMap((isKept, token) => isKept ? [token] : []).at(end);
    });
    assertEquals(tokens, expected);
  });
}

gpuTest("sample_top_p depends on counter, step and seed, and not on the row", async (gpu) => {
  const draws = 50, call = { vocabulary: 8, stride: 8, temperature: 1, topP: 1 };
  const logits = repeated(noise(8, 1), draws);
  const { tokens } = await run(gpu, logits, range(draws), call);
  const reversed = await run(gpu, logits, range(draws).reverse(), call);
  assertEquals(reversed.tokens.reverse(), tokens);
  assertEquals((await run(gpu, logits, range(draws), call)).tokens, tokens);
  assertNotEquals((await run(gpu, logits, range(draws), { ...call, step: STEP + 1 })).tokens, tokens);
  assertNotEquals((await run(gpu, logits, range(draws), { ...call, seed: SEED + 1 })).tokens, tokens);
});

gpuTest("sample_top_p of a row with NaN is a token of the vocabulary", async (gpu) => {
  const vocabulary = 101, stride = 104, logits = noise(3 * stride, 1);
  logits.fill(NaN, 0, stride);
  logits[stride + 50] = NaN;
  for (const topP of [0.5, 1]) {
    const { tokens } = await run(gpu, logits, range(3), { vocabulary, stride, temperature: 1, topP });
    assert(tokens.every((token) => token < vocabulary), `tokens ${tokens}`);
  }
});
