import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { createRng, readRows } from "../../core/mod.ts";
import { FakeEndpoint, type FakeReply } from "../../core/testing/mod.ts";
import { available, ended, run, start, withFolder } from "./_cli.ts";

const KEY = "secret-of-the-user-1234567890";

/** Answers of which every second one is right. */
async function writeOutputs(folder: string, rows: number): Promise<string> {
  const path = join(folder, "outputs");
  await Deno.mkdir(join(path, "train"), { recursive: true });
  const lines = Array.from(
    { length: rows },
    (_, row) => `Question ${row}?,${row},"\nAnswer:",,${row % 2 ? row : "none"},-1`,
  );
  const text = ["context,target,target_prompt,prompt,output,query_label", ...lines, ""].join("\r\n");
  await Deno.writeTextFile(join(path, "train", "rows_0.csv"), text);
  return path;
}

/** What a grader has to say of these answers. */
const verdict = (body: { messages: { content: string }[] }) =>
  /submitted the answer: none\n/.test(body.messages[1].content) ? "No" : "Yes";

const environment = (endpoint: FakeEndpoint, folder: string) => ({
  OPENAI_BASE_URL: endpoint.url,
  OPENAI_API_KEY: KEY,
  XDG_CACHE_HOME: join(folder, "cache"),
});

/** Texts of all files below a folder. */
async function* textsBelow(folder: string): AsyncIterable<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* textsBelow(path);
    else yield await Deno.readTextFile(path);
  }
}

Deno.test("generate labels goes through refusals, faults, hangs and a kill, labels each row once and asks nothing twice", () =>
  withFolder(async (folder) => {
    const ROWS = 400, rng = createRng(5), answered = new Map<string, number>();
    let killed: Deno.ChildProcess | undefined;
    const reply = (body: { messages: { content: string }[] }): FakeReply => {
      const draw = rng.random();
      if (draw < 0.05) {
        return { status: 429, headers: { "retry-after-ms": "20" }, body: { error: { message: KEY } } };
      }
      if (draw < 0.07) return { status: 500, body: { error: { message: KEY } } };
      if (draw < 0.08) return { never: "answers" };
      const asked = body.messages[1].content;
      answered.set(asked, (answered.get(asked) ?? 0) + 1);
      if (answered.size === ROWS / 2) killed?.kill("SIGKILL");
      return verdict(body);
    };
    await using endpoint = FakeEndpoint.start(reply);
    const outputs = await writeOutputs(folder, ROWS), logDir = join(folder, "run");
    const args = [
      `--dataset=offline:${outputs}`,
      `--log-dir=${logDir}`,
      "--strategy=fuzzy_judge",
      "--timeout=0.5",
    ];
    const env = environment(endpoint, folder);

    killed = start("generate labels", [...args, "--concurrency=10"], env);
    const first = await ended(killed);
    assert(first.code !== 0, "it was not killed");
    killed = undefined;
    const atKill = answered.size;
    // How it is asked may change between runs.
    const second = await run("generate labels", [...args, "--concurrency=25", "--json"], env);
    assertEquals(second.code, 0, second.stderr);

    const rows = await readRows(join(logDir, "labels", "train", "0.csv"), "train");
    assertEquals(rows.map(({ label }) => label), Array.from({ length: ROWS }, (_, row) => row % 2 as 0 | 1));
    assertEquals(new Set(rows.map(({ id }) => id)).size, ROWS);
    assertEquals(answered.size, ROWS);
    // What was on its way when the program was killed is asked again, and nothing else.
    const twice = [...answered.values()].filter((times) => times > 1).length;
    assert(twice <= 10, `${twice} asked twice, ${atKill} answered before the kill`);

    const third = await run("generate labels", args, { ...env, OPENAI_API_KEY: "" });
    assertStringIncludes(third.stderr, "labels/train: inputs unchanged, skipped");
    for (const { stdout, stderr } of [first, second, third]) assert(!`${stdout}${stderr}`.includes(KEY));
    for await (const text of textsBelow(folder)) assert(!text.includes(KEY), text);
  }));

