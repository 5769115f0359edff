import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { gunzipSync } from "node:zlib";
import { UserError } from "../../core/errors.ts";
import { answerTokens } from "../../core/query.ts";
import { createRng } from "../../core/rng.ts";
import type { Adapter, LoraOptions, ModelFamily, TrainingExample } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { openLanguageModel, type OpenModel } from "../../model/language_model.ts";
import { llama } from "../../plugins/models/llama.ts";
import { assertClose } from "../close.ts";
import { gpuTest, noiseIndices } from "../kernels/_gpu.ts";
import { editJson, editTensors, withFolder } from "./_files.ts";
import { goldenPath, readGolden } from "./_golden.ts";

const GOLDEN = "gqa2-bf16";

/** The same sums in the same order, but for the tile a row lies in. */
const PACKED = { absolute: 1e-5, relative: 1e-5 };

const LORA: LoraOptions = { rank: 8, alpha: 32, dropout: 0.1, targetModules: ["q_proj", "v_proj"] };

/** Letters, `ii`, and the tokens that begin and end a sequence: 30 of the recorded model's 97 ids. */
function smallTokenizer(): object {
  const vocab: Record<string, number> = { "<unk>": 0, "<s>": 1, "</s>": 2, ii: 3 };
  for (const letter of "abcdefghijklmnopqrstuvwxyz") vocab[letter] = Object.keys(vocab).length;
  const special = (id: number, content: string) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [special(1, "<s>"), special(2, "</s>")],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
      special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
    },
    decoder: { type: "Fuse" },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: [["i", "i"]],
    },
  };
}

/** Runs with a folder that holds a recorded model and a tokenizer. */
async function withModelFolder(work: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    for (const name of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(goldenPath(GOLDEN, "model", name), `${folder}/${name}`);
    }
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(smallTokenizer()));
    await work(folder);
  });
}

/** A SentencePiece model of 2,400 pieces. */
async function sentencePiece(): Promise<Uint8Array<ArrayBuffer>> {
  const path = new URL("../golden/tokenizers/llama2/tokenizer.model.gz", import.meta.url);
  return new Uint8Array(gunzipSync(await Deno.readFile(path)));
}

/** Runs with an open model, and closes it. */
async function withModel(gpu: Gpu, work: (model: OpenModel, folder: string) => Promise<void>): Promise<void> {
  await withModelFolder(async (folder) => {
    const model = await openLanguageModel(gpu, folder, [llama], { name: "small" });
    try {
      await work(model, folder);
    } finally {
      model.close();
    }
  });
}

/** Runs with the recorded adapter, and without one. */
async function withAndWithoutAdapter(
  model: OpenModel,
  work: (adapter?: Adapter) => Promise<void>,
): Promise<void> {
  await work();
  const adapter = await model.loadAdapter(goldenPath(GOLDEN, "adapter"));
  try {
    await work(adapter);
  } finally {
    adapter.free();
  }
}

/** Logits of some tokens behind each sequence. */
async function logits(
  model: OpenModel,
  sequences: readonly (readonly number[])[],
  tokens: readonly number[],
  batchSize: number,
  adapter?: Adapter,
): Promise<(readonly number[])[]> {
  const rows: (readonly number[])[] = [];
  for await (const row of model.tokenLogits(sequences, tokens, { batchSize, adapter })) rows.push(row);
  return rows;
}

gpuTest("openLanguageModel() gives a model with its name, tokenizer, shape and folder", async (gpu) => {
  await withModel(gpu, async (model, folder) => {
    await Promise.resolve();
    assertEquals([model.name, model.folder, model.contextLength], ["small", folder, 256]);
    assertEquals([model.description.vocabulary, model.tokenizer.vocabulary], [97, 30]);
    assertEquals(model.tokenizer.stopTokens, [2]);
    assertEquals(answerTokens(model.tokenizer), [12, 3]);
  });
});

