import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { datasetNamed } from "../../tasks/_options.ts";
import { Session } from "../../tasks/_session.ts";

const SESSION = new Session("deno task x");

Deno.test("datasetNamed() finds a dataset by what stands in front of the first colon", () => {
  for (const [text, name] of [["facts", "facts"], ["csv:a/b.csv", "csv"], ["offline:C:/runs", "offline"]]) {
    assertEquals(datasetNamed(SESSION, text).name, name);
  }
});

Deno.test.each([
  ["data/quiz.csv", "say what it is: csv:data/quiz.csv"],
  ["quiz.tsv", "say what it is: csv:quiz.tsv"],
  ["quiz.jsonl.gz", "say what it is: jsonl:quiz.jsonl.gz"],
  [
    "runs/mine/labels",
    "say what it is: offline:runs/mine/labels for answers or labels in a folder, hf:runs/mine/labels for a dataset " +
    "of the Hub",
  ],
  ["fact", 'did you mean "facts"?'],
])("datasetNamed() refuses %s with what was meant", (text, fix) => {
  const error = assertThrows(() => datasetNamed(SESSION, text), UserError);
  assertEquals([error.kind, error.what, error.fix], ["usage", `Unknown dataset "${text}"`, fix]);
});
