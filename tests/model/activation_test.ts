import { assert, assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { TrainingExample } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { activationStart, cutExamples, cutPath } from "../../model/activation.ts";
import { LoraAdapter } from "../../model/adapter.ts";
import type { Llama } from "../../model/llama.ts";
import { loadAdapter, saveAdapter } from "../../model/peft.ts";
import { PrefixCache } from "../../model/prefix_cache.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { LoraTrainer } from "../../model/trainer.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { withFolder } from "./_files.ts";
import { withGolden } from "./_golden.ts";
import { activatedLogits, allLogits } from "./_logits.ts";
import { byName } from "./_peft.ts";

/** As for adapters that act on all tokens. */
const LOGITS = { absolute: 2e-4, relative: 1e-4 };
const LOSSES = { absolute: 1e-6, relative: 1e-3 };
/** Of the largest gradient of a tensor: small entries are sums that nearly cancel. */
const GRADIENT = 1e-3;

const OPTIMIZER = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 };

/** What PEFT computed: see tests/golden/README.md. */
interface Recorded {
  readonly model: string;
  readonly sequences: readonly {
    readonly tokens: number[];
    readonly logits: number[];
    /** By how much the adapter moves a logit. */
    readonly moved: number;
  }[];
  readonly training?: {
    readonly examples: readonly TrainingExample[];
    readonly learning_rate: number;
    /** Loss and gradient norm of each step. */
    readonly losses: readonly [number, number][];
  };
}

const CASES = ["mha-f32", "gqa2-bf16", "gqa4-f16", "llama-dynamic", "mistral-window", "qwen2-window"];

function pathOf(name: string, file = ""): string {
  return new URL(`../golden/activated/${name}/${file}`, import.meta.url).pathname;
}

/** Lends a recorded adapter with its model. */
async function withRecorded(
  gpu: Gpu,
  name: string,
  work: (model: Llama, adapter: LoraAdapter, recorded: Recorded) => Promise<void>,
): Promise<void> {
  const recorded: Recorded = JSON.parse(await Deno.readTextFile(pathOf(name, "expected.json")));
  await withGolden(gpu, recorded.model.replace("llama/", ""), async (model) => {
    const adapter = await loadAdapter(gpu, model.description, pathOf(name));
    await work(model, adapter, recorded);
    adapter.free();
  });
}

for (const name of CASES) {
  gpuTest(
    `${name}: an adapter acts from its invocation tokens on, as PEFT's activated LoRA does`,
    async (gpu) => {
      await withRecorded(gpu, name, async (model, adapter, { sequences }) => {
        const invocation = adapter.options.invocationTokens!;
        const acted = sequences.filter(({ tokens }) => activationStart(tokens, invocation) !== undefined);
        assertEquals(acted.map(({ moved }) => moved > 0), acted.map(() => true));
        const logits = await activatedLogits(model, acted.map(({ tokens }) => tokens), adapter);
        acted.forEach((expected, index) => assertClose(logits[index], expected.logits, LOGITS));
        for (const { tokens, logits, moved } of sequences.filter((sequence) => !acted.includes(sequence))) {
          assertEquals(moved, 0);
          assertClose((await allLogits(model, tokens)).at(-1)!, logits, LOGITS);
        }
      });
    },
  );

  gpuTest(`${name}: an activated adapter is written as it was read`, async (gpu) => {
    await withRecorded(gpu, name, (model, adapter) =>
      withFolder(async (folder) => {
        await saveAdapter(adapter, folder, "base");
        const again = await loadAdapter(gpu, model.description, folder);
        assertEquals(again.options, adapter.options);
        assertEquals(await gpu.readF32(again.values), await gpu.readF32(adapter.values));
        again.free();
      }));
  });
}