gpuTest(
  "LanguageModel.tokenLogits() gives the recorded logits, in the order of sequences and tokens",
  async (gpu) => {
    const { sequences } = await readGolden(GOLDEN);
    const tokens = [7, 0, 96, 7];
    await withModel(gpu, (model) =>
      withAndWithoutAdapter(model, async (adapter) => {
        const rows = await logits(model, sequences.map((entry) => entry.tokens), tokens, 3, adapter);
        assertEquals(rows.length, sequences.length);
        rows.forEach((row, index) => {
          const expected = adapter ? sequences[index].logits_adapter : sequences[index].logits;
          assertClose(row, tokens.map((token) => expected[token]), { absolute: 2e-4, relative: 1e-4 });
        });
      }));
  },
);

gpuTest("LanguageModel.tokenLogits() gives the same logits to 1e-5 whatever the batch size", async (gpu) => {
  const sequences = [1, 8, 9, 200, 33, 2, 64].map((length, index) => [...noiseIndices(length, 97, index)]);
  await withModel(gpu, (model) =>
    withAndWithoutAdapter(model, async (adapter) => {
      const alone = await logits(model, sequences, [3, 12], 1, adapter);
      for (const batchSize of [2, 7, 100]) {
        const together = await logits(model, sequences, [3, 12], batchSize, adapter);
        assertClose(together.flat(), alone.flat(), PACKED);
      }
    }));
});

gpuTest("LanguageModel.tokenLogits() gives the same bytes each time", async (gpu) => {
  const sequences = [5, 90, 17].map((length, index) => [...noiseIndices(length, 97, index)]);
  await withModel(gpu, (model) =>
    withAndWithoutAdapter(model, async (adapter) => {
      const first = await logits(model, sequences, [3, 12], 2, adapter);
      assertEquals(await logits(model, sequences, [3, 12], 2, adapter), first);
    }));
});

gpuTest(
  "LanguageModel.tokenLogits() refuses an empty sequence and one beyond the context, by number",
  async (gpu) => {
    await withModel(gpu, async (model) => {
      const longest = Array<number>(256).fill(5);
      assertEquals((await logits(model, [longest], [3], 1)).length, 1);
      for (const bad of [[], [...longest, 5]]) {
        const error = await assertRejects(() => logits(model, [[1], bad], [3], 1), UserError);
        assertEquals([error.kind, error.where], ["data", "sequence 1 of 2"]);
      }
    });
  },
);

gpuTest(
  "LanguageModel.tokenLogits() of no sequences is nothing, and batches of none are refused",
  async (gpu) => {
    await withModel(gpu, async (model) => {
      assertEquals(await logits(model, [], [3], 4), []);
      await assertRejects(() => logits(model, [[1]], [3], 0), RangeError, "got 0");
    });
  },
);

gpuTest("LanguageModel.tokenLogits() gives its memory back when its reader leaves early", async (gpu) => {
  await withModel(gpu, async (model) => {
    await logits(model, [[1]], [3], 1);
    const before = gpu.liveTensors.length;
    for await (const _ of model.tokenLogits([[1], [2], [3]], [3], { batchSize: 1 })) break;
    assertEquals(gpu.liveTensors.length, before);
  });
});

gpuTest("OpenModel.close() gives all memory of its weights back", async (gpu) => {
  await withModelFolder(async (folder) => {
    gpu.trim();
    const before = gpu.bytes;
    const model = await openLanguageModel(gpu, folder, [llama]);
    assert(gpu.bytes > before);
    model.close();
    assertEquals(gpu.bytes, before);
  });
});

