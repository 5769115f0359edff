import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  CHAT_INSTRUCTION,
  createRng,
  exists,
  flagName,
  loraPrompt,
  type LoraPromptOptions,
  UserError,
} from "@credence/credence";
import { type FakeModelOptions, testMethod } from "@credence/credence/testing";
import { withFolder } from "../_folders.ts";
import { RecordingModel } from "./_recording_model.ts";
import { namesIn, row, train } from "./_training.ts";

testMethod(loraPrompt, { options: { lr: 0.5 } });

// How it asks.

/** What a model reads of a chat: a line a turn. */
const CHAT: FakeModelOptions["chat"] = (turns) =>
  turns.map(({ role, content }) => `${role}> ${content.replaceAll("\n", " | ")}\n`).join("") + "assistant>";

for (
  const [queryFormat, question, answers] of [
    ["roman_choice", "\nChoices:\n(i): no\n(ii): yes", ["i", "ii"]],
    ["alpha_choice", "\nChoices:\n(a): no\n(b): yes", ["a", "b"]],
    ["bool", "", ["no", "yes"]],
  ] as const
) {
  Deno.test(`lora-prompt asks in the format ${queryFormat}, whose adapter says so and is asked in it`, () =>
    withFolder(async (folder) => {
      const model = new RecordingModel();
      const checkpoint = await train(folder, model, { options: { queryFormat }, batchSize: 12, maxSteps: 1 });
      const [{ prefix, branches, losses }] = model.batches[0].filter(({ id }) => id === 1);
      const query = model.tokenizer.decode([...prefix, ...branches[0]]);
      const expected =
        `Question: number 1?\nAnswer: good 1\n\nIs the proposed answer correct?${question}\nAnswer:`;
      assertEquals(query, expected);
      assert(losses[0].kind === "choice");
      assertEquals(losses[0].tokens, answers.map((answer) => model.tokenizer.answerToken(answer)));
      assertEquals((await model.loadAdapter(checkpoint)).info?.queryFormat, queryFormat);

      const asked: string[] = [];
      const judge = new RecordingModel({ evidence: (text) => asked.push(text) });
      // Whatever the options say: it is the adapter that was taught.
      const context = { options: loraPrompt.defaults, rng: createRng(1), batchSize: 1, checkpoint };
      const rows = [row("test", 1, 1)];
      await Array.fromAsync(loraPrompt.predict(judge, rows, { ...context, progress: { update() {} } }));
      assertEquals(asked, [expected]);
    }));
}

Deno.test("lora-prompt asks in turns of a chat where it is told to, and holds the model to the right answer in one", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel({ chat: CHAT });
    const options = { queryChat: true };
    const checkpoint = await train(folder, model, { options, batchSize: 12, maxSteps: 1 });
    const [{ prefix, branches, losses }] = model.batches[0].filter(({ id }) => id === 1);
    const [query, target] = branches.map((branch) => model.tokenizer.decode([...prefix, ...branch]));
    const question = `system> ${CHAT_INSTRUCTION}\nuser> Question: number 1? | Answer:\nassistant>`;
    assertEquals(
      query,
      `${question} good 1\nuser> Is the proposed answer correct? | Choices: | (i): no | (ii): yes | Answer:\nassistant>`,
    );
    assertEquals(target, `${question}the right 1`);
    assert(losses[1].kind === "divergence");
    assertEquals(losses[1].count, 3);
    assertEquals((await model.loadAdapter(checkpoint)).info?.queryChat, true);
  }));

Deno.test("lora-prompt refuses to ask in a chat a model that has no template, an adapter of such a kind too", () =>
  withFolder(async (folder) => {
    const error = await assertRejects(
      () => train(folder, new RecordingModel(), { options: { queryChat: true } }),
      UserError,
    );
    assertEquals([error.kind, error.what, error.where], [
      "usage",
      "The model has no chat template",
      "--query-chat",
    ]);
    const checkpoint = await train(folder, new RecordingModel({ chat: CHAT }), {
      options: { queryChat: true },
      maxSteps: 1,
    });
    const context = { options: loraPrompt.defaults, rng: createRng(1), batchSize: 1, checkpoint };
    const ask = () =>
      Array.fromAsync(
        loraPrompt.predict(new RecordingModel(), [row("test", 1, 1)], {
          ...context,
          progress: { update() {} },
        }),
      );
    assertEquals((await assertRejects(ask, UserError)).where, `adapter ${checkpoint}`);
  }));

