import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { FeatureCache } from "../../core/feature_cache.ts";
import { createRng } from "../../core/rng.ts";
import { UserError } from "../../core/errors.ts";
import type { LoraOptions, TokenSpan } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { deferLanguageModel, type DeferOptions, type DeferredModel } from "../../model/deferred_model.ts";
import { openLanguageModel, type OpenModel } from "../../model/language_model.ts";
import { facts } from "../../plugins/datasets/facts.ts";
import { llama } from "../../plugins/models/llama.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { withFolder } from "./_files.ts";

const MODEL = new URL("../../assets/facts/model", import.meta.url).pathname;

const LORA: LoraOptions = { rank: 2, alpha: 4, dropout: 0, targetModules: ["q_proj"] };

const SPANS: readonly TokenSpan[] = [
  { tokens: [1, 5, 6, 7], first: 3, end: 4 },
  { tokens: [1, 8, 9], first: 1, end: 3 },
  { tokens: [1, 5, 6, 7], first: 3, end: 4 },
];

const STATES = { layers: [-1, 2], batchSize: 2 };

interface Lent {
  readonly model: DeferredModel;
  /** What `onCached` was told, and how many texts the model read. */
  readonly told: (readonly [number, number])[];
  readonly read: TokenSpan[];
  readonly opened: OpenModel[];
}

/** Runs with a deferred model whose cache lies in a folder, as a new program would have it. */
async function withDeferred(
  gpu: Gpu,
  cache: string | undefined,
  work: (lent: Lent) => Promise<void>,
  more: Partial<DeferOptions> & { readonly folder?: string } = {},
): Promise<void> {
  const told: [number, number][] = [], read: TokenSpan[] = [], opened: OpenModel[] = [];
  const { folder = MODEL, ...options } = more;
  const open = async () => {
    const model = await openLanguageModel(gpu, folder, [llama]);
    const original = model.hiddenStates.bind(model);
    model.hiddenStates = (spans, options) => {
      read.push(...spans);
      return original(spans, options);
    };
    opened.push(model);
    return model;
  };
  const model = await deferLanguageModel(gpu, folder, [llama], {
    name: "facts",
    open,
    ...(cache === undefined ? {} : { cache: new FeatureCache(cache) }),
    onCached: (found, rows) => told.push([found, rows]),
    ...options,
  });
  try {
    await work({ model, told, read, opened });
  } finally {
    opened.forEach((model) => model.close());
  }
}

gpuTest("A deferred model knows its shape and tokenizer without its weights", async (gpu) => {
  await withDeferred(gpu, undefined, async ({ model, opened }) => {
    assertEquals([model.name, model.width, model.blocks, model.contextLength], ["facts", 96, 6, 4096]);
    assert(model.tokenizer.encode("Question: who?").length > 0);
    const classifier = await model.createClassifier({ inputs: 8, hidden: [] }, createRng(1));
    await withFolder(async (folder) => {
      await classifier.save(folder);
      (await model.loadClassifier(folder)).free();
    });
    const adamw = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 };
    const trainer = model.createClassifierTrainer(classifier, adamw);
    await trainer.train([{ features: [new Float32Array(8)], labels: [1], learningRate: 0.1 }]);
    trainer.free();
    classifier.free();
    assertEquals([model.opened, opened.length], [false, 0]);
  });
});

gpuTest("A deferred model gives what the model gives, and opens it once", async (gpu) => {
  await withDeferred(gpu, undefined, async ({ model, opened, told }) => {
    const states = await Array.fromAsync(model.hiddenStates(SPANS, STATES));
    assert(model.opened);
    assertEquals(states, await Array.fromAsync(opened[0].hiddenStates(SPANS, STATES)));
    const logits = await Array.fromAsync(model.tokenLogits([[1, 2, 3]], [4, 5], { batchSize: 1 }));
    assertEquals(logits, await Array.fromAsync(opened[0].tokenLogits([[1, 2, 3]], [4, 5], { batchSize: 1 })));
    const written = { maxNewTokens: 2, batchSize: 1, temperature: 0, topP: 1, seed: 1 };
    assertEquals((await Array.fromAsync(model.generate([[1, 2, 3]], written))).length, 1);
    const adapter = await model.createAdapter(LORA, createRng(1));
    const adamw = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 };
    model.createTrainer(adapter, adamw, 1).free();
    await withFolder(async (folder) => {
      await model.saveAdapter(adapter, folder);
      (await model.loadAdapter(folder)).free();
    });
    adapter.free();
    assertEquals([opened.length, told], [1, []]);
  });
});

gpuTest(
  "Hidden states in the cache are the same to the bit, and the model is not opened for them",
  async (gpu) => {
    await withFolder(async (cache) => {
      let first: Float32Array[] = [];
      await withDeferred(gpu, cache, async ({ model, told, read }) => {
        first = await Array.fromAsync(model.hiddenStates(SPANS, STATES));
        assertEquals(told, [[0, 3]]);
        // The third row is the first's text again.
        assertEquals(read, SPANS.slice(0, 2));
      });
      await withDeferred(gpu, cache, async ({ model, told }) => {
        assertEquals(await Array.fromAsync(model.hiddenStates(SPANS, STATES)), first);
        assertEquals([told, model.opened], [[[3, 3]], false]);
        // Layers are found by what they are, however they are counted, and one by one.
        const [last] = await Array.fromAsync(model.hiddenStates([SPANS[1]], { layers: [6], batchSize: 1 }));
        assertEquals([last, model.opened], [first[1].slice(0, 96), false]);
      });
    });
  },
);

