import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import {
  createRng,
  type Estimate,
  labelerQuality,
  readCsv,
  readRows,
  UserError,
  writePredictions,
} from "../../core/mod.ts";
import { readAudit } from "../../tasks/_audit_file.ts";
import { readSheet, writeSheet } from "../../tasks/_audit_sheet.ts";
import { type Ended, ended, start, succeed, withFolder, writeLabels } from "./_cli.ts";
import { hasTerminal, KEYS, Terminal } from "./_terminal.ts";

const HEADER = "context,target,target_prompt,prompt,output,query_label";

/** Lends a run folder with labels: 30 answers, every third one wrong; those to multiples of 10 are labelled wrongly. */
function withRun(work: (labels: string, run: string) => Promise<void>, rows = LABELED): Promise<void> {
  return withFolder(async (run) => {
    const labels = join(run, "labels");
    await Deno.mkdir(join(labels, "test"), { recursive: true });
    await Deno.writeTextFile(join(run, "run.json"), '{ "version": 1, "stages": {} }');
    await Deno.writeTextFile(join(labels, "test", "0.csv"), [HEADER, ...rows, ""].join("\n"));
    await work(labels, run);
  });
}

const truth = (row: number) => row % 3 === 0 ? 0 : 1;
const labelOf = (row: number) => row % 10 === 0 ? 1 - truth(row) : truth(row);
const LABELED = Array.from(
  { length: 30 },
  (_, row) => `Question ${row}?,right,"\nAnswer:",,answer ${row},${labelOf(row)}`,
);

/** Runs the task with what a human types. */
async function audit(args: readonly string[], typed = ""): Promise<Ended> {
  const child = start("audit", args, {}, "piped");
  const writer = child.stdin.getWriter();
  // A task that ends before it has read all closes the pipe.
  await writer.write(new TextEncoder().encode(typed)).catch(() => {});
  await writer.close().catch(() => {});
  return await ended(child);
}

/** What a human who knows the truth types about the rows in the order in which they are shown. */
const typedAbout = (stderr: string) =>
  [...stderr.matchAll(/Question\n {2}Question (\d+)\?/g)].map(([, row]) =>
    truth(Number(row)) === 1 ? "y" : "n"
  );

const jsonOf = ({ stdout }: Ended) => JSON.parse(stdout.trim().split("\n").at(-1)!);

/** Judgements by number of the question. */
async function judgements(run: string) {
  const { judgements } = (await readAudit(join(run, "audit.json")))!.test!;
  return Object.values(judgements);
}

Deno.test("audit asks about rows one at a time, and shows the labeler's decision only when the human has decided", () =>
  withRun(async (labels) => {
    const { code, stderr } = await audit([labels, "--rows=2"], "y\n");
    assertEquals(code, 0);
    const [, first, second] = stderr.split(/^\[\d\/2\]\n/m);
    assertMatch(
      first,
      /^Question\n {2}Question \d+\?\nRight answer\n {2}right\nModel's answer\n {2}answer \d+\nThe labeler says: (correct|wrong)\.\n\n$/,
    );
    assert(!second.includes("labeler"), second);
  }));

Deno.test("audit keeps each answer, goes on with the rest, and ends with the labeler's confusion matrix", () =>
  withRun(async (labels, run) => {
    const first = await audit([labels, "--rows=30"], "y\n");
    assertStringIncludes(first.stdout, "1 of 30 rows judged");
    assertStringIncludes(first.stdout, "the same command goes on");
    // All are shown by a run that takes one back after the other without an answer.
    const shown = await audit([labels], "u\n".repeat(29));
    assertEquals(shown.code, 0);
    assertEquals((await judgements(run)).length, 30);
    assertEquals(typedAbout(shown.stderr).length, 29);
    const done = await audit([labels, "--json"]);
    assertEquals(jsonOf(done).judged, 30);
    assertEquals(done.stderr, "");
  }));