Deno.test("generate labels stops at --max-cost with 5, says how to go on, and asks nothing twice when it does", () =>
  withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(verdict);
    const outputs = await writeOutputs(folder, 30);
    const args = [
      `--dataset=offline:${outputs}`,
      `--log-dir=${join(folder, "run")}`,
      "--strategy=fuzzy:judge",
    ];
    const env = environment(endpoint, folder);
    // A request reads about 160 tokens: 1.6 cents.
    const price = ["--price-input=100", "--price-output=100", "--concurrency=2"];
    const first = await run("generate labels", [...args, ...price, "--max-cost=0.25"], env);
    assertEquals(first.code, 5);
    assertStringIncludes(first.stderr, "its limit is $0.25");
    assertStringIncludes(first.stderr, "run the same command, with another --max-cost to go further");
    const before = endpoint.seen.length;
    assert(before > 5 && before < 20, `${before}`);
    const second = await run("generate labels", [...args, ...price, "--max-cost=1"], env);
    assertEquals([second.code, endpoint.seen.length], [0, 30]);
    const { stages } = JSON.parse(await Deno.readTextFile(join(folder, "run", "run.json")));
    const { inputs, about } = stages["labels/train"];
    assertEquals([inputs.labeler.argument, inputs.labeler.revision], ["judge", endpoint.url]);
    assertEquals([inputs.options, about.requests], [{ maxTokens: 16, structured: false }, 30 - before]);
  }));

Deno.test("generate labels refuses another grader in the folder of one, and options that the labeler does not have", () =>
  withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(verdict);
    const outputs = await writeOutputs(folder, 2), env = environment(endpoint, folder);
    const args = [`--dataset=offline:${outputs}`, `--log-dir=${join(folder, "run")}`];
    assertEquals((await run("generate labels", [...args, "--strategy=fuzzy:judge"], env)).code, 0);
    const other = await run("generate labels", [...args, "--strategy=fuzzy:other"], env);
    assertEquals(other.code, 2);
    assertStringIncludes(other.stderr, '--strategy was "judge", is "other"');
    const option = await run("generate labels", [...args, "--strategy=substring", "--concurrency=3"], env);
    assertEquals(option.code, 2);
    assertStringIncludes(option.stderr, 'Unknown flag "--concurrency"');
  }));

Deno.test("generate labels --batch-api goes on with its batch after a kill", () =>
  withFolder(async (folder) => {
    let looked = () => {};
    const look = new Promise<void>((resolve) => looked = resolve);
    await using endpoint = FakeEndpoint.start(verdict);
    const outputs = await writeOutputs(folder, 40), env = environment(endpoint, folder);
    const args = [
      `--dataset=offline:${outputs}`,
      `--log-dir=${join(folder, "run")}`,
      "--strategy=fuzzy:judge",
      "--batch-api",
    ];
    const child = start("generate labels", args, env), first = ended(child);
    const timer = setInterval(
      () => endpoint.seen.some(({ path }) => path === "/batches/batch-1") && looked(),
      20,
    );
    await Promise.race([look, first]);
    clearInterval(timer);
    child.kill("SIGKILL");
    assert((await first).code !== 0, "it was not killed");
    const second = await run("generate labels", args, env);
    assertEquals(second.code, 0, second.stderr);
    const rows = await readRows(join(folder, "run", "labels", "train", "0.csv"), "train");
    assertEquals(rows.map(({ label }) => label), Array.from({ length: 40 }, (_, row) => row % 2 as 0 | 1));
    const begun = endpoint.seen.filter(({ method, path }) => method === "POST" && path === "/batches").length;
    assertEquals([begun, endpoint.seen.filter(({ path }) => path === "/chat/completions").length], [1, 0]);
  }));

Deno.test({
  name: "evaluate has a grader label its answers, and a method compare others with them",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const same =
        /(?:correct answer for this problem is|Student A submitted the answer): (.*)\n .*submitted the answer: \1\n/;
      await using endpoint = FakeEndpoint.start(({ messages }) =>
        same.test(messages[1].content) ? "Yes" : "No"
      );
      const { code, stderr } = await run(
        "evaluate",
        [
          ...[
            "--dataset=facts",
            "--prompt-style=oe",
            "--model-name=facts",
            "--limit=12",
            `--log-dir=${join(folder, "run")}`,
          ],
          ...["--strategy=fuzzy:judge", "--concurrency=5", "--method=sampling", "--samples=3"],
        ],
        environment(endpoint, folder),
      );
      assertEquals(code, 0, stderr);
      const { stages } = JSON.parse(await Deno.readTextFile(join(folder, "run", "run.json")));
      const { inputs, about } = stages["metrics/facts/test"];
      assertEquals([inputs.labeler.argument, inputs.labelerOptions.maxTokens], ["judge", 16]);
      const asked = endpoint.seen.map(({ body }) => body.messages[1].content);
      const key = asked.filter((content) => content.includes("correct answer")).length;
      assertEquals(about.labelling.requests, key);
      assert(key > 0 && asked.some((content) => content.includes("Student B")), `${key} of ${asked.length}`);
    }),
});
