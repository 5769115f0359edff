import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { checkSpans, layerNumbers } from "../../model/hidden_states.ts";
import { openLanguageModel, type OpenModel } from "../../model/language_model.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { builtins } from "../../plugins/mod.ts";
import { isModelFamily } from "../../core/mod.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { readGoldenClassifier } from "./_classifier.ts";
import { withFolder } from "./_files.ts";
import { goldenPath } from "./_golden.ts";

/** As for logits: f32 against f32 in another order of summation. */
const CLOSE = { absolute: 2e-4, relative: 1e-4 };

const families = builtins.filter(isModelFamily);

/** Opens a recorded model with the embedded model's tokenizer, cut to its vocabulary: no text is read here. */
async function withModel(gpu: Gpu, name: string, work: (model: OpenModel) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    for (const file of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(goldenPath(name, "model", file), `${folder}/${file}`);
    }
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(TOKENIZER));
    const model = await openLanguageModel(gpu, folder, families);
    try {
      await work(model);
    } finally {
      model.close();
    }
  });
}

const TOKENIZER = {
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: "Fuse" },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: "a",
    fuse_unk: false,
    byte_fallback: false,
    vocab: { a: 0 },
    merges: [],
  },
};

const golden = await readGoldenClassifier();

for (const [path, spans] of Object.entries(golden.hidden)) {
  const name = path.replace(/^llama\//, "");
  gpuTest(
    `${name}: hidden states of every layer are those of transformers, with an adapter and without`,
    async (gpu) => {
      await withModel(gpu, name, async (model) => {
        const adapter = await model.loadAdapter(goldenPath(name, "adapter"));
        const layers = spans[0].layers.map((_, layer) => layer);
        assertEquals([model.blocks, model.width], [layers.length - 1, spans[0].layers[0].length]);
        for (const [used, key] of [[undefined, "layers"], [adapter, "layers_adapter"]] as const) {
          const states = model.hiddenStates(spans, { layers, batchSize: 3, adapter: used });
          let row = 0;
          for await (const values of states) assertClose(values, spans[row++][key].flat(), CLOSE);
          assertEquals(row, spans.length);
        }
        adapter.free();
      });
    },
  );
}

gpuTest(
  "hiddenStates() gives layers in the order asked for, counted from either end, also twice",
  async (gpu) => {
    const name = "gqa2-bf16", spans = golden.hidden["llama/gqa2-bf16"];
    await withModel(gpu, name, async (model) => {
      const layers = [-1, 1, 3, 0, 1];
      const [values] = await Array.fromAsync(model.hiddenStates([spans[2]], { layers, batchSize: 1 }));
      const { layers: all } = spans[2];
      assertClose(values, [all[3], all[1], all[3], all[0], all[1]].flat(), CLOSE);
      const [lowest] = await Array.fromAsync(model.hiddenStates([spans[2]], { layers: [0], batchSize: 1 }));
      assertClose(lowest, all[0], CLOSE);
    });
  },
);

gpuTest("hiddenStates() goes no further than the highest layer asked for", async (gpu) => {
  await withModel(gpu, "gqa2-bf16", async (model) => {
    const calls = async (layer: number) => {
      const before = gpu.counts.dispatches;
      const spans = [{ tokens: [1, 2, 3], first: 2, end: 3 }];
      await Array.fromAsync(model.hiddenStates(spans, { layers: [layer], batchSize: 1 }));
      return gpu.counts.dispatches - before;
    };
    const [embedding, first, second, last] = [await calls(0), await calls(1), await calls(2), await calls(3)];
    // The second block adds as much as any, without the two calls that pick the output rows; the last, the norm.
    assertEquals(second - first, last - second - 1);
    assertEquals(embedding, 2);
  });
});

gpuTest("hiddenStates() refuses a layer that the model does not have, naming those it has", async (gpu) => {
  await withModel(gpu, "gqa2-bf16", async (model) => {
    const states = (layers: number[]) =>
      Array.fromAsync(model.hiddenStates([{ tokens: [1], first: 0, end: 1 }], { layers, batchSize: 1 }));
    for (const layer of [4, -5, 1.5]) {
      const error = await assertRejects(() => states([layer]), UserError, `The model has no layer ${layer}`);
      assertEquals(error.kind, "usage");
    }
    await assertRejects(() => states([]), UserError, "No layer is named");
  });
});

Deno.test("layerNumbers() counts from the embedding, or back from the last", () => {
  assertEquals(layerNumbers([0, 4, -1, -5, 2], 4), [0, 4, 4, 0, 2]);
});

Deno.test("checkSpans() refuses spans that are empty or outside their sequence, and sequences too long", () => {
  const tokens = [1, 2, 3];
  checkSpans([{ tokens, first: 0, end: 3 }, { tokens, first: 2, end: 3 }], 3);
  for (const [first, end] of [[0, 0], [2, 1], [-1, 1], [0, 4], [0.5, 1]]) {
    assertThrows(() => checkSpans([{ tokens, first, end }], 3), RangeError);
  }
  assertThrows(() => checkSpans([{ tokens, first: 0, end: 1 }], 2), UserError, "at most 2");
});
