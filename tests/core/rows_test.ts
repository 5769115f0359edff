import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { StoredRow } from "../../core/records.ts";
import { isLabeled, readRows, ROW_COLUMNS, writeRows } from "../../core/rows.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";
import { generation, labeled } from "./_samples.ts";

/** The rows of a file with this text. */
const read = (text: string) =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "0.csv": text });
    return await readRows(`${folder}/0.csv`, "train");
  });

/** The one row of a file whose column `query_label` holds this. */
const withLabel = async (text: string) =>
  (await read(`context,target,target_prompt,prompt,output,query_label\nq,t,p,,o,${text}\n`))[0];

/** What is read after writing. */
const roundTrip = (rows: readonly (StoredRow & { output: string })[]) =>
  withFolder(async (folder) => {
    await writeRows(`${folder}/0.csv`, rows);
    return {
      rows: await readRows(`${folder}/0.csv`, "test"),
      text: await Deno.readTextFile(`${folder}/0.csv`),
    };
  });

Deno.test("writeRows() writes the research code's columns, in its order", async () => {
  const { text } = await roundTrip([]);
  assertEquals(text, "context,target,target_prompt,prompt,output,query_label\r\n");
  assertEquals(text.trim().split(","), [...ROW_COLUMNS]);
});

for (const [label, text] of [[undefined, "-1"], [null, ""], [0, "0"], [1, "1"]] as const) {
  Deno.test(`writeRows() writes label ${label} as "${text}"`, async () => {
    const row = generation("a", { context: "q", targetPrompt: "p", target: "t", output: "o" });
    const written = await roundTrip([label === undefined ? row : { ...row, label }]);
    assertEquals(written.text.trim().split("\r\n")[1], `q,t,p,,o,${text}`);
    assertEquals(written.rows[0].label, label);
  });
}

for (const [text, label] of [["-1", undefined], ["", null], ["0", 0], ["1", 1], [" 1 ", 1]] as const) {
  Deno.test(`readRows() reads query_label "${text}" as ${label}`, async () => {
    assertEquals((await withLabel(text)).label, label);
  });
}

Deno.test("writeRows() adds a column for groups only where a row has one", async () => {
  const { text, rows } = await roundTrip([generation("a", { group: "tree" }), generation("b")]);
  assertEquals(text.split("\r\n")[0], "context,target,target_prompt,prompt,output,query_label,group");
  assertEquals(rows.map(({ group }) => group), ["tree", undefined]);
  assertEquals("group" in rows[1], false);
  assertEquals((await roundTrip([generation("a")])).text.includes("group"), false);
});

Deno.test("readRows() gives a row the same id with a group and without", async () => {
  const [plain] = (await roundTrip([generation("a")])).rows;
  const [grouped] = (await roundTrip([generation("a", { group: "tree" })])).rows;
  assertEquals(grouped.id, plain.id);
});

for (const text of ["2", "yes", "0.5", "1.0", "nan", "-2"]) {
  Deno.test(`readRows() refuses query_label "${text}", naming the row`, async () => {
    const error = await assertRejects(() => withLabel(text), UserError);
    assertEquals([error.kind, error.what], ["data", `query_label is "${text}"`]);
    assert(error.where.endsWith("0.csv, row 1"), error.where);
  });
}

Deno.test("readRows() gives back the texts that writeRows() wrote", async () => {
  const row = labeled("a", 1, {
    prompt: 'Header\n\nQuestion: "x", y?\nAnswer: z\n\n',
    context: "Question: naïve, \u2028 or not?",
    targetPrompt: "\nAnswer:",
    target: " t ",
    output: "",
  });
  assertEquals((await roundTrip([row])).rows, [{ ...row, id: (await roundTrip([row])).rows[0].id }]);
});

Deno.test("readRows() puts rows into the split it is told", async () => {
  assertEquals((await withLabel("1")).split, "train");
});

Deno.test("readRows() needs only the texts of a prompt; what is not there is left out", async () => {
  const [row] = await read("context,target,target_prompt\nq,t,p\n");
  assertEquals(Object.keys(row), ["id", "split", "prompt", "context", "targetPrompt", "target"]);
  assertEquals(row.prompt, "");
});

Deno.test("readRows() refuses a file without targets", async () => {
  const withoutTargets = () => read("context,target_prompt\nq,p\n");
  await assertRejects(withoutTargets, UserError, 'Column "target" is missing');
});

Deno.test("readRows() gives a row the same id in every file, whatever its answer and label", async () => {
  const row = generation("a");
  const [first] = (await roundTrip([row])).rows;
  const [, second] =
    (await roundTrip([generation("b"), { ...row, output: "something else", label: 0 as const }])).rows;
  assertEquals(first.id, second.id);
});

Deno.test("readRows() gives another id to a row that differs in any text of its prompt", async () => {
  const base = generation("a");
  const { rows } = await roundTrip([
    base,
    { ...base, prompt: "x" },
    { ...base, context: "x" },
    { ...base, targetPrompt: "x" },
    { ...base, target: "x" },
    // The same texts, with a boundary elsewhere.
    { ...base, context: base.context + base.targetPrompt, targetPrompt: "" },
  ]);
  assertEquals(new Set(rows.map(({ id }) => id)).size, rows.length);
});

Deno.test("readRows() numbers rows that stand several times, so that ids are unique", async () => {
  const row = generation("a");
  const ids = (await roundTrip([row, generation("b"), row, row])).rows.map(({ id }) => id);
  assertEquals(ids[2], `${ids[0]}-1`);
  assertEquals(ids[3], `${ids[0]}-2`);
  assertNotEquals(ids[0], ids[1]);
});

Deno.test("isLabeled() is true of rows with an answer and a verdict, undecided included", () => {
  const { output: _, ...unanswered } = generation("a");
  assertEquals(isLabeled(labeled("a", 0)), true);
  assertEquals(isLabeled(labeled("a", null)), true);
  assertEquals(isLabeled({ ...generation("a"), output: "", label: 1 } as StoredRow), true);
  assertEquals(isLabeled(generation("a")), false);
  assertEquals(isLabeled({ ...unanswered, label: 1 } as StoredRow), false);
});