for (const name of CASES.filter((name) => name !== "gqa4-f16")) {
  gpuTest(
    `${name}: losses and gradients of an activated adapter are those of PEFT and autograd`,
    async (gpu) => {
      await withRecorded(gpu, name, async (model, adapter, { training }) => {
        const { examples, learning_rate, losses } = training!;
        const trainer = new LoraTrainer(model, adapter, OPTIMIZER, 1);
        for (const [step, expected] of losses.entries()) {
          const { choice, divergence, gradientNorm } = await trainer.train([examples], learning_rate);
          assertClose([choice, gradientNorm], expected, LOSSES);
          assertEquals(divergence, 0);
          if (step > 0) continue;
          using file = await SafetensorsFile.open(pathOf(name, "gradients.safetensors"));
          for (const [tensor, values] of byName(adapter, await trainer.gradient())) {
            const gradient = await file.values(file.tensors.get(tensor)!);
            const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
            assertClose(values, gradient, { absolute: GRADIENT * largest, relative: 0 });
          }
        }
        trainer.free();
      });
    },
  );
}

gpuTest(
  "a prefix has the same keys and values to the bit whether it is read alone, among others, or kept",
  async (gpu) => {
    await withRecorded(gpu, "mha-f32", async (model, adapter, { sequences }) => {
      const invocation = adapter.options.invocationTokens!;
      // Of all lengths from 0 on: few rows are multiplied by another algorithm than many.
      const { tokens } = sequences[7];
      const paths = Array.from({ length: 12 }, (_, length) => ({
        frozen: tokens.slice(0, length),
        active: invocation,
      }));
      const keysOf = async (cache: PrefixCache, batch: typeof paths) => {
        const { layers, sequences } = cache.prepare(batch);
        const values = await gpu.read(...layers);
        return sequences.map(({ firstSlot, cached }) =>
          values.map((layer, index) => {
            const width = layers[index].shape[1];
            return layer.slice(firstSlot * width, (firstSlot + cached) * width);
          })
        );
      };
      const keeping = new PrefixCache(model, 1 << 24), forgetting = new PrefixCache(model, 0);
      const together = await keysOf(keeping, paths);
      assertEquals(await keysOf(keeping, paths.toReversed()), together.toReversed());
      for (const [index, path] of paths.entries()) {
        assertEquals(await keysOf(forgetting, [path]), [together[index]], `a prefix of ${index} tokens`);
      }
      keeping.free();
      forgetting.free();
    });
  },
);

gpuTest(
  "a training that goes on from saved state, with nothing in its cache, ends in the same bytes",
  async (gpu) => {
    await withRecorded(
      gpu,
      "mistral-window",
      (model, recorded, { training }) =>
        withFolder(async (folder) => {
          const { examples } = training!;
          const adapter = new LoraAdapter(gpu, model.description, { ...recorded.options, dropout: 0.2 });
          gpu.write(adapter.values, await gpu.readF32(recorded.values));
          // Other examples in each step, so that some prefixes are read alone and some together.
          const batches = [[0, 1, 2, 3], [3], [2, 0], [1], [3, 2]].map((batch) =>
            batch.map((id) => examples[id])
          );
          const straight = new LoraTrainer(model, adapter, OPTIMIZER, 1);
          for (const batch of batches.slice(0, 2)) await straight.train([batch], 1e-3);
          await straight.save(folder);
          const middle = await gpu.readF32(adapter.values);
          for (const batch of batches.slice(2)) await straight.train([batch], 1e-3);
          const expected = await gpu.readF32(adapter.values);
          gpu.write(adapter.values, middle);
          const resumed = new LoraTrainer(model, adapter, OPTIMIZER, 1);
          await resumed.load(folder);
          for (const batch of batches.slice(2)) await resumed.train([batch], 1e-3);
          assertEquals(await gpu.readF32(adapter.values), expected);
          [straight, resumed, adapter].forEach((item) => item.free());
        }),
    );
  },
);