Deno.test("audit measures the labeler as labelerQuality() does", () =>
  withRun(async (labels, run) => {
    const { stderr } = await audit([labels, "--rows=30"], "quit\n");
    assertMatch(stderr, /\[1\/30\]/);
    const sheet = join(run, "sheet.csv"), filled = join(run, "filled.csv");
    await audit([labels, `--csv=${sheet}`]);
    await fill(sheet, filled);
    const result = jsonOf(await audit([labels, `--read=${filled}`, "--json"]));
    const rows = Array.from(
      { length: 30 },
      (_, row) => ({ label: labelOf(row), human: truth(row) } as const),
    );
    const expected = labelerQuality(
      rows as Parameters<typeof labelerQuality>[0],
      createRng(137).split("bootstrap"),
    );
    assertEquals(result.quality.judged, {
      correct: { correct: 18, wrong: 1, undecided: 0 },
      wrong: { correct: 2, wrong: 9, undecided: 0 },
      undecided: { correct: 0, wrong: 0, undecided: 0 },
    });
    const { value } = expected.shares.accuracy as Estimate;
    assertAlmostEquals(result.quality.shares.accuracy.value, value, 1e-12);
    assertEquals((await readAudit(join(run, "audit.json")))!.test!.quality, result.quality);
  }));

Deno.test("audit takes an answer back, and asks the same rows for the same seed", () =>
  withRun(async (labels, run) => {
    const { stderr } = await audit([labels, "--rows=4"], "y\nback\nn\nu\nq\n");
    assertStringIncludes(stderr, "You said: correct.");
    assertEquals((await judgements(run)).map(({ human }) => human), [0, null]);
    const again = await audit([labels, "--rows=4", `--log-dir=${join(run, "other")}`], "y\ny\n");
    const asked = (text: string) => [...new Set(text.match(/Question \d+/g))];
    assertEquals(asked(again.stderr), asked(stderr));
  }));

Deno.test("audit refuses a line of a pipe that is no answer, and keeps those before it", () =>
  withRun(async (labels, run) => {
    const { code, stderr } = await audit([labels, "--rows=4"], "y\n\nmaybe\ny\n");
    assertEquals(code, 4);
    assertStringIncludes(stderr, '"maybe" is not an answer\n  where: standard input, answer 2\n');
    assertEquals((await judgements(run)).length, 1);
  }));

Deno.test("audit in a killed program has lost nothing that was answered", () =>
  withRun(async (labels, run) => {
    const child = start("audit", [labels, "--rows=5"], {}, "piped");
    const writer = child.stdin.getWriter(), reader = child.stderr.getReader();
    await writer.write(new TextEncoder().encode("y\ny\n"));
    let seen = "";
    while (!seen.includes("[3/5]")) seen += new TextDecoder().decode((await reader.read()).value);
    child.kill("SIGKILL");
    await child.status;
    await Promise.all([writer.abort().catch(() => {}), reader.cancel(), child.stdout.cancel()]);
    assertEquals((await judgements(run)).length, 2);
    assertMatch((await audit([labels])).stdout, /^2 of 5 rows judged/m);
  }));

Deno.test({
  name: "audit in a terminal keeps what was answered before Ctrl-C, and says so",
  ignore: !hasTerminal,
  fn: () =>
    withRun(async (labels, run) => {
      await using terminal = new Terminal("audit", [labels, "--rows=3"]);
      await terminal.until("y/n/u> ");
      await terminal.type(`perhaps${KEYS.enter}`);
      await terminal.until("cannot say");
      await terminal.until("y/n/u> ");
      await terminal.type(`y${KEYS.enter}`);
      await terminal.until("The labeler says:");
      await terminal.until("y/n/u> ");
      await terminal.type(KEYS.interrupt);
      await terminal.until("Answers kept: 1. The same command goes on where it was.");
      assertEquals(await terminal.code(), 130);
      assertEquals((await judgements(run)).map(({ human }) => human), [1]);
    }),
});