gpuTest("LanguageModel.generate() stops at the tokenizer's stop tokens", async (gpu) => {
  const { greedy: [{ prompt, continuation }] } = await readGolden(GOLDEN);
  await withModelFolder(async (folder) => {
    await editJson(`${folder}/config.json`, (config) => config.eos_token_id = continuation[4]);
    const model = await openLanguageModel(gpu, folder, [llama]);
    const options = { maxNewTokens: 32, batchSize: 1, temperature: 0, topP: 1, seed: 1 };
    for await (const { tokens } of model.generate([prompt], options)) {
      assertEquals(tokens, continuation.slice(0, continuation.indexOf(continuation[4])));
    }
    model.close();
  });
});

gpuTest(
  "LanguageModel.tokenLogits() goes on from the answer that was just written, to the same logits",
  async (gpu) => {
    const { greedy: [, { prompt, continuation }] } = await readGolden(GOLDEN);
    const folder = new URL("../golden/activated/gqa2-bf16", import.meta.url).pathname;
    await withModel(gpu, async (model) => {
      const adapter = await model.loadAdapter(folder);
      const answered = [...prompt, ...continuation.slice(0, 8)],
        [invocation] = adapter.options.invocationTokens!;
      const count = async (work: () => Promise<unknown>) => {
        const before = gpu.counts.dispatches;
        await work();
        return gpu.counts.dispatches - before;
      };
      const options = { maxNewTokens: 8, batchSize: 1, temperature: 0, topP: 1, seed: 1 };
      for (
        const [what, query, asking] of [
          ["as it is", [...answered, 5, 6, 7], undefined],
          [
            "with an adapter behind what was read of it",
            [...answered.slice(0, -1), invocation, 6, 7],
            adapter,
          ],
          ["with an adapter behind all of it", [...answered, invocation, 6, 7], adapter],
          ["with other tokens at its end", [...answered.slice(0, -2), 5, invocation, 6], adapter],
          ["an earlier part of it", answered.slice(0, -1), undefined],
          ["without an adapter's tokens", answered, adapter],
          ["about something else", [1, 2, 3, invocation, 4], adapter],
          ["without room", [...answered, ...Array<number>(100).fill(6)], undefined],
        ] as const
      ) {
        const expected = await logits(model, [query], [3, 12], 1, asking);
        const alone = await count(() => logits(model, [query], [3, 12], 1, asking));
        for await (const _ of model.generate([prompt], options));
        let found: (readonly number[])[] = [];
        const behind = await count(async () => found = await logits(model, [query], [3, 12], 1, asking));
        assertClose(found.flat(), expected.flat(), PACKED);
        if (what === "with an adapter behind what was read of it") {
          assert(behind < alone, `${behind} of ${alone} dispatches`);
        }
        // A second question about the same answer.
        assertClose((await logits(model, [query], [3, 12], 1, asking)).flat(), expected.flat(), PACKED);
        // Others are asked in the meantime.
        await model.generate([prompt, prompt], options)[Symbol.asyncIterator]().return?.();
      }
      adapter.free();
    });
  },
);

gpuTest("LanguageModel.createAdapter() changes no logits, and its values follow the seed", async (gpu) => {
  await withModel(gpu, async (model, folder) => {
    const sequences = [[1, 2, 3], [4, 5]];
    const plain = await logits(model, sequences, [3, 12], 2);
    const saved: Uint8Array[] = [];
    for (const seed of [1, 1, 2]) {
      const adapter = await model.createAdapter(LORA, createRng(seed));
      assertClose((await logits(model, sequences, [3, 12], 2, adapter)).flat(), plain.flat(), PACKED);
      await model.saveAdapter(adapter, `${folder}/adapter`);
      saved.push(await Deno.readFile(`${folder}/adapter/adapter_model.safetensors`));
      adapter.free();
    }
    assertEquals(saved[1], saved[0]);
    assertNotEquals(saved[2], saved[0]);
  });
});

