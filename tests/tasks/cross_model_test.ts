import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { answerText, type Question, readRows, SPLITS } from "../../core/mod.ts";
import { FakeEndpoint } from "../../core/testing/mod.ts";
import { facts } from "../../plugins/datasets/facts.ts";
import { available, ended, start, succeed, withFolder } from "./_cli.ts";

/** The right answers to the questions of `facts`. */
const ANSWERS = new Map<string, string>();
for (const split of SPLITS) {
  for await (const row of facts.read!(split, { argument: "", options: {} })) {
    const question = row as Question;
    ANSWERS.set(question.question, answerText(question));
  }
}

/** What the remote model answers: right or not as the question has it, and never in one word. */
const reply = ({ messages }: { messages: { content: string }[] }) => {
  const question = /^Question: (.+)$/m.exec(messages.at(-1)!.content)![1];
  const knows = [...question].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 2 === 0;
  return `\nThe ${knows ? ANSWERS.get(question) : "moon"}.\nThat is all.`;
};

const environment = (endpoint: FakeEndpoint, folder: string) => ({
  OPENAI_BASE_URL: endpoint.url,
  OPENAI_API_KEY: "secret-of-the-user",
  XDG_CACHE_HOME: join(folder, "cache"),
});

const outputs = (logDir: string) => [
  "outputs",
  "--dataset=facts",
  "--prompt-style=oe",
  "--model-name=openai:remote",
  `--log-dir=${logDir}`,
  "--limit=48",
];

Deno.test({
  name:
    "a local model learns to judge a remote model's answers, from generate outputs to evaluate and report",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      await using endpoint = FakeEndpoint.start(reply);
      const run = join(folder, "remote"), judge = join(folder, "judge"), env = environment(endpoint, folder);
      const made = await ended(start("generate", [...outputs(run), "--json"], env));
      assertEquals(made.code, 0, made.stderr);
      assertEquals(JSON.parse(made.stdout.trim().split("\n").at(-1)!).rows, {
        train: 48,
        validation: 48,
        test: 48,
      });
      const written = await readRows(join(run, "outputs", "test", "rows_0.csv"), "test");
      assert(written.every(({ output }) => /^The \w+\.$/.test(output!)), written[0].output);
      const { stages } = JSON.parse(await Deno.readTextFile(join(run, "run.json")));
      assertEquals(stages["outputs/test"].inputs.model.argument, "remote");
      assertEquals(stages["outputs/test"].inputs.model.revision, endpoint.url);
      assert(!JSON.stringify(stages).includes("secret"), "the key is in run.json");

      await succeed("generate labels", [`--dataset=offline:${run}/outputs`, `--log-dir=${run}`]);
      const local = ["--model-name=facts", `--dataset=offline:${run}/labels`, `--log-dir=${judge}`];
      await succeed("calibration-tune", [...local, "--max-steps=2", "--batch-size=8"]);
      const { stdout } = await succeed("evaluate", [
        ...local,
        "--prompt-style=oe",
        `--query-peft-dir=${judge}/checkpoint-2`,
      ]);
      assertMatch(stdout, /N\s+48\n/);
      await succeed("report", [`--log-dir=${judge}`, `--output=${judge}/report.html`]);
      assertStringIncludes(await Deno.readTextFile(join(judge, "report.html")), "offline:");
    }),
});

Deno.test("generate outputs from an endpoint goes on after a kill and asks nothing twice", () =>
  withFolder(async (folder) => {
    let child: Deno.ChildProcess | undefined;
    const asked = new Map<string, number>();
    await using endpoint = FakeEndpoint.start((body: { messages: { content: string }[] }) => {
      const { content } = body.messages.at(-1)!;
      asked.set(content, (asked.get(content) ?? 0) + 1);
      if (asked.size === 24) child?.kill("SIGKILL");
      return reply(body);
    });
    const env = environment(endpoint, folder),
      args = [...outputs(join(folder, "run")), "--splits=train", "--concurrency=2"];
    child = start("generate", args, env);
    assert((await ended(child)).code !== 0);
    child = undefined;
    const { code, stderr } = await ended(start("generate", args, env));
    assertEquals(code, 0, stderr);
    assertEquals(asked.size, 48);
    // What was under way when it was killed had no reply on disk.
    const twice = [...asked.values()].filter((times) => times > 1).length;
    assert(twice <= 2, `${twice} were asked twice`);
    const again = await ended(start("generate", args, env));
    assertStringIncludes(again.stderr, "outputs/train: inputs unchanged, skipped");
  }));

for (
  const [task, args] of [
    ["calibration-tune", []],
    ["classifier-tune", []],
    ["evaluate", ["--prompt-style=oe"]],
    ["play", []],
  ] as const
) {
  Deno.test({
    name: `${task} refuses a model that gives answers alone, and says what to do`,
    ignore: !available,
    fn: () =>
      withFolder(async (folder) => {
        const dataset = task === "play" ? [] : ["--dataset=facts", `--log-dir=${folder}/run`];
        const { code, stderr } = await ended(
          start(task, ["--model-name=openai:gpt-4o", ...dataset, ...args]),
        );
        assertEquals(code, 2, stderr);
        assertStringIncludes(stderr, 'Model "openai:gpt-4o" gives answers and nothing else: no logits');
        assertStringIncludes(stderr, "deno task generate outputs");
      }),
  });
}

for (
  const [why, args, what] of [
    ["no name", ["--model-name=openai:"], 'Model "openai" needs something behind a colon'],
    ["a type of weights", ["--model-name=openai:x", "--dtype=int8"], "not this program's to choose"],
    ["a text without a chat", ["--model-name=openai:x", "--chat=off"], "puts every question into a chat"],
    [
      "an option it does not have",
      ["--model-name=openai:x", "--concurency=3"],
      'did you mean "--concurrency"?',
    ],
    ["options of a remote model for a local one", ["--model-name=facts", "--concurrency=3"], "--concurrency"],
  ] as const
) {
  Deno.test(`generate outputs refuses openai with ${why}`, () =>
    withFolder(async (folder) => {
      const common = ["outputs", "--dataset=facts", "--prompt-style=oe", `--log-dir=${folder}/run`];
      const { code, stderr } = await ended(
        start("generate", [...common, ...args], { OPENAI_BASE_URL: "http://127.0.0.1:9/v1" }),
      );
      assertEquals(code, 2, stderr);
      assertStringIncludes(stderr, what);
    }));
}
