import { assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { createRng, type Estimate, krippendorffAlpha, type Label, readRows } from "../../core/mod.ts";
import { FakeEndpoint } from "../../core/testing/mod.ts";
import { ended, start, withFolder } from "./_cli.ts";

const ROWS = 40;

/** What the answer to a question is: right, wrong in the right words, or wrong. */
const output = (row: number) => row % 4 === 0 ? `not ${row}` : row % 4 === 1 ? "none" : String(row);

async function writeOutputs(folder: string): Promise<string> {
  const path = join(folder, "outputs");
  await Deno.mkdir(join(path, "train"), { recursive: true });
  const lines = Array.from(
    { length: ROWS },
    (_, row) => `Question ${row}?,${row},"\nAnswer:",,${output(row)},-1`,
  );
  await Deno.writeTextFile(
    join(path, "train", "rows_0.csv"),
    ["context,target,target_prompt,prompt,output,query_label", ...lines, ""].join("\n"),
  );
  return path;
}

/** Votes of `substring`, of a grader that knows, and of one that says yes to every answer but "none". */
const votes = (row: number): Label[] => [
  output(row).includes(String(row)) ? 1 : 0,
  row % 4 < 2 ? 0 : 1,
  row % 4 === 1 ? 0 : 1,
];

Deno.test("generate labels by multi: keeps the votes over a kill, and says how far the labelers agree", () =>
  withFolder(async (folder) => {
    let child: Deno.ChildProcess | undefined, replies = 0;
    await using endpoint = FakeEndpoint.start(
      ({ model, messages }: { model: string; messages: { content: string }[] }) => {
        const row = Number(/Question (\d+)\?/.exec(messages[1].content)![1]);
        if (++replies === ROWS) child?.kill("SIGKILL");
        return votes(row)[model === "knows" ? 1 : 2] === 1 ? "Yes" : "No";
      },
    );
    const dataset = await writeOutputs(folder), logDir = join(folder, "run");
    const args = [
      "labels",
      `--dataset=offline:${dataset}`,
      "--strategy=multi:substring,fuzzy:knows,fuzzy:lenient",
      `--log-dir=${logDir}`,
      "--json",
    ];
    const env = {
      OPENAI_BASE_URL: endpoint.url,
      OPENAI_API_KEY: "key",
      XDG_CACHE_HOME: join(folder, "cache"),
    };
    child = start("generate", args, env);
    assertEquals((await ended(child)).code !== 0, true);
    child = undefined;
    const { code, stdout, stderr } = await ended(start("generate", args, env));
    assertEquals(code, 0, stderr);

    const labels = (await readRows(join(logDir, "labels", "train", "0.csv"), "train")).map(({ label }) =>
      label
    );
    const expected = Array.from(
      { length: ROWS },
      (_, row) => votes(row).filter((vote) => vote === 1).length > 1 ? 1 : 0,
    );
    assertEquals(labels, expected);
    const alpha = krippendorffAlpha(
      Array.from({ length: ROWS }, (_, row) => ({ votes: votes(row) })),
      createRng(137).split("bootstrap"),
    ) as Estimate;
    const { agreements } = JSON.parse(stdout.trim().split("\n").at(-1)!);
    assertAlmostEquals(agreements.train.alpha.value, alpha.value, 1e-12);
    assertEquals([agreements.train.unanimous, agreements.train.undecided], [ROWS * 3 / 4, 0]);
    assertMatch(
      stdout,
      /^train: Krippendorff's alpha of 3 labelers is 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]; they agree on 30 of 40/,
    );

    const { stages } = JSON.parse(await Deno.readTextFile(join(logDir, "run.json")));
    assertEquals(stages["labels/train"].about.agreement, agreements.train);
    assertEquals(stages["labels/train"].inputs.labeler.revision.map(({ name }: { name: string }) => name), [
      "substring",
      "fuzzy",
      "fuzzy",
    ]);
    // A run that finds everything there says it too.
    const again = await ended(start("generate", args, env));
    assertEquals(JSON.parse(again.stdout.trim().split("\n").at(-1)!).agreements, agreements);
  }));

Deno.test("generate labels refuses a multi of an unknown labeler by its name", () =>
  withFolder(async (folder) => {
    const dataset = await writeOutputs(folder);
    const args = [
      "labels",
      `--dataset=offline:${dataset}`,
      "--strategy=multi:substring,substrign",
      `--log-dir=${folder}/run`,
    ];
    const { code, stderr } = await ended(start("generate", args));
    assertEquals(code, 2);
    assertStringIncludes(stderr, 'did you mean "substring"?');
  }));

Deno.test("generate labels hands a flag to each labeler of a multi that has it", () =>
  withFolder(async (folder) => {
    await using endpoint = FakeEndpoint.start(() => "Yes");
    const dataset = await writeOutputs(folder);
    const args = [
      "labels",
      `--dataset=offline:${dataset}`,
      "--strategy=multi:substring,fuzzy:knows",
      `--log-dir=${folder}/run`,
    ];
    const env = { OPENAI_BASE_URL: endpoint.url, XDG_CACHE_HOME: join(folder, "cache") };
    const price = ["--max-cost=0.00000001", "--price-input=1", "--price-output=1"];
    const stopped = await ended(start("generate", [...args, ...price], env));
    assertEquals(stopped.code, 5, stopped.stderr);
    assertEquals(endpoint.seen.length, 0);
    const refused = await ended(start("generate", [...args, "--threshold=1"], env));
    assertStringIncludes(refused.stderr, 'Unknown flag "--threshold"');
    const { stdout } = await ended(start("generate", [...args, "--help"], env));
    assertMatch(stdout, /--unanimous[^]*--max-cost|--max-cost[^]*--unanimous/);
  }));
