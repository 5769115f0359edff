import { assert, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { Adapter, ContinuationScore, ContinuedSequence } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { openLanguageModel, type OpenModel } from "../../model/language_model.ts";
import { llama } from "../../plugins/models/llama.ts";
import { assertClose } from "../close.ts";
import { gpuTest, noiseIndices } from "../kernels/_gpu.ts";
import { entropy, logSoftmax } from "../reference/loss.ts";
import { withFolder } from "./_files.ts";
import { goldenPath, readGolden } from "./_golden.ts";

const GOLDEN = "gqa2-bf16";

/** The same sums in the same order, but for the tile a row lies in. */
const PACKED = { absolute: 1e-5, relative: 1e-5 };

/** Runs with the recorded model, once without and once with the recorded adapter. */
async function withModel(gpu: Gpu, work: (model: OpenModel, adapter?: Adapter) => Promise<void>) {
  await withFolder(async (folder) => {
    for (const name of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(goldenPath(GOLDEN, "model", name), `${folder}/${name}`);
    }
    const tokenizer = new URL("../../assets/facts/model/tokenizer.json", import.meta.url);
    const small = JSON.parse(await Deno.readTextFile(tokenizer));
    // Of the recorded model's 97 tokens none is ever named here, so any tokenizer that is small enough will do.
    small.model.vocab = Object.fromEntries(
      Object.entries(small.model.vocab).filter(([, id]) => Number(id) < 97),
    );
    small.model.merges = [];
    await Deno.writeTextFile(`${folder}/tokenizer.json`, JSON.stringify(small));
    const model = await openLanguageModel(gpu, folder, [llama]);
    const adapter = await model.loadAdapter(goldenPath(GOLDEN, "adapter"));
    try {
      await work(model);
      await work(model, adapter);
    } finally {
      adapter.free();
      model.close();
    }
  });
}

const score = (
  model: OpenModel,
  sequences: readonly ContinuedSequence[],
  batchSize: number,
  adapter?: Adapter,
) => Array.fromAsync(model.scoreContinuations(sequences, { batchSize, adapter }));

const flat = (scores: readonly ContinuationScore[]) =>
  scores.flatMap(({ logprobs, entropies }) => [...logprobs, ...entropies]);

gpuTest("LanguageModel.scoreContinuations() gives what the recorded logits give", async (gpu) => {
  const { sequences } = await readGolden(GOLDEN);
  await withModel(gpu, async (model, adapter) => {
    const asked = sequences.map(({ tokens }, index) => ({ prefix: tokens, tokens: [(7 * index + 3) % 97] }));
    const scores = await score(model, asked, 3, adapter);
    assertEquals(scores.length, sequences.length);
    scores.forEach(({ logprobs, entropies }, index) => {
      const logits = adapter ? sequences[index].logits_adapter : sequences[index].logits;
      const expected = [logSoftmax(logits)[asked[index].tokens[0]], entropy(logits)];
      assertClose([...logprobs, ...entropies], expected, { absolute: 2e-4, relative: 1e-4 });
    });
  });
});

gpuTest(
  "LanguageModel.scoreContinuations() scores each token behind all that stand before it",
  async (gpu) => {
    const prefix = [...noiseIndices(20, 97, 1)], tokens = [...noiseIndices(6, 97, 2)];
    await withModel(gpu, async (model, adapter) => {
      const [whole] = await score(model, [{ prefix, tokens }], 1, adapter);
      const single = await score(
        model,
        tokens.map((token, index) => ({ prefix: [...prefix, ...tokens.slice(0, index)], tokens: [token] })),
        4,
        adapter,
      );
      assertClose(whole.logprobs, single.flatMap(({ logprobs }) => logprobs), PACKED);
      assertClose(whole.entropies, single.flatMap(({ entropies }) => entropies), PACKED);
    });
  },
);

gpuTest(
  "LanguageModel.scoreContinuations() agrees with what generate() says of its own tokens",
  async (gpu) => {
    const prompts = [3, 40, 17].map((length, index) => [...noiseIndices(length, 97, index)]);
    const options = { maxNewTokens: 5, batchSize: 2, temperature: 0, topP: 1, seed: 1 };
    await withModel(gpu, async (model) => {
      for await (const { index, tokens, logprob } of model.generate(prompts, options)) {
        // A stop token counts in what generate() says, and stands nowhere.
        if (tokens.length < options.maxNewTokens) continue;
        const [{ logprobs }] = await score(model, [{ prefix: prompts[index], tokens }], 1);
        assertClose([logprobs.reduce((sum, value) => sum + value, 0)], [logprob], {
          absolute: 5e-5,
          relative: 1e-5,
        });
      }
    });
  },
);

gpuTest(
  "LanguageModel.scoreContinuations() gives the same whatever the batch size, nothing for no tokens",
  async (gpu) => {
    const sequences = [1, 8, 9, 100, 33, 2].map((length, index) => ({
      prefix: [...noiseIndices(length, 97, index)],
      tokens: [...noiseIndices([4, 0, 1, 9, 0, 2][index], 97, 50 + index)],
    }));
    await withModel(gpu, async (model, adapter) => {
      const alone = await score(model, sequences, 1, adapter);
      assertEquals(alone.map(({ logprobs }) => logprobs.length), [4, 0, 1, 9, 0, 2]);
      assert(alone.every(({ logprobs, entropies }) => logprobs.length === entropies.length));
      for (const batchSize of [2, 100]) {
        assertClose(flat(await score(model, sequences, batchSize, adapter)), flat(alone), PACKED);
      }
      assertEquals(await score(model, [], 4, adapter), []);
    });
  },
);

gpuTest(
  "LanguageModel.scoreContinuations() refuses what it cannot read, by number, and frees what it made",
  async (gpu) => {
    await withModel(gpu, async (model) => {
      const ok = { prefix: [1], tokens: [2] };
      await score(model, [ok], 1);
      const before = [...gpu.liveTensors];
      for (const bad of [{ prefix: [], tokens: [1] }, { prefix: Array<number>(256).fill(5), tokens: [5] }]) {
        const error = await assertRejects(() => score(model, [ok, bad], 1), UserError);
        assertEquals([error.kind, error.where], ["data", "sequence 1 of 2"]);
      }
      await assertRejects(() => score(model, [ok], 0), RangeError, "got 0");
      for await (const _ of model.scoreContinuations([ok, ok, ok], { batchSize: 1 })) break;
      assertEquals(gpu.liveTensors, before);
    });
  },
);