gpuTest(
  "LanguageModel.loadAdapter() refuses an adapter that was trained on other weights of the same shapes",
  async (gpu) => {
    await withModel(gpu, async (model, folder) => {
      const adapter = await model.createAdapter(LORA, createRng(1));
      await model.saveAdapter(adapter, `${folder}/adapter`);
      adapter.free();
      await editTensors(`${folder}/model.safetensors`, (tensors) => {
        for (const { bytes } of tensors.values()) bytes[1] ^= 0x80;
      });
      const other = await openLanguageModel(gpu, folder, [llama], { name: "tuned" });
      try {
        const error = await assertRejects(() => other.loadAdapter(`${folder}/adapter`), UserError);
        assertEquals(error.what, "The adapter was trained on small, not on tuned");
        assertEquals([error.kind, error.where], ["data", `${folder}/adapter`]);
      } finally {
        other.close();
      }
    });
  },
);

gpuTest("LanguageModel trains an adapter that gives the same logits once saved and loaded", async (gpu) => {
  await withModel(gpu, async (model, folder) => {
    const example: TrainingExample = {
      id: 0,
      prefix: [1, 5, 9],
      branches: [[30, 31]],
      losses: [{ kind: "choice", branch: 0, tokens: [12, 3], label: 1, smoothing: 0, weight: 1 }],
    };
    const adapter = await model.createAdapter(LORA, createRng(1));
    const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 };
    const trainer = model.createTrainer(adapter, optimizer, 1);
    const before = await logits(model, [[1, 5, 9, 30, 31]], [12, 3], 1, adapter);
    for (let step = 0; step < 3; step++) await trainer.train([[example]], 1e-2);
    const after = await logits(model, [[1, 5, 9, 30, 31]], [12, 3], 1, adapter);
    const margin = ([[wrong, correct]]: (readonly number[])[]) => correct - wrong;
    assert(margin(after) > margin(before), `${margin(after)} after ${margin(before)}`);
    await model.saveAdapter(adapter, `${folder}/adapter`);
    const loaded = await model.loadAdapter(`${folder}/adapter`);
    assertEquals(await logits(model, [[1, 5, 9, 30, 31]], [12, 3], 1, loaded), after);
    assertEquals(loaded.parameters, adapter.parameters);
    const { base_model_name_or_path } = JSON.parse(
      await Deno.readTextFile(`${folder}/adapter/adapter_config.json`),
    );
    assertEquals(base_model_name_or_path, "small");
    [trainer, adapter, loaded].forEach((item) => item.free());
  });
});

gpuTest(
  "LanguageModel.tokenLogits() gives PEFT's logits of an activated adapter, on sequences with and without its tokens",
  async (gpu) => {
    const folder = new URL("../golden/activated/gqa2-bf16", import.meta.url).pathname;
    const { sequences } = JSON.parse(await Deno.readTextFile(`${folder}/expected.json`));
    const tokens = [12, 3, 96], all = sequences.map((sequence: { tokens: number[] }) => sequence.tokens);
    await withModel(gpu, async (model) => {
      const adapter = await model.loadAdapter(folder);
      for (const batchSize of [1, 3, 8]) {
        const found = await logits(model, all, tokens, batchSize, adapter);
        found.forEach((row, index) => {
          const expected = tokens.map((token) => sequences[index].logits[token]);
          assertClose(row, expected, { absolute: 2e-4, relative: 1e-4 });
        });
      }
      adapter.free();
    });
  },
);

gpuTest(
  "LanguageModel refuses an activated adapter where it would have to act on all tokens",
  async (gpu) => {
    await withModel(gpu, async (model) => {
      const adapter = await model.createAdapter({ ...LORA, invocationTokens: [5] }, createRng(1));
      const plain = await model.createAdapter(LORA, createRng(1));
      const span = { tokens: [1, 5], first: 1, end: 2 };
      const states = model.hiddenStates([span], { layers: [-1], batchSize: 1, adapter });
      await assertRejects(() => Array.fromAsync(states), UserError, "invocation tokens");
      const scored = { prefix: [1, 5], tokens: [7] };
      assertThrows(
        () => model.scoreContinuations([scored], { batchSize: 1, adapter }),
        UserError,
        "invocation",
      );
      const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 };
      const create = () => model.createTrainer(plain, optimizer, 1, { reference: adapter });
      assertThrows(create, UserError, "invocation tokens");
      [adapter, plain].forEach((item) => item.free());
    });
  },
);

