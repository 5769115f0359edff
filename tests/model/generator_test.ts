import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { Continuation, GenerationOptions } from "../../core/types.ts";
import { generate } from "../../model/generator.ts";
import { Llama } from "../../model/llama.ts";
import { loadAdapter } from "../../model/peft.ts";
import { gpuTest, noiseIndices } from "../kernels/_gpu.ts";
import { GOLDEN_CASES, goldenPath, readGolden, withGolden, withLimit } from "./_golden.ts";
import { allLogits, logProbability } from "./_logits.ts";

const GREEDY: GenerationOptions = { maxNewTokens: 32, batchSize: 4, temperature: 0, topP: 1, seed: 1 };

const SAMPLED: GenerationOptions = { maxNewTokens: 16, batchSize: 4, temperature: 1, topP: 0.9, seed: 1 };

/** Sums of tens of logarithms, each off by about 1e-6. */
const LOGPROB = 2e-4;

/** All continuations, by prompt. */
async function run(
  model: Llama,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions,
  stops: readonly number[] = [],
): Promise<Continuation[]> {
  const all: Continuation[] = [];
  for await (const continuation of generate(model, prompts, stops, options)) {
    assertEquals(all[continuation.index], undefined, "a prompt is continued once");
    all[continuation.index] = { ...continuation, tokens: [...continuation.tokens] };
  }
  return all;
}

/** Random tokens for a recorded model with a vocabulary of at least 97. */
function prompt(length: number, seed: number): number[] {
  return [...noiseIndices(length, 97, seed)];
}

/** The most probable token. */
function best(logits: Float32Array): number {
  return logits.reduce((most, value, token) => value > logits[most] ? token : most, 0);
}

for (const name of GOLDEN_CASES) {
  gpuTest(`${name}: rows that stop and leave do not change what the others write`, async (gpu) => {
    const { greedy } = await readGolden(name);
    // Each recorded continuation is cut by its own eighth, third, … token, and by those of the others.
    const stops = greedy.map(({ continuation }, index) => continuation[[8, 3, 20, 1][index]]);
    const expected = greedy.map(({ continuation }) => {
      const end = continuation.findIndex((token) => stops.includes(token));
      return end < 0 ? continuation : continuation.slice(0, end);
    });
    // Twice, so that rows enter where others left.
    const prompts = [...greedy, ...greedy].map((entry) => entry.prompt);
    await withGolden(gpu, name, async (model) => {
      for (const batchSize of [1, 3, 8, 100]) {
        const answers = await run(model, prompts, { ...GREEDY, batchSize }, stops);
        assertEquals(
          answers.map(({ tokens }) => tokens),
          [...expected, ...expected],
          `batches of ${batchSize}`,
        );
      }
    });
  });
}

gpuTest("generate() yields a row as soon as it stops, before longer ones", async (gpu) => {
  const { greedy } = await readGolden("mha-f32");
  const [long, short] = greedy.map(({ continuation }) => continuation);
  const stop = short.find((token) => !long.includes(token))!;
  await withGolden(gpu, "mha-f32", async (model) => {
    const order: number[] = [];
    const prompts = greedy.slice(0, 2).map((entry) => entry.prompt);
    for await (const { index } of generate(model, prompts, [stop], GREEDY)) order.push(index);
    assertEquals(order, [1, 0]);
  });
});

gpuTest("generate() continues prompts of very different lengths as it does each alone", async (gpu) => {
  await withGolden(gpu, "gqa2-bf16", async (model) => {
    const prompts = [1, 200, 2, 33, 64, 8, 150].map((length, index) => prompt(length, index));
    const alone = await run(model, prompts, { ...GREEDY, batchSize: 1 });
    const together = await run(model, prompts, { ...GREEDY, batchSize: 7 });
    together.forEach(({ tokens, logprob }, index) => {
      assertEquals(tokens, alone[index].tokens);
      assertAlmostEquals(logprob, alone[index].logprob, LOGPROB);
    });
  });
});

gpuTest("generate() takes prompts of more tokens than one step may have over several steps", async (gpu) => {
  await withGolden(gpu, "gqa4-f16", async (model) => {
    // 30 × 200 tokens, and 4096 a step.
    const prompts = Array.from({ length: 30 }, (_, index) => prompt(200, index));
    const options = { ...GREEDY, maxNewTokens: 3 };
    const together = await run(model, prompts, { ...options, batchSize: 30 });
    const some = [0, 19, 20, 29];
    const alone = await run(model, some.map((index) => prompts[index]), { ...options, batchSize: 1 });
    assertEquals(some.map((index) => together[index].tokens), alone.map(({ tokens }) => tokens));
  });
});