/** Fills a sheet in as one who knows the truth. */
async function fill(from: string, to: string): Promise<void> {
  const text = await Deno.readTextFile(from);
  await Deno.writeTextFile(
    to,
    text.replace(
      /,Question (\d+)\?,right,(answer \d+),,/g,
      (_, row, answer) => `,Question ${row}?,right,${answer},${truth(Number(row)) === 1 ? "y" : "N "},`,
    ),
  );
}

Deno.test("audit --csv writes the rows without the labeler's decision, and never over a sheet that is there", () =>
  withRun(async (labels, run) => {
    const sheet = join(run, "sheet.csv");
    assertStringIncludes((await audit([labels, "--rows=6", `--csv=${sheet}`])).stderr, `6 rows in ${sheet}`);
    const rows = await readCsv(sheet, []);
    assertEquals(Object.keys(rows[0]), ["id", "question", "right_answer", "model_answer", "human", "labels"]);
    assertEquals(rows.map(({ human }) => human), ["", "", "", "", "", ""]);
    const again = await audit([labels, `--csv=${sheet}`]);
    assertEquals(again.code, 2);
    assertStringIncludes(again.stderr, "may hold a human's work");
  }));

Deno.test("audit --csv leaves no formula for a spreadsheet to compute", () =>
  withRun(async (labels, run) => {
    const sheet = join(run, "sheet.csv");
    await audit([labels, `--csv=${sheet}`]);
    const rows = await readCsv(sheet, []);
    assertEquals(rows.map((row) => row.model_answer).sort(), ["'=1+1", "'@x", "-5"]);
  }, ["=1+1", "@x", "-5"].map((answer, row) => `Question ${row}?,right,"\nAnswer:",,${answer},${row % 2}`)));

const ASKED = ["a1", "b2", "c3"].map((id) => ({
  id,
  question: `Who is ${id}?`,
  target: id,
  answer: "x",
  label: 0 as const,
}));
const HASH = "0123456789abcdef0123456789abcdef";