Deno.test("lora-prompt refuses a format that there is not before anything is read, and an adapter's by name", () =>
  withFolder(async (folder) => {
    const error = assertThrows(
      () => loraPrompt.check!({ ...loraPrompt.defaults, queryFormat: "roman" }),
      UserError,
    );
    assertEquals([error.kind, error.fix], ["usage", "give one of roman_choice, alpha_choice, bool"]);
    const adapter = { options: {}, weight: 1, info: { queryFormat: "greek_choice", temperature: false } };
    await Deno.writeTextFile(join(folder, "fake_adapter.json"), JSON.stringify(adapter));
    const context = { options: loraPrompt.defaults, rng: createRng(1), batchSize: 1, checkpoint: folder };
    const ask = () =>
      Array.fromAsync(
        loraPrompt.predict(new RecordingModel(), [row("test", 1, 1)], {
          ...context,
          progress: { update() {} },
        }),
      );
    const unknown = await assertRejects(ask, UserError, 'Unknown query format "greek_choice"');
    assertEquals(unknown.where, `adapter ${folder}`);
  }));

// What an example is made of.

Deno.test("lora-prompt asks about the model's answer and holds it to the right one, sharing what is common", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    await train(folder, model, { batchSize: 12, maxSteps: 1 });
    const [example] = model.batches[0].filter(({ id }) => id === 1);
    const [query, target] = example.branches.map((branch) =>
      model.tokenizer.decode([...example.prefix, ...branch])
    );
    assertEquals(
      query,
      "Question: number 1?\nAnswer: good 1\n\nIs the proposed answer correct?\n" +
        "Choices:\n(i): no\n(ii): yes\nAnswer:",
    );
    assertEquals(target, "Question: number 1?\nAnswer: the right 1");
    assertEquals(model.tokenizer.decode(example.prefix), "Question: number 1?\nAnswer:");
    const [choice, divergence] = example.losses;
    assert(choice.kind === "choice" && divergence.kind === "divergence");
    assertEquals([choice.label, choice.branch, choice.weight], [1, 0, 1]);
    // "the", "right" and "1".
    assertEquals([divergence.count, divergence.branch, divergence.type], [3, 1, "jsd"]);
  }));

Deno.test("lora-prompt passes on the type and weight of the divergence", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    await train(folder, model, { options: { klType: "reverse_kl", klDecay: 0.25 }, maxSteps: 1 });
    const [, divergence] = model.batches[0][0].losses;
    assert(divergence.kind === "divergence");
    assertEquals([divergence.type, divergence.weight], ["reverse_kl", 0.25]);
  }));

Deno.test("lora-prompt leaves the divergence out, and with it the right answer, where its weight is 0", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel();
    await train(folder, model, { options: { klDecay: 0 }, maxSteps: 1 });
    const [{ branches, losses }] = model.batches[0];
    assertEquals([branches, losses.map(({ kind }) => kind)], [[[]], ["choice"]]);
  }));

Deno.test("lora-prompt measures the divergence from the adapter of refPeftDir, else from that of peftDir, else from none", () =>
  withFolder(async (folder) => {
    const one = await train(join(folder, "1"), new RecordingModel(), { options: { loraRank: 1 } });
    const two = await train(join(folder, "2"), new RecordingModel(), { options: { loraRank: 2 } });
    const ranks: (number | undefined)[] = [];
    for (
      const [index, options] of [
        {},
        { peftDir: one },
        { refPeftDir: two },
        { peftDir: one, refPeftDir: two },
        { peftDir: one, refPeftDir: two, klDecay: 0 },
      ].entries()
    ) {
      const model = new RecordingModel();
      await train(join(folder, `run ${index}`), model, { options, maxSteps: 1 });
      ranks.push(...model.references.map((reference) => reference?.options.rank));
    }
    assertEquals(ranks, [undefined, 1, 2, 2, undefined]);
  }));