gpuTest("generate() sums the log-probabilities that one pass over prompt and answer gives", async (gpu) => {
  const { greedy } = await readGolden("gqa2-bf16");
  await withGolden(gpu, "gqa2-bf16", async (model) => {
    const adapter = await loadAdapter(gpu, model.description, goldenPath("gqa2-bf16", "adapter"));
    for (const active of [undefined, { adapter }]) {
      const prompts = greedy.map((entry) => entry.prompt);
      for await (const { index, tokens, logprob } of generate(model, prompts, [], GREEDY, active)) {
        const logits = await allLogits(model, [...prompts[index], ...tokens], active?.adapter);
        const first = prompts[index].length - 1;
        const expected = tokens.reduce(
          (sum, token, at) => sum + logProbability(logits[first + at], token),
          0,
        );
        assertAlmostEquals(logprob, expected, LOGPROB);
      }
    }
    adapter.free();
  });
});

gpuTest("generate() counts the stop token's probability, and leaves the token out", async (gpu) => {
  const { greedy: [{ prompt, continuation }] } = await readGolden("mha-f32");
  await withGolden(gpu, "mha-f32", async (model) => {
    const logits = await allLogits(model, prompt);
    const [answer] = await run(model, [prompt], GREEDY, [continuation[0]]);
    assertEquals(answer.tokens, []);
    assertAlmostEquals(answer.logprob, logProbability(logits.at(-1)!, continuation[0]), LOGPROB);
  });
});

gpuTest("generate() writes maxNewTokens tokens where nothing stops it, also if that is one", async (gpu) => {
  const { greedy } = await readGolden("mha-f32");
  await withGolden(gpu, "mha-f32", async (model) => {
    for (const maxNewTokens of [1, 2, 31]) {
      const answers = await run(model, greedy.map((entry) => entry.prompt), { ...GREEDY, maxNewTokens });
      assertEquals(
        answers.map(({ tokens }) => tokens),
        greedy.map(({ continuation }) => continuation.slice(0, maxNewTokens)),
      );
    }
  });
});

gpuTest(
  "generate() tells of each token as it is written, and ends the one it is told to, without touching others",
  async (gpu) => {
    const { greedy } = await readGolden("mha-f32");
    await withGolden(gpu, "mha-f32", async (model) => {
      const told: number[][] = greedy.map(() => []);
      const onToken = (index: number, token: number) => told[index].push(token) < 5 || index !== 1;
      const answers = await run(model, greedy.map(({ prompt }) => prompt), { ...GREEDY, onToken });
      const expected = greedy.map(({ continuation }, index) => continuation.slice(0, index === 1 ? 5 : 32));
      assertEquals(answers.map(({ tokens }) => tokens), expected);
      assertEquals(told, expected);
    });
  },
);

gpuTest("generate() goes on past the positions whose angles were there at first", async (gpu) => {
  await withGolden(gpu, "gqa2-bf16", async (recorded) => {
    const model = new Llama(gpu, { ...recorded.description, contextLength: 1024 }, recorded.weights);
    // The table has 256 positions until a longer sequence comes.
    const [{ tokens }] = await run(model, [prompt(250, 1)], { ...GREEDY, maxNewTokens: 12 });
    const logits = await allLogits(model, [...prompt(250, 1), ...tokens]);
    assertEquals(tokens, tokens.map((_, index) => best(logits[249 + index])));
    model.free();
  });
});

gpuTest(
  "generate() takes a prompt that leaves room for the answer, and refuses one a token longer",
  async (gpu) => {
    await withGolden(gpu, "mha-f32", async (model) => {
      const { contextLength } = model.description;
      const options = { ...GREEDY, maxNewTokens: 4 };
      const [{ tokens }] = await run(model, [prompt(contextLength - 4, 1)], options);
      assertEquals(tokens.length, 4);
      const prompts = [prompt(3, 1), prompt(contextLength - 3, 1)];
      const error = await assertRejects(() => run(model, prompts, options), UserError);
      assertEquals([error.kind, error.where], ["data", "sequence 1 of 2"]);
      assertEquals(error.what, "The sequence has 253 tokens, but the model can take at most 252");
    });
  },
);

gpuTest("generate() refuses an empty prompt, and continues no prompts with nothing", async (gpu) => {
  await withGolden(gpu, "mha-f32", async (model) => {
    await assertRejects(() => run(model, [[1], []], GREEDY), UserError, "no tokens");
    assertEquals(await run(model, [], GREEDY), []);
  });
});

gpuTest("generate() refuses batches of no rows and answers of no tokens", async (gpu) => {
  await withGolden(gpu, "mha-f32", async (model) => {
    await assertRejects(() => run(model, [[1]], { ...GREEDY, batchSize: 0 }), RangeError, "got 0 and 32");
    await assertRejects(() => run(model, [[1]], { ...GREEDY, maxNewTokens: 0 }), RangeError, "got 4 and 0");
  });
});

