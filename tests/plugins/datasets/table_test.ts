import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Question, type Split, UserError } from "@credence/credence";
import { testDataset } from "@credence/credence/testing";
import { tables } from "../../../plugins/datasets/table.ts";
import { all, withEnvironment, withFolder, writeFiles } from "../_folders.ts";

const [csv, jsonl, parquet] = tables;

const TRAIN = 'question,choices,answer\nWhich?,"[""red"",""blue""]",1\n"What,\nnow?","[""x"",""y""]",A\n';

testDataset(csv, {
  request: { argument: new URL("quiz/", import.meta.url).pathname },
  rows: { train: 2, test: 1 },
});

/** Rows of a split of files in a folder, and what the user was told. */
const read = (
  files: Readonly<Record<string, string>>,
  split: Split,
  { dataset = csv, argument = "@", fields = "" } = {},
) =>
  withFolder(async (folder) => {
    await writeFiles(folder, files);
    const told: string[] = [];
    const request = {
      argument: argument.replaceAll("@", folder),
      options: { fields },
      warn: (text: string) => void told.push(text),
    };
    const rows = await all(dataset.read!(split, request)) as Question[];
    const available = await dataset.available!(request), pool = await dataset.shotPool!(request);
    return { rows, told, available, pool: pool.length, revision: await dataset.revision!(request) };
  });

Deno.test("csv reads the questions of a split by the usual names of columns, and says which it has taken", async () => {
  const { rows, told, available, pool } = await read({ "train.csv": TRAIN, "dev.csv": TRAIN }, "train");
  assertEquals(rows, [
    { id: "csv/train/0", split: "train", question: "Which?", choices: ["red", "blue"], answer: 1 },
    { id: "csv/train/1", split: "train", question: "What,\nnow?", choices: ["x", "y"], answer: 0 },
  ]);
  assertEquals(told[0], "Columns by their names: --fields=question=question,answer=answer,choices=choices");
  assertEquals([available, pool], [["train", "validation"], 2]);
});

Deno.test("jsonl reads several files of a split one behind the other, with the fields it is given", async () => {
  const row = (q: string) => `${JSON.stringify({ q, a: { text: "yes" }, topic: "t" })}\n`;
  const { rows, told } = await read({ "test-1.jsonl": row("b"), "test-0.jsonl": row("a") }, "test", {
    dataset: jsonl,
    fields: "question=q,answer=a.text,group=topic",
  });
  assertEquals(rows.map(({ id, question, group }) => [id, question, group]), [
    ["jsonl/test/0", "a", "t"],
    ["jsonl/test/1", "b", "t"],
  ]);
  assertEquals(told, []);
});

Deno.test("parquet reads one file as the test split", async () => {
  const argument = new URL("../../golden/tables/zstd.parquet", import.meta.url).pathname;
  const request = { argument, options: { fields: "question=question,answer=share,id=answers.of.row" } };
  const rows = await all(parquet.read!("test", request)) as Question[];
  assertEquals(rows.length, 60);
  assertEquals([rows[3].id, rows[3].answer, rows[12].id], ["parquet/3", "0.375", "parquet/test/12"]);
});

Deno.test("A column can say which split a row belongs to", async () => {
  const text = "q,a,fold\n1,x,train\n2,y,dev\n3,z,train\n";
  const options = { argument: "@/quiz.csv", fields: "question=q,answer=a,split=fold" };
  const { rows, available, pool } = await read({ "quiz.csv": text }, "train", options);
  assertEquals(rows.map(({ question }) => question), ["1", "3"]);
  assertEquals([available, pool], [["train", "validation"], 2]);
  const error = await assertRejects(
    () => read({ "quiz.csv": `${text}4,u,third\n` }, "train", options),
    UserError,
  );
  assertStringIncludes(error.what, 'Column "fold" is "third"');
  assertStringIncludes(error.where, "quiz.csv, line 5");
});

Deno.test("A column called split says it by itself, where one file holds all rows", async () => {
  const text = "question,answer,split\n1,x,train\n2,y,test\n3,z,train\n";
  const { rows, available, told } = await read({ "quiz.csv": text }, "train", { argument: "@/quiz.csv" });
  assertEquals([rows.map(({ question }) => question), available], [["1", "3"], ["train", "test"]]);
  assertEquals(told[0], "Columns by their names: --fields=question=question,answer=answer,split=split");
  // Files that are named by split are divided already.
  assertEquals((await read({ "train.csv": text }, "train")).rows.length, 3);
});