for (
  const { why, edit, what } of [
    {
      why: "an unknown id",
      edit: (text: string) => text.replace("row-b2", "row-b3"),
      what: /"row-b3" is not one.*\n.*row 2/,
    },
    {
      why: "an id twice",
      edit: (text: string) => text.replace("row-c3", "row-a1"),
      what: /stands in row 1 too\n.*row 3/,
    },
    {
      why: "another word",
      edit: (text: string) => text.replace(",,s", ",maybe,s"),
      what: /human is "maybe"\n.*row 1\n.*y \(/,
    },
    {
      why: "a column more",
      edit: (text: string) => text.replaceAll("\r\n", ",x\r\n"),
      what: /Column "x" is not one/,
    },
    {
      why: "a column less",
      edit: (text: string) => text.replace("human", "Human"),
      what: /Column "human" is missing/,
    },
    { why: "semicolons", edit: (text: string) => text.replaceAll(",", ";"), what: /Column "id" is missing/ },
    {
      why: "other labels",
      edit: (text: string) => text.replace("sha256-0123", "sha256-3210"),
      what: /about other labels: "sha256-32/,
    },
    { why: "no rows", edit: (text: string) => text.split("\n")[0] + "\n", what: /The sheet has no rows/ },
  ]
) {
  Deno.test(`readSheet() refuses a sheet with ${why}, and says where`, () =>
    withFolder(async (folder) => {
      const sheet = join(folder, "sheet.csv");
      await writeSheet(sheet, HASH, ASKED);
      await Deno.writeTextFile(sheet, edit(await Deno.readTextFile(sheet)));
      const read = readSheet(sheet, HASH, new Set(ASKED.map(({ id }) => id)));
      assertMatch((await assertRejects(() => read, UserError)).message, what);
    }));
}

Deno.test("audit --read keeps nothing of a sheet in which anything is wrong", () =>
  withRun(async (labels, run) => {
    const sheet = join(run, "sheet.csv");
    await audit([labels, "--rows=3", `--csv=${sheet}`]);
    const text = await Deno.readTextFile(sheet);
    await Deno.writeTextFile(
      sheet,
      text.replace(",,sha256", ",y,sha256").replace(",,sha256", ",perhaps,sha256"),
    );
    const { code, stderr } = await audit([labels, `--read=${sheet}`]);
    assertEquals(code, 4);
    assertStringIncludes(stderr, `human is "perhaps"\n  where: ${sheet}, row 2\n`);
    assertEquals(await judgements(run), []);
  }));

Deno.test("audit goes on with a sheet that is filled in part by part, and tells of answers that have changed", () =>
  withRun(async (labels, run) => {
    const sheet = join(run, "sheet.csv"), edited = join(run, "edited.csv");
    await audit([labels, "--rows=3", `--csv=${sheet}`]);
    const text = await Deno.readTextFile(sheet);
    await Deno.writeTextFile(edited, text.replace(",,sha256", ",y,sha256"));
    assertMatch((await audit([labels, `--read=${edited}`])).stdout, /^1 of 3 rows judged/m);
    await Deno.writeTextFile(edited, text.replaceAll(",,sha256", ",n,sha256"));
    const second = await audit([labels, `--read=${edited}`]);
    assertStringIncludes(second.stderr, "3 answers");
    assertStringIncludes(second.stderr, "1 of them other than before");
    assertMatch(second.stdout, /^3 of 3 rows judged/m);
  }));

Deno.test("audit says what is wrong with its command line and its folder, and what to do", () =>
  withRun(async (labels, run) => {
    const refused = async (code: number, args: readonly string[], what: string) => {
      const result = await audit(args);
      assertEquals(result.code, code, result.stderr);
      assertStringIncludes(result.stderr, what);
      assertMatch(result.stderr, /\n {2}where: .+\n {2}fix: {3}.+\n$/);
    };
    await refused(2, [], "No folder of labels was named");
    await refused(2, [labels, "--rows=31"], `31 rows were asked for, but ${labels} has 30`);
    await refused(2, [labels, "--split=tset"], 'has no split "tset"');
    await refused(4, [labels, "--split=train"], "There is no train split");
    await refused(4, [join(run, "nothing")], "There is no folder");
    await Deno.mkdir(join(run, "empty"));
    await refused(4, [join(run, "empty")], "There is no test split");
    await Deno.remove(join(run, "run.json"));
    await refused(2, [labels], "is not a run folder");
    await Deno.writeTextFile(join(run, "run.json"), '{ "version": 1, "stages": {} }');
    await Deno.writeTextFile(join(run, "audit.json"), '{ "test": 3 }');
    await refused(4, [labels], "Not an audit of labels");
  }));

Deno.test("audit refuses to go on with other labels or another seed", () =>
  withRun(async (labels, run) => {
    await audit([labels, "--rows=5"], "y\n");
    assertStringIncludes(
      (await audit([labels, "--seed=3"])).stderr,
      "The audit was begun with seed 137, not 3",
    );
    assertStringIncludes((await audit([labels, "--rows=4"])).stderr, "the audit was begun with 5");
    const path = join(labels, "test", "0.csv");
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("answer 1,1", "answer 1,0"));
    const { code, stderr } = await audit([labels], "y\n");
    assertEquals(code, 4);
    assertStringIncludes(stderr, "was begun on other labels");
    assertEquals((await judgements(run)).length, 1);
  }));

Deno.test("audit of answers that are not labelled says which task labels them", () =>
  withRun(async (labels) => {
    const { code, stderr } = await audit([labels]);
    assertEquals(code, 4);
    assertStringIncludes(stderr, "deno task generate labels");
  }, ['Question?,right,"\nAnswer:",,answer,-1']));