gpuTest("generate() gives its memory back when its reader leaves early", async (gpu) => {
  await withGolden(gpu, "mha-f32", async (model) => {
    const prompts = [prompt(3, 1), prompt(4, 2)];
    const before = gpu.liveTensors.length;
    for await (const _ of generate(model, prompts, [], { ...GREEDY, batchSize: 1 })) {
      // The cache of two layers, and the table of angles, which stays with the model.
      assertEquals(gpu.liveTensors.length, before + 3);
      break;
    }
    assertEquals(gpu.liveTensors.length, before + 1);
  });
});

gpuTest(
  "generate() refuses a cache that the adapter cannot bind, naming the batch size that would do",
  async (gpu) => {
    await withGolden(gpu, "mha-f32", async ({ description, weights }) => {
      // Keys and values of two heads of 16, f32, for 5 + 3 tokens.
      const rowBytes = 8 * 2 * 2 * 16 * 4;
      const prompts = Array.from({ length: 3 }, (_, index) => prompt(5, index));
      const options = { ...GREEDY, maxNewTokens: 3, batchSize: 3 };
      const limited = (bytes: number) => new Llama(withLimit(gpu, bytes), description, weights);
      const enough = limited(3 * rowBytes);
      assertEquals((await run(enough, prompts, options)).length, 3);
      enough.free();
      const error = await assertRejects(() => run(limited(3 * rowBytes - 1), prompts, options), UserError);
      assertEquals([error.kind, error.fix], ["adapter", "use --batch-size=2 or less"]);
      const none = await assertRejects(() => run(limited(rowBytes - 1), prompts, options), UserError);
      assertEquals(none.fix, "use shorter prompts or fewer worked examples");
    });
  },
);

gpuTest(
  "generate() samples the same answers from a seed whatever the batch size, others from another",
  async (gpu) => {
    await withGolden(gpu, "gqa2-bf16", async (model) => {
      const prompts = [4, 40, 1, 9, 17].map((length, index) => prompt(length, index));
      const sample = async (change: Partial<GenerationOptions>) =>
        (await run(model, prompts, { ...SAMPLED, ...change })).map(({ tokens }) => tokens);
      const first = await sample({});
      assertEquals(await sample({}), first);
      for (const batchSize of [1, 2, 5]) assertEquals(await sample({ batchSize }), first);
      assertNotEquals(await sample({ seed: 2 }), first);
    });
  },
);

gpuTest("generate() draws apart for each prompt and each token", async (gpu) => {
  await withGolden(gpu, "gqa2-bf16", async (model) => {
    // So hot that all tokens are nearly as likely.
    const options = { ...SAMPLED, temperature: 1e4, topP: 1 };
    const answers = await run(model, [prompt(4, 1), prompt(4, 1), prompt(4, 1)], options);
    assertEquals(new Set(answers.map(({ tokens }) => tokens.join())).size, 3);
    answers.forEach(({ tokens }) => assert(new Set(tokens).size > 8, tokens.join()));
  });
});

gpuTest(
  "generate() samples greedily at the least topP, and scores samples by the uncut distribution",
  async (gpu) => {
    const { greedy: [{ prompt, continuation }] } = await readGolden("gqa2-bf16");
    await withGolden(gpu, "gqa2-bf16", async (model) => {
      const [cold] = await run(model, [prompt], { ...SAMPLED, topP: 1e-6 });
      assertEquals(cold.tokens, continuation.slice(0, SAMPLED.maxNewTokens));
      const [{ tokens, logprob }] = await run(model, [prompt], { ...SAMPLED, temperature: 2 });
      const logits = await allLogits(model, [...prompt, ...tokens]);
      const expected = tokens.reduce(
        (sum, token, at) => sum + logProbability(logits[prompt.length - 1 + at], token),
        0,
      );
      assertAlmostEquals(logprob, expected, LOGPROB);
    });
  },
);

gpuTest(
  "generate() tells of each token as it is written, but for the one that stops, and ends when the hearer throws",
  async (gpu) => {
    const name = GOLDEN_CASES[0];
    await withGolden(gpu, name, async (model) => {
      const prompts = [prompt(5, 1), prompt(9, 2)];
      const heard: number[][] = [[], []];
      const onToken = (index: number, token: number) => heard[index].push(token) > 0;
      const whole = await run(model, prompts, { ...GREEDY, maxNewTokens: 6, onToken });
      assertEquals(heard, whole.map(({ tokens }) => [...tokens]));
      let count = 0;
      const stop = () => {
        if (++count === 3) throw new Error("enough");
        return true;
      };
      await assertRejects(
        () => run(model, prompts.slice(0, 1), { ...GREEDY, onToken: stop }),
        Error,
        "enough",
      );
      assertEquals(count, 3);
    });
  },
);