Deno.test("One file that nothing divides is the test split, and the user is told how to have it dealt", async () => {
  const files = { "quiz.csv": "question,answer\n1,x\n" }, options = { argument: "@/quiz.csv" };
  assertEquals(
    (await read(files, "test", options)).told[1],
    "All rows are test rows; to train on most of " +
      "them: --fields=question=question,answer=answer,split=80/10/10",
  );
  const { fix } = await assertRejects(() => read(files, "train", options), UserError, "There is no train");
  assertStringIncludes(fix, "split=80/10/10");
});

Deno.test("Rows are dealt to the splits by their question, whatever stands beside it", async () => {
  const line = (index: number) => `question ${index % 900},answer ${index}\n`;
  const table = (rows: number) => ({
    "quiz.csv": `q,a\n${Array.from({ length: rows }, (_, index) => line(index)).join("")}`,
  });
  const options = { argument: "@/quiz.csv", fields: "question=q,answer=a,split=80/10/10" };
  const questions = new Map<string, string>();
  for (const split of ["train", "validation", "test"] as const) {
    const small = await read(table(500), split, options), large = await read(table(1000), split, options);
    assertEquals(small.available, ["train", "validation", "test"]);
    assertEquals(large.rows.slice(0, small.rows.length), small.rows);
    assertEquals(Math.abs(large.rows.length - (split === "train" ? 800 : 100)) < 40, true);
    for (const { question } of large.rows) {
      assertEquals(questions.get(question) ?? split, split, `${question} is in two splits`);
      questions.set(question, split);
    }
  }
  assertEquals(questions.size, 900);
});

Deno.test("Rows about one passage are dealt to one split", async () => {
  const rows = Array.from({ length: 50 }, (_, index) => `question ${index},answer,the same\n`).join("");
  const options = { argument: "@/quiz.csv", fields: "question=q,answer=a,passage=p,split=40/30/30" };
  const { available } = await read({ "quiz.csv": `q,a,p\n${rows}` }, "train", options);
  assertEquals(available.length, 1);
});

Deno.test("The revision changes with the contents of any file, and not with their place", async () => {
  const first = await read({ "train.csv": TRAIN }, "train"),
    second = await read({ "train.csv": TRAIN }, "train");
  assertEquals(first.revision, second.revision);
  const changed = await read({ "train.csv": TRAIN.replace("red", "pink") }, "train");
  assertEquals(changed.revision === first.revision, false);
});

Deno.test("A split that is not there is refused, with those that are", async () => {
  const error = await assertRejects(() => read({ "train.csv": TRAIN }, "test"), UserError);
  assertEquals([error.kind, error.what], ["data", "There is no test split"]);
  assertStringIncludes(error.where, "which has train");
  assertStringIncludes(error.fix, "csv:test=<path>");
});

Deno.test("An unsound row is refused by file and line", async () => {
  const error = await assertRejects(
    () => read({ "train.csv": `${TRAIN}x,"[""a"",""b""]",C\n` }, "train"),
    UserError,
  );
  assertStringIncludes(error.what, 'Column "answer" is "C"');
  assertStringIncludes(error.where, "train.csv, line 5");
});

Deno.test("Fields that are not sound are refused before anything is read", async () => {
  const request = { argument: "nowhere.csv", options: { fields: "question" } };
  const error = await assertRejects(() => csv.revision!(request), UserError);
  assertEquals([error.kind, error.where], ["usage", "--fields"]);
});

Deno.test("csv reads a file from the web", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response(TRAIN, { headers: { etag: '"1"' } }),
  );
  try {
    await withFolder(async (folder) => {
      const request = {
        argument: `http://127.0.0.1:${server.addr.port}/quiz-train.csv?version=2`,
        options: { fields: "" },
      };
      await withEnvironment({ XDG_CACHE_HOME: folder, HF_HUB_OFFLINE: "" }, async () => {
        const rows = await all(csv.read!("train", request)) as Question[];
        assertEquals(rows.map(({ answer }) => answer), [1, 0]);
        const local = await read({ "train.csv": TRAIN }, "train");
        assertEquals(await csv.revision!(request), local.revision);
      });
    });
  } finally {
    await server.shutdown();
  }
});
