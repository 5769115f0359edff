import { assertEquals } from "@std/assert";
import type { LoraAdapter } from "../../model/adapter.ts";
import { packGroups, type TokenGroup } from "../../model/batch.ts";
import { generate } from "../../model/generator.ts";
import { linear } from "../../model/linear.ts";
import type { Llama } from "../../model/llama.ts";
import { loadAdapter } from "../../model/peft.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { FAMILY_CASES, GOLDEN_CASES, goldenPath, readGolden, withGolden } from "./_golden.ts";

/** f32 against f32 in another order of summation, through all layers. */
const LOGITS = { absolute: 2e-4, relative: 1e-4 };

/** The same sums in the same order, but for the tile a row lies in. */
const PACKED = { absolute: 1e-5, relative: 1e-5 };

for (const name of [...GOLDEN_CASES, ...FAMILY_CASES]) {
  gpuTest(`${name}: logits and hidden states of a mixed batch are those of transformers`, async (gpu) => {
    const { sequences } = await readGolden(name);
    await withGolden(gpu, name, async (model) => {
      const { hidden, logits } = await run(model, sequences.map(({ tokens }) => group(tokens)));
      sequences.forEach((expected, index) => {
        assertClose(logits[index], expected.logits, LOGITS);
        if (expected.hidden) assertClose(hidden[index], expected.hidden, LOGITS);
      });
    });
  });

  gpuTest(
    `${name}: logits with an adapter are those of PEFT, beside rows without it in one batch`,
    async (gpu) => {
      const { sequences } = await readGolden(name);
      await withGolden(gpu, name, async (model) => {
        const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
        const groups = sequences.map(({ tokens }) => group(tokens));
        const { logits } = await run(model, groups, groups, adapter);
        sequences.forEach((expected, index) => {
          assertClose(logits[index], expected.logits_adapter, LOGITS);
          assertClose(logits[sequences.length + index], expected.logits, LOGITS);
        });
        adapter.free();
      });
    },
  );

  gpuTest(
    `${name}: greedy continuations are those of transformers, with and without adapter`,
    async (gpu) => {
      const { greedy } = await readGolden(name);
      await withGolden(gpu, name, async (model) => {
        const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
        const prompts = greedy.map(({ prompt }) => prompt);
        const options = {
          maxNewTokens: greedy[0].continuation.length,
          batchSize: 3,
          temperature: 0,
          topP: 1,
          seed: 1,
        };
        for (const active of [undefined, { adapter }]) {
          const answers: number[][] = [];
          for await (
            const { index, tokens } of generate(model, prompts, [], options, active)
          ) answers[index] = [...tokens];
          const expected = greedy.map((entry) => active ? entry.continuation_adapter : entry.continuation);
          assertEquals(answers, expected);
        }
        adapter.free();
      });
    },
  );

  gpuTest(`${name}: a packed batch gives the same logits as one sequence at a time`, async (gpu) => {
    const { sequences } = await readGolden(name);
    await withGolden(gpu, name, async (model) => {
      const groups = sequences.map(({ tokens }) => group(tokens));
      const together = (await run(model, groups)).logits;
      for (const [index, one] of groups.entries()) {
        assertClose((await run(model, [one])).logits[0], together[index], PACKED);
      }
    });
  });

  // Dynamic scaling turns a prefix by the length of its longest branch.
  if (name.endsWith("dynamic")) continue;
  gpuTest(`${name}: branches that share a prefix give the same logits as whole sequences`, async (gpu) => {
    const { sequences } = await readGolden(name);
    await withGolden(gpu, name, async (model) => {
      const [, , , first, second] = sequences.map(({ tokens }) => tokens);
      const prefix = second.slice(0, 11), branches = [second.slice(11), first];
      const whole = await run(model, branches.map((branch) => group([...prefix, ...branch])));
      const shared = await run(model, [{ id: 0, prefix, branches }]);
      whole.logits.forEach((logits, index) => assertClose(shared.logits[index], logits, PACKED));
    });
  });
}

function group(tokens: readonly number[]): TokenGroup {
  return { id: 0, prefix: tokens, branches: [] };
}

/** Hidden states and logits behind the last token of every sequence or branch. */
async function run(
  model: Llama,
  first: readonly TokenGroup[],
  plain: readonly TokenGroup[] = [],
  adapter?: LoraAdapter,
): Promise<{ hidden: Float32Array[]; logits: Float32Array[] }> {
  const { gpu, description: { width, vocabulary } } = model;
  const groups = adapter ? { adapted: first, plain } : { adapted: [], plain: first };
  let row = 0;
  const outputs = [...first, ...plain].flatMap(({ prefix, branches }) => {
    const start = row + prefix.length;
    row = branches.reduce((sum, { length }) => sum + length, start);
    if (branches.length === 0) return [row - 1];
    return branches.map((_, index) =>
      start + branches.slice(0, index + 1).reduce((sum, b) => sum + b.length, 0) - 1
    );
  });
  const batch = packGroups(gpu, { ...groups, outputs, backward: false }, model.headGroup);
  const { hidden } = model.forward(batch, adapter && { adapter, rows: batch.adaptedRows });
  const logits = gpu.tensor("logits", "f32", [outputs.length, vocabulary]);
  linear(gpu, model.weights.head, hidden, outputs.length, { y: logits, stride: vocabulary, first: 0 });
  const values = { hidden: await gpu.readF32(hidden), logits: await gpu.readF32(logits) };
  batch.free();
  gpu.free(hidden, logits);
  const rows = (all: Float32Array, size: number) =>
    outputs.map((_, index) => all.slice(index * size, (index + 1) * size));
  return { hidden: rows(values.hidden, width), logits: rows(values.logits, vocabulary) };
}