Deno.test("audit of rows that all have one label goes on, and says what it cannot measure", () =>
  withRun(async (labels) => {
    const { code, stderr, stdout } = await audit([labels], "n\nn\ny\n");
    assertEquals(code, 0);
    assertStringIncludes(stderr, `All 3 rows of ${labels} are labelled correct`);
    assertStringIncludes(stdout, "accuracy, corrected");
  }, LABELED.slice(0, 3).map((row) => row.replace(/\d$/, "1"))));

/** Predictions about the labels of {@linkcode withRun}, as `evaluate` writes them. */
async function predict(labels: string, run: string, label = labelOf): Promise<void> {
  const folder = join(run, "metrics", "mine", "test");
  const rows = await readRows(join(labels, "test", "0.csv"), "test");
  await writePredictions(
    join(folder, "predictions.csv"),
    rows.map(({ id, context, target, output }, row) => ({
      id,
      context,
      target,
      output: output!,
      label: label(row) as 0 | 1,
      logits: null,
      pCorrect: (row + 0.5) / 30,
    })),
  );
  const metrics = { auroc: { value: 0.5, low: 0.4, high: 0.6 } };
  await Deno.writeTextFile(
    join(folder, "metrics.json"),
    JSON.stringify({
      dataset: `offline:${labels}`,
      split: "test",
      n: 30,
      undecided: 0,
      temperature: 1,
      metrics,
    }),
  );
}

Deno.test("report shows the audit of the labels that were evaluated, wherever the evaluation lies", () =>
  withRun(async (labels, run) => {
    await predict(labels, run);
    const html = async (args: readonly string[] = []) => {
      const path = join(run, "report.html");
      await succeed("report", [`--log-dir=${run}`, `--output=${path}`, ...args]);
      return await Deno.readTextFile(path);
    };
    assert(!(await html()).includes("audited"));
    const sheet = join(run, "sheet.csv"), filled = join(run, "filled.csv");
    await audit([labels, `--csv=${sheet}`]);
    await fill(sheet, filled);
    const { quality } = jsonOf(await audit([labels, `--read=${filled}`, "--json"]));
    const { value, low, high } = quality.shares.accuracy;
    const shown = `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`;
    const here = await html();
    assertStringIncludes(here, "The labeler, audited");
    assertStringIncludes(here, `<td>accuracy</td><td>0.633</td><td>${shown}</td>`);
    assertMatch(here, /<td>auroc<\/td><td>0\.\d{3}<\/td><td>0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]<\/td>/);
    // An evaluation in another folder finds the audit beside its labels.
    const elsewhere = join(run, "elsewhere");
    await Deno.mkdir(elsewhere);
    await Deno.rename(join(run, "metrics"), join(elsewhere, "metrics"));
    await succeed("report", [`--log-dir=${elsewhere}`, `--output=${join(run, "report.html")}`]);
    assertStringIncludes(await Deno.readTextFile(join(run, "report.html")), shown);
  }));

Deno.test("report refuses an audit of answers that were labelled in another way since, and one of other rows", () =>
  withRun(async (labels, run) => {
    await audit([labels, "--rows=30"], "y\n".repeat(30));
    await predict(labels, run, (row) => 1 - labelOf(row));
    const refused = async (args: readonly string[]) => {
      const { code, stderr } = await ended(
        start("report", [`--log-dir=${run}`, `--output=${run}/r.html`, ...args]),
      );
      assertEquals(code, 4);
      return stderr;
    };
    assertStringIncludes(await refused([]), "labelled in another way when they were audited");
    await withFolder(async (folder) => {
      const other = await writeLabels(folder);
      await audit([other, `--log-dir=${folder}`], "y\n");
      assertStringIncludes(await refused([`--audit=${folder}/audit.json`]), "about other rows");
      assertStringIncludes(await refused([`--audit=${folder}/missing.json`]), "There is no audit");
    });
  }));
