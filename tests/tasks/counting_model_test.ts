import { assertEquals } from "@std/assert";
import {
  answerTokens,
  type Generation,
  type GenerationOptions,
  queryText,
  queryTokens,
} from "../../core/mod.ts";
import { FakeModel } from "../../core/testing/mod.ts";
import { countingModel } from "../../tasks/_counting_model.ts";

const ROW: Generation = {
  id: "1",
  split: "test",
  prompt: "",
  context: "Which colour is the sky?",
  targetPrompt: "\nAnswer:",
  target: "blue",
  output: "grey",
};

/** Words are the fake model's tokens: five of the question, "Answer:", and "grey". */
const ANSWERED = 7;

/** Reads everything that an iterable gives. */
async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of items);
}

Deno.test("countingModel() counts a query of the model that answered as what stands behind the answer", async () => {
  const { model, count } = countingModel(new FakeModel(), [ROW]);
  const query = model.tokenizer.encode(queryText(ROW));
  await drain(model.tokenLogits([query], answerTokens(model.tokenizer), { batchSize: 1 }));
  assertEquals(count, { read: query.length, written: 0, kept: ANSWERED });
});

Deno.test("countingModel() counts a query under an adapter as a whole, for its weights have read nothing yet", async () => {
  const { model, count } = countingModel(new FakeModel(), [ROW]);
  const adapter = await model.createAdapter(
    { rank: 1, alpha: 1, dropout: 0, targetModules: ["q_proj"] },
    undefined!,
  );
  const query = model.tokenizer.encode(queryText(ROW));
  await drain(model.tokenLogits([query], [0, 1], { batchSize: 1, adapter }));
  assertEquals(count, { read: query.length, written: 0, kept: 0 });
});

Deno.test("countingModel() counts a query under an adapter that acts on the question alone as what stands behind the answer", async () => {
  const { model, count } = countingModel(new FakeModel(), [ROW]);
  const invocationTokens = queryTokens(model.tokenizer);
  const adapter = await model.createAdapter(
    { rank: 1, alpha: 1, dropout: 0, targetModules: ["q_proj"], invocationTokens },
    undefined!,
  );
  const query = model.tokenizer.encode(queryText(ROW));
  await drain(model.tokenLogits([query], [0, 1], { batchSize: 1, adapter }));
  assertEquals(count, { read: query.length, written: 0, kept: ANSWERED });
  // Where its tokens are missing it does not act.
  await drain(model.tokenLogits([query.slice(0, ANSWERED)], [0, 1], { batchSize: 1, adapter }));
  assertEquals(count, { read: query.length + ANSWERED, written: 0, kept: 2 * ANSWERED });
});

Deno.test("countingModel() counts a text of its own as a whole", async () => {
  const { model, count } = countingModel(new FakeModel(), [ROW]);
  await drain(model.tokenLogits([model.tokenizer.encode("How sure are you?")], [0], { batchSize: 1 }));
  assertEquals(count, { read: 4, written: 0, kept: 0 });
});

Deno.test("countingModel() counts what is written, and the prompt as kept", async () => {
  const { model, count } = countingModel(new FakeModel({ answer: () => "it is blue today" }), [ROW]);
  const options: GenerationOptions = { maxNewTokens: 3, batchSize: 1, temperature: 0, topP: 1, seed: 1 };
  await drain(model.generate([model.tokenizer.encode("Which colour is the sky?\nAnswer:")], options));
  assertEquals(count, { read: ANSWERED - 1, written: 3, kept: ANSWERED - 1 });
});

Deno.test("countingModel() gives what the model itself gives", async () => {
  const plain = new FakeModel({ evidence: (text) => text.length });
  const { model } = countingModel(plain, [ROW]);
  const sequences = [[...model.tokenizer.encode("one two")]];
  const logits = (of: typeof model) => Array.fromAsync(of.tokenLogits(sequences, [0, 1], { batchSize: 1 }));
  assertEquals(await logits(model), await logits(plain));
  assertEquals(model.name, "fake");
});