gpuTest("Only rows, layers and spans that are not in the cache are computed", async (gpu) => {
  await withFolder(async (cache) => {
    await withDeferred(gpu, cache, async ({ model }) => {
      await Array.fromAsync(model.hiddenStates([SPANS[0]], STATES));
    });
    await withDeferred(gpu, cache, async ({ model, told, read }) => {
      await Array.fromAsync(model.hiddenStates(SPANS, STATES));
      assertEquals([told.splice(0), read.splice(0)], [[[2, 3]], [SPANS[1]]]);
      for (
        const [span, layers] of [[SPANS[0], [3]], [{ ...SPANS[0], first: 2 }, [2]], [{
          ...SPANS[0],
          tokens: [1, 5, 6, 8],
        }, [2]]] as const
      ) {
        await Array.fromAsync(model.hiddenStates([span], { layers, batchSize: 1 }));
        assertEquals(read.splice(0).length, 1);
      }
      // What stands behind the span does not matter.
      await Array.fromAsync(model.hiddenStates([{ tokens: [1, 8, 9, 4], first: 1, end: 3 }], STATES));
      assertEquals(read.length, 0);
    });
  });
});

gpuTest("What was computed before a stop is in the cache", async (gpu) => {
  await withFolder(async (cache) => {
    await withDeferred(gpu, cache, async ({ model }) => {
      for await (const _ of model.hiddenStates(SPANS, { ...STATES, batchSize: 1 })) break;
    });
    await withDeferred(gpu, cache, async ({ model, told }) => {
      await Array.fromAsync(model.hiddenStates(SPANS, STATES));
      // The first row's, and the third's, which is the same text.
      assertEquals(told, [[2, 3]]);
    });
  });
});

gpuTest("With an adapter nothing is taken from the cache or put there", async (gpu) => {
  await withFolder(async (cache) => {
    await withDeferred(gpu, cache, async ({ model, told, read }) => {
      await Array.fromAsync(model.hiddenStates([SPANS[0]], STATES));
      const adapter = await model.createAdapter(LORA, createRng(1));
      read.length = told.length = 0;
      await Array.fromAsync(model.hiddenStates([SPANS[0]], { ...STATES, adapter }));
      assertEquals([read.length, told], [1, []]);
      adapter.free();
    });
  });
});

gpuTest(
  "Hidden states of another type of weights, or of a model with one other tensor, are others'",
  async (gpu) => {
    await withFolder(async (folder) => {
      const cache = join(folder, "cache"), copy = join(folder, "model");
      await withDeferred(gpu, cache, async ({ model }) => {
        await Array.fromAsync(model.hiddenStates([SPANS[0]], STATES));
      });
      const found = async (more: Parameters<typeof withDeferred>[3]) => {
        let hits = -1;
        await withDeferred(gpu, cache, async ({ model, told }) => {
          await Array.fromAsync(model.hiddenStates([SPANS[0]], STATES));
          hits = told[0][0];
        }, more);
        return hits;
      };
      assertEquals(await found({ dtype: "int8" }), 0);
      await Deno.mkdir(copy);
      for (const name of ["config.json", "tokenizer.json", "model.safetensors"]) {
        await Deno.copyFile(join(MODEL, name), join(copy, name));
      }
      const path = join(copy, "model.safetensors"), bytes = await Deno.readFile(path);
      await found({ folder: copy });
      assertEquals(await found({ folder: copy }), 1);
      // Within the largest tensor's first values, far from either end of a large file.
      const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const { data_offsets: [start] } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + header)))[
        "model.layers.3.mlp.up_proj.weight"
      ];
      bytes[8 + header + start + 1] ^= 1;
      await Deno.writeFile(path, bytes);
      assertEquals(await found({ folder: copy }), 0);
    });
  },
);

gpuTest(
  "A deferred model refuses layers, spans and folders as the model does, before it is opened",
  async (gpu) => {
    await withDeferred(gpu, undefined, async ({ model }) => {
      await assertRejects(
        () => Array.fromAsync(model.hiddenStates(SPANS, { ...STATES, layers: [7] })),
        UserError,
        "no layer 7",
      );
      assertEquals(model.opened, false);
    });
    await assertRejects(
      () => withDeferred(gpu, undefined, () => Promise.resolve(), { folder: facts.name }),
      UserError,
    );
  },
);

gpuTest("Features of 10,000 rows are computed once: the second time nothing asks the model", async (gpu) => {
  await withFolder(async (cache) => {
    const rows = Array.from({ length: 10_000 }, (_, row): TokenSpan => ({
      tokens: [1, 3 + row % 100, 3 + Math.floor(row / 100)],
      first: 1,
      end: 3,
    }));
    // The embedding alone, so that this is about the cache and not about the model.
    const options = { layers: [0], batchSize: 500 };
    let first: Float32Array[] = [];
    await withDeferred(gpu, cache, async ({ model, told, read }) => {
      first = await Array.fromAsync(model.hiddenStates(rows, options));
      assertEquals([told, read.length], [[[0, 10_000]], 10_000]);
    });
    await withDeferred(gpu, cache, async ({ model, told, read }) => {
      const before = gpu.counts.dispatches;
      const again = await Array.fromAsync(model.hiddenStates(rows, options));
      assert(again.every((state, row) => state.every((value, index) => value === first[row][index])));
      assertEquals([told, read.length, model.opened], [[[10_000, 10_000]], 0, false]);
      assertEquals(gpu.counts.dispatches, before);
    });
  });
});