gpuTest("LanguageModel refuses an adapter that it did not make", async (gpu) => {
  await withModel(gpu, async (model) => {
    const foreign: Adapter = { options: LORA, parameters: 1, free() {} };
    await assertRejects(() => logits(model, [[1]], [3], 1, foreign), TypeError, "not made by this model");
  });
});

/** Checks that a model folder is refused, with nothing left on the GPU. */
async function assertRefused(
  gpu: Gpu,
  change: (folder: string) => Promise<void>,
  what: string,
  file: string,
): Promise<void> {
  await withModelFolder(async (folder) => {
    await change(folder);
    const error = await assertRejects(() => openLanguageModel(gpu, folder, [llama]), UserError, what);
    assertEquals([error.kind, error.where], ["data", `${folder}/${file}`]);
  });
}

gpuTest(
  "openLanguageModel() refuses a tokenizer with one token more than the model, naming both",
  async (gpu) => {
    const withTokens = (count: number) => (folder: string) =>
      editJson<{ model: { vocab: Record<string, number> } }>(
        `${folder}/tokenizer.json`,
        ({ model: { vocab } }) => {
          for (let id = 30; id < count; id++) vocab[`token ${id}`] = id;
        },
      );
    await withModelFolder(async (folder) => {
      await withTokens(97)(folder);
      (await openLanguageModel(gpu, folder, [llama])).close();
    });
    await assertRefused(gpu, withTokens(98), "has 98 tokens, but the model 97", "tokenizer.json");
    const asModel = async (folder: string) => {
      await Deno.remove(`${folder}/tokenizer.json`);
      await Deno.writeFile(`${folder}/tokenizer.model`, await sentencePiece());
    };
    await assertRefused(gpu, asModel, "has 2400 tokens, but the model 97", "tokenizer.model");
  },
);

gpuTest(
  "openLanguageModel() refuses a model type that no plugin knows, naming it and those it knows",
  async (gpu) => {
    const change = (folder: string) =>
      editJson(`${folder}/config.json`, (config) => config.model_type = "mamba");
    await assertRefused(gpu, change, 'model_type is "mamba"', "config.json");
  },
);

gpuTest(
  "openLanguageModel() refuses a description that lacks a number, naming the plugin and the number",
  async (gpu) => {
    const family: ModelFamily = {
      ...llama,
      name: "acme/llama",
      describe: (config) => ({ ...llama.describe(config), heads: NaN }),
    };
    await withModelFolder(async (folder) => {
      const { kind, what } = await assertRejects(() => openLanguageModel(gpu, folder, [family]), UserError);
      assertEquals([kind, what], ["plugin", 'Model plugin "acme/llama" gave NaN as heads']);
    });
  },
);

for (const file of ["config.json", "tokenizer.json"]) {
  gpuTest(
    `openLanguageModel() refuses a folder without ${file}, and one where it is a list, naming it`,
    async (gpu) => {
      await assertRefused(gpu, (folder) => Deno.remove(`${folder}/${file}`), "no such file", file);
      await assertRefused(
        gpu,
        (folder) => Deno.writeTextFile(`${folder}/${file}`, "[]"),
        "not a JSON object",
        file,
      );
    },
  );
}

gpuTest("openLanguageModel() refuses weights of another config.json, naming a tensor", async (gpu) => {
  const change = (folder: string) =>
    editJson(`${folder}/config.json`, (config) => config.intermediate_size = 72);
  await assertRefused(
    gpu,
    change,
    'Tensor "model.layers.0.mlp.gate_proj.weight" has shape',
    "model.safetensors",
  );
});