Deno.test("lora-prompt says what each of its options does", () => {
  assertEquals(Object.keys(loraPrompt.help!).sort(), Object.keys(loraPrompt.defaults).sort());
});

Deno.test("docs/training.md has a row for each of lora-prompt's options", async () => {
  const text = await Deno.readTextFile(new URL("../../../docs/training.md", import.meta.url));
  const rows = [...text.matchAll(/^\| `--([a-z-]+)` /gm)].map(([, flag]) => flag);
  assertEquals(rows.sort(), Object.keys(loraPrompt.defaults).map(flagName).sort());
});

Deno.test("lora-prompt refuses a row that is longer than the model reads, naming it", () =>
  withFolder(async (folder) => {
    const model = new RecordingModel({ contextLength: 10 });
    await assertRejects(() => train(folder, model), UserError, "row train/0");
    assertEquals(await namesIn(folder), []);
  }));

for (const label of [0, 1] as const) {
  Deno.test(`lora-prompt refuses training rows that are all labelled ${label}`, () =>
    withFolder(async (folder) => {
      const one = [row("train", 0, label), row("train", 1, label), row("train", 2, null)];
      const error = await assertRejects(
        () => train(folder, new RecordingModel(), { train: one }),
        UserError,
        `All training rows are labelled ${label}`,
      );
      assertEquals(error.kind, "data");
    }));
}

for (const [why, none] of [["no rows", []], ["undecided rows only", [row("train", 0, null)]]] as const) {
  Deno.test(`lora-prompt refuses to train on ${why}`, () =>
    withFolder(async (folder) => {
      const work = () => train(folder, new RecordingModel(), { train: none });
      await assertRejects(work, UserError, "No training row has a label");
    }));
}

Deno.test("lora-prompt validates with rows of one class", () =>
  withFolder(async (folder) => {
    await train(folder, new RecordingModel(), { validation: [row("validation", 0, 1)] });
    assert(await exists(join(folder, "checkpoint-10")));
  }));

const refused: readonly (readonly [keyof LoraPromptOptions, readonly unknown[]])[] = [
  ["loraRank", [0]],
  ["klDecay", [-1]],
  ["klType", ["kl", ""]],
  ["labelSmoothing", [-0.1, 1.1]],
];
for (const [key, values] of refused) {
  for (const value of values) {
    Deno.test(`lora-prompt refuses ${key} ${JSON.stringify(value)}`, () =>
      withFolder(async (folder) => {
        const work = () => train(folder, new RecordingModel(), { options: { [key]: value } });
        const error = await assertRejects(work, UserError, `Option "${key}" is ${JSON.stringify(value)}`);
        assertEquals(error.kind, "usage");
      }));
  }
}

const accepted: readonly Partial<LoraPromptOptions>[] = [
  { loraRank: 1 },
  { loraDropout: 0 },
  { warmupRatio: 0 },
  { warmupRatio: 1 },
  { klDecay: 0 },
  { klType: "forward_kl" },
  { labelSmoothing: 0 },
  { labelSmoothing: 1 },
];
for (const options of accepted) {
  Deno.test(`lora-prompt accepts ${JSON.stringify(options)}`, () =>
    withFolder(async (folder) => {
      const model = new RecordingModel();
      await train(folder, model, { options, maxSteps: 1 });
      assertEquals(model.batches.length, 1);
    }));
}

Deno.test("lora-prompt's defaults are the paper's recipe", () => {
  assertEquals(loraPrompt.defaults, {
    loraRank: 8,
    loraAlpha: 32,
    loraDropout: 0.1,
    targetModules: ["q_proj", "v_proj"],
    peftDir: "",
    lr: 1e-4,
    warmupRatio: 0,
    gradientAccumulationSteps: 1,
    maxTokenLength: 0,
    saveSteps: 0,
    evalSteps: 0,
    queryFormat: "roman_choice",
    queryChat: false,
    klDecay: 1,
    klType: "jsd",
    refPeftDir: "",
    labelSmoothing: 0,
  });
});
