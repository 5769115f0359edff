import { assert, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { type PredictionRow, readPredictions, writePredictions } from "../../core/predictions.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";

const HEADER = "id,group,label,p_correct,logit_wrong,logit_correct,context,target,output";

const row = (parts: Partial<PredictionRow> = {}): PredictionRow => ({
  id: "a",
  label: 1,
  pCorrect: 0.75,
  logits: [0, 1.0986122886681098],
  context: "Question: is it?",
  target: "yes",
  output: "yes, it is",
  ...parts,
});

const roundTrip = (rows: readonly PredictionRow[]) =>
  withFolder(async (folder) => {
    await writePredictions(`${folder}/predictions.csv`, rows);
    return await readPredictions(`${folder}/predictions.csv`);
  });

Deno.test("writePredictions() writes one line a row under named columns", () =>
  withFolder(async (folder) => {
    await writePredictions(`${folder}/predictions.csv`, [row({ group: "anatomy" })]);
    assertEquals(
      await Deno.readTextFile(`${folder}/predictions.csv`),
      `${HEADER}\r\na,anatomy,1,0.75,0,1.0986122886681098,Question: is it?,yes,"yes, it is"\r\n`,
    );
  }));

for (
  const [what, parts] of [
    ["label 0", { label: 0 }],
    ["no decision", { label: null }],
    ["a group", { group: "anatomy" }],
    ["a probability without logits", { pCorrect: 1, logits: null }],
    ["no confidence", { pCorrect: null, logits: null }],
    ["the least confidence", { pCorrect: 0, logits: [1e300, -1e300] }],
    ["the most confidence", { pCorrect: 1, logits: [-5e-324, 1.7976931348623157e308] }],
    ["numbers that decimals do not hit", { pCorrect: 0.1 + 0.2, logits: [1 / 3, -2 / 3] }],
    ["text of several lines", { context: 'a\nb,"c"', target: "", output: " " }],
  ] as const
) {
  Deno.test(`readPredictions() gives back a row with ${what}`, async () => {
    assertEquals(await roundTrip([row(parts)]), [row(parts)]);
  });
}

for (
  const { column, value, values } of [
    { column: "label", value: "2", values: "2,0.5,0,0" },
    { column: "label", value: "yes", values: "yes,0.5,0,0" },
    { column: "p_correct", value: "", values: "1,,0,0" },
    { column: "p_correct", value: "1.0001", values: "1,1.0001,0,0" },
    { column: "p_correct", value: "-0.1", values: "1,-0.1,0,0" },
    { column: "p_correct", value: "NaN", values: "1,NaN,0,0" },
    { column: "logit_wrong", value: "x", values: "1,0.5,x,0" },
    { column: "logit_correct", value: "Infinity", values: "1,0.5,0,Infinity" },
  ]
) {
  Deno.test(`readPredictions() refuses "${value}" as ${column}, naming the row`, () =>
    withFolder(async (folder) => {
      await writeFiles(folder, { "p.csv": `${HEADER}\na,,1,0.5,0,0,q,t,o\nb,,${values},q,t,o\n` });
      const error = await assertRejects(() => readPredictions(`${folder}/p.csv`), UserError);
      assertEquals([error.kind, error.what], ["data", `${column} is "${value}"`]);
      assert(error.where.endsWith("p.csv, row 2"), error.where);
    }));
}

Deno.test("readPredictions() refuses a file without confidences", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "p.csv": "id,label\na,1\n" });
    await assertRejects(() => readPredictions(`${folder}/p.csv`), UserError, "is missing");
  }));