gpuTest("a prefix that was read in one step is not read again in the next", async (gpu) => {
  await withRecorded(gpu, "mha-f32", async (model, adapter, { training }) => {
    const trainer = new LoraTrainer(model, adapter, OPTIMIZER, 1);
    const dispatches = async () => {
      const before = gpu.counts.dispatches;
      const { choice } = await trainer.evaluate(training!.examples);
      return { choice, count: gpu.counts.dispatches - before };
    };
    const first = await dispatches(), second = await dispatches();
    assertEquals(second.choice, first.choice);
    assert(second.count < first.count, `${second.count} after ${first.count}`);
    trainer.free();
  });
});

gpuTest("a cache keeps what it may, grows, and gives the same where it may keep less", async (gpu) => {
  await withRecorded(gpu, "gqa2-bf16", async (model, adapter, { sequences }) => {
    const tokens = sequences.slice(1, 6).map((sequence) => sequence.tokens);
    const { layers, kvHeads, headDim } = model.description;
    const rowBytes = 8 * layers * kvHeads * headDim;
    const expected = await activatedLogits(model, tokens, adapter);
    for (const rows of [0, 20, 5000]) {
      const cache = new PrefixCache(model, rows * rowBytes);
      // Long enough that the cache has to grow behind what it keeps.
      const long = Array.from({ length: 40 }, (_, index) => ({
        frozen: [index, ...tokens[0]],
        active: adapter.options.invocationTokens!,
      }));
      cache.prepare([cutPath(tokens[0], adapter.options.invocationTokens!)!]);
      cache.prepare(long);
      assertEquals(await activatedLogits(model, tokens, adapter, cache), expected);
    }
  });
});

Deno.test("activationStart() finds the last occurrence, also where occurrences overlap", () => {
  assertEquals(activationStart([1, 2, 3, 1, 2], [1, 2]), 3);
  assertEquals(activationStart([9, 9, 9, 9], [9, 9]), 2);
  assertEquals(activationStart([1, 2], [1, 2]), 0);
  assertEquals(activationStart([1], [1, 2]), undefined);
  assertEquals(activationStart([2, 1], [1, 2]), undefined);
});

const CHOICE = { kind: "choice", branch: 0, tokens: [1, 2], label: 1, smoothing: 0, weight: 1 } as const;

Deno.test("cutExamples() leaves what stands behind the invocation tokens, wherever the prefix ends", () => {
  const span = { kind: "class", branch: 1, first: 3, end: 5, label: 1, weight: 1 } as const;
  const { branches, examples } = cutExamples(
    [{ id: 7, prefix: [5, 8], branches: [[9, 1], [8, 9, 4]], losses: [CHOICE, span] }],
    [8, 9],
  );
  assertEquals(branches, [
    { frozen: [5], active: [8, 9, 1], example: { id: 7, branch: 1 } },
    { frozen: [5, 8], active: [8, 9, 4], example: { id: 7, branch: 2 } },
  ]);
  assertEquals(examples, [
    { id: 7, prefix: [], branches: [[8, 9, 1], [8, 9, 4]], losses: [CHOICE, { ...span, first: 1, end: 3 }] },
  ]);
});

for (
  const [why, branch, loss] of [
    ["has no invocation tokens", [1, 2], CHOICE],
    ["has a divergence, which is always 0", [8, 9], {
      kind: "divergence",
      branch: 0,
      count: 1,
      type: "jsd",
      weight: 1,
    }],
    ["reads what the adapter does not act on", [8, 9], {
      kind: "class",
      branch: 0,
      first: 1,
      end: 3,
      label: 0,
      weight: 1,
    }],
  ] as const
) {
  Deno.test(`cutExamples() refuses an example that ${why}`, () => {
    const example = { id: 0, prefix: [3, 4], branches: [branch], losses: [loss] };
    const error = assertThrows(() => cutExamples([example], [8, 9]), UserError);
    assertEquals(error.kind, "internal");
  });
}
