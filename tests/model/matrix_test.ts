import { assert, assertEquals } from "@std/assert";
import { Checkpoint } from "../../model/checkpoint.ts";
import { generate } from "../../model/generator.ts";
import { Llama } from "../../model/llama.ts";
import { splitRows } from "../../model/matrix.ts";
import { loadAdapter } from "../../model/peft.ts";
import { LoraTrainer } from "../../model/trainer.ts";
import { allTensors, loadWeights } from "../../model/weights.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { goldenPath, readDescription, readGolden, withLimit } from "./_golden.ts";
import { allLogits } from "./_logits.ts";

Deno.test("splitRows() leaves a matrix whole that just fits", () => {
  assertEquals(splitRows(130, 8, "f32", 130 * 32), [{ first: 0, rows: 130 }]);
});

Deno.test("splitRows() gives parts of a multiple of 64 rows, the last with what is left", () => {
  const parts = [{ first: 0, rows: 64 }, { first: 64, rows: 64 }, { first: 128, rows: 2 }];
  assertEquals(splitRows(130, 8, "f32", 130 * 32 - 1).map(({ first }) => first), [0, 128]);
  assertEquals(splitRows(130, 8, "f32", 127 * 32), parts);
});

Deno.test("splitRows() counts two bytes a value of the 16-bit types", () => {
  assertEquals(splitRows(128, 8, "bf16", 128 * 16).length, 1);
  assertEquals(splitRows(128, 8, "f32", 128 * 16).length, 2);
});

Deno.test("splitRows() gives no part where not even 64 rows fit", () => {
  assertEquals(splitRows(65, 8, "f32", 64 * 32).length, 2);
  assertEquals(splitRows(65, 8, "f32", 64 * 32 - 1), []);
});

/** For each recorded model the fewest bytes that hold 64 rows, or all, of each matrix; larger ones are split. */
const LIMITS = {
  "mha-f32": 32 * 88 * 4,
  "gqa2-bf16": 40 * 96 * 2,
  "gqa4-f16": 64 * 104 * 2,
  "families/mixtral": 64 * 48 * 4,
};

for (const [name, limit] of Object.entries(LIMITS)) {
  gpuTest(`${name}: a model whose matrices lie in parts gives what the whole ones give`, async (gpu) => {
    const { training: { jsd: { examples, optimizer } }, greedy } = await readGolden(name);
    const prompts = greedy.map(({ prompt }) => prompt);
    const measure = async (maxBindingBytes: number) => {
      const description = await readDescription(name);
      using checkpoint = await Checkpoint.open(goldenPath(name, "model"));
      const weights = await loadWeights(withLimit(gpu, maxBindingBytes), checkpoint, description);
      const model = new Llama(gpu, description, weights);
      const adapter = await loadAdapter(gpu, description, goldenPath(name, "adapter"));
      const trainer = new LoraTrainer(model, adapter, optimizer, 1);
      await trainer.train([examples], 0);
      const options = { maxNewTokens: 4, batchSize: 8, temperature: 0, topP: 1, seed: 1 };
      const written: (readonly number[])[] = [];
      for await (const { index, tokens } of generate(model, prompts, [], options)) written[index] = tokens;
      const logits = await allLogits(model, prompts[0], adapter), gradient = await trainer.gradient();
      trainer.free();
      adapter.free();
      model.free();
      gpu.free(...allTensors(weights));
      return { parts: weights.head.parts.length, logits, gradient, written };
    };
    const whole = await measure(Infinity), parts = await measure(limit);
    assert(whole.parts === 1 && parts.parts > 1, `the head lies in ${parts.parts} parts`);
    assertEquals(parts.written, whole.written);
    // Each logit is the same sum; gradients add up over parts in another order.
    assertEquals(parts.logits, whole.logits);
    const largest = whole.gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assertClose(parts.gradient, whole.gradient, { absolute: 1e-5 * largest, relative: 1e-4 });
  });
}
