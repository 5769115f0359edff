import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UserError } from "@credence/credence";
import {
  columnsOf,
  describeFields,
  guessFields,
  parseFields,
  readQuestion,
} from "../../../plugins/datasets/table_fields.ts";

const read = (fields: string, values: Readonly<Record<string, unknown>>) =>
  readQuestion(parseFields(fields), { values, where: "a.csv, line 7" });

const refused = (work: () => unknown) => {
  const { kind, what, where, fix } = assertThrows(work, UserError);
  return { kind, what, where, fix };
};

Deno.test("parseFields() reads columns, forms of the answer and several choices, and describeFields() gives them back", () => {
  const text = "question=q,passage=story.text,id=no,answer=key:number,choices=a|b|=neither";
  const fields = parseFields(text);
  assertEquals(fields, {
    question: "q",
    passage: "story.text",
    id: "no",
    answer: { column: "key", form: "number" },
    choices: ["a", "b", "=neither"],
  });
  assertEquals(parseFields(describeFields(fields)), fields);
  assertEquals(columnsOf(fields, ["q"]), ["q", "story", "no", "key", "a", "b"]);
  assertEquals(columnsOf(fields, ["q", "story.text"]), ["q", "story.text", "no", "key", "a", "b"]);
});

Deno.test("parseFields() reads shares of the rows as the split, which is no column then", () => {
  const fields = parseFields("question=q,answer=a,split=70/10/20");
  assertEquals(fields.split, [70, 10, 20]);
  assertEquals(columnsOf(fields, ["q", "a"]), ["q", "a"]);
  assertEquals(describeFields(fields), "question=q,answer=a,split=70/10/20");
});

for (
  const [text, what, fix] of [
    ["question=q", 'There is no field "answer"', "add answer=<column>"],
    ["question=q,answer=a,queston=b", 'Unknown field "queston"', 'did you mean "question"?'],
    [
      "question=q,answer=a,answer=b",
      'The field "answer" is given twice',
      "several choices are written a|b|c",
    ],
    [
      "question,answer=a",
      '"question" does not say which column is meant',
      "write it as question=<column>,answer=<column>",
    ],
    [
      "question=q,answer=",
      '"answer=" does not say which column is meant',
      "write it as question=<column>,answer=<column>",
    ],
    ["question=q,choices=c,answer=a:leter", 'Unknown form of answer "leter"', 'did you mean "letter"?'],
    [
      "question=q,answer=a:letter",
      "The answer is a choice's letter, but there are no choices",
      "add choices=<column>",
    ],
  ] as const
) {
  Deno.test(`parseFields() refuses ${text}`, () => {
    assertEquals(refused(() => parseFields(text)), { kind: "usage", what, where: "--fields", fix });
  });
}

for (
  const [columns, expected] of [
    [["Question", "Answer"], "question=Question,answer=Answer"],
    [["id", "question", "choices", "answerKey"], "question=question,id=id,answer=answerKey,choices=choices"],
    [["question", "A", "B", "C", "D", "answer"], "question=question,answer=answer,choices=A|B|C|D"],
    [["prompt", "option_a", "option_b", "label"], "question=prompt,answer=label,choices=option_a|option_b"],
    [
      ["context", "question", "choice0", "choice1", "answer"],
      "question=question,passage=context,answer=answer,choices=choice0|choice1",
    ],
    [
      ["subject", "query", "Option 1", "Option 2", "Option 3", "target"],
      "question=query,group=subject,answer=target,choices=Option 1|Option 2|Option 3",
    ],
  ] as const
) {
  Deno.test(`guessFields() knows the columns ${columns.join(", ")}`, () => {
    assertEquals(describeFields(guessFields(columns, "a.csv")), expected);
  });
}

Deno.test("guessFields() says what it has found, and what to do, where it cannot know", () => {
  assertEquals(
    refused(() => guessFields([], "a.jsonl")).what,
    "There is no row that says what the columns are",
  );
  const error = refused(() => guessFields(["text", "answer"], "a.csv"));
  assertEquals(error.what, "No column is called question, nor what is usual for it");
  assertEquals(error.where, "a.csv, with the columns text, answer");
  assertStringIncludes(error.fix, "--fields=question=<column>,answer=<column>");
});

const LIST = ["red", "blue", "green"];

for (
  const [what, choices] of [
    ["a list", LIST],
    ["JSON", JSON.stringify(LIST)],
    ["a structure of two lists", { text: LIST, label: ["x", "y", "z"] }],
    ["a list of structures", LIST.map((text, index) => ({ text, label: "xyz"[index] }))],
    ["JSON of a structure", JSON.stringify({ text: LIST })],
  ] as const
) {
  Deno.test(`readQuestion() reads choices from ${what}`, () => {
    assertEquals(read("question=q,answer=a,choices=c", { q: "?", a: "blue", c: choices }), {
      question: "?",
      choices: LIST,
      answer: 1,
    });
  });
}

Deno.test("readQuestion() reads choices from columns, of which the last may be empty, and from the fields", () => {
  const fields = "question=q,answer=a,choices=c1|c2|c3|c4";
  const row = { q: "?", a: "C", c1: "red", c2: "blue", c3: 3, c4: null };
  assertEquals(read(fields, row), { question: "?", choices: ["red", "blue", "3"], answer: 2 });
  assertEquals(read("question=q,answer=a,choices==no|=yes", { q: "?", a: true }).answer, 1);
  assertEquals(refused(() => read(fields, { ...row, c2: "" })).what, 'Column "c2" is empty');
});

for (
  const [form, answers] of [
    ["index", [0, "1", 2, "02"]],
    ["number", [1, "2", 3, "03"]],
    ["letter", ["A", "b", "C", " c"]],
    ["label", ["x", "y", "z", "z"]],
    ["text", ["red", "blue", "green", "green "]],
  ] as const
) {
  Deno.test(`readQuestion() reads an answer that is the ${form} of a choice`, () => {
    const found = answers.map((a) =>
      read(`question=q,answer=a:${form},choices=c`, { q: "?", a, c: { text: LIST, label: ["x", "y", "z"] } })
        .answer
    );
    assertEquals(found, [0, 1, 2, 2]);
  });
}

Deno.test("readQuestion() finds out what an answer is: label before all others, else what fits alone", () => {
  const answer = (a: unknown, c: unknown) => read("question=q,answer=a,choices=c", { q: "?", a, c }).answer;
  assertEquals([0, "1", "C", "green", false].map((a) => answer(a, LIST)), [0, 1, 2, 2, 0]);
  // In ARC some labels are numbers from 1.
  assertEquals(answer("1", { text: LIST, label: ["1", "2", "3"] }), 0);
  // "1" as the index and as the text of the same choice.
  assertEquals(answer("1", ["0", "1"]), 1);
});

Deno.test("readQuestion() takes the answer itself where there are no choices", () => {
  assertEquals(read("question=q,answer=a.text", { q: "?", a: { text: 42 } }), {
    question: "?",
    answer: "42",
  });
});

Deno.test("readQuestion() takes the first of several right answers", () => {
  const fields = "question=q,answer=a.text";
  assertEquals(read(fields, { q: "?", a: { text: ["x", "y"] } }).answer, "x");
  assertEquals(refused(() => read(fields, { q: "?", a: { text: [] } })).what, 'Column "a.text" is []');
});

Deno.test("readQuestion() leaves out what is empty, and what a row of JSON Lines does not have", () => {
  const fields = "question=q,answer=a,passage=p,id=i.no,group=g";
  assertEquals(read(fields, { q: "?", a: "x", p: "", g: "animals" }), {
    question: "?",
    answer: "x",
    group: "animals",
  });
  assertEquals(read(fields, { q: "?", a: "x", i: { no: 3 }, p: "text" }).id, "3");
});

const rows = (changes: Readonly<Record<string, unknown>>) => ({ q: "?", a: "A", c: LIST, ...changes });
for (
  const [why, values, what, fix] of [
    ["a column that is missing", { q: "?", a: "A" }, 'Column "c" is missing', "the columns are q, a"],
    ["an empty question", rows({ q: "" }), 'Column "q" is empty', "fill it in, or leave the row out"],
    ["a question that is no number", rows({ q: NaN }), 'Column "q" is empty', "fill it in"],
    [
      "a question in another encoding",
      rows({ q: Uint8Array.of(0xff, 0xfe) }),
      'Column "q" is 2 bytes that are no UTF-8 text',
      "it must be a text",
    ],
    [
      "a question that is a date",
      rows({ q: new Date(0) }),
      'Column "q" is a date (1970-01-01T00:00:00.000Z)',
      "it must be a text",
    ],
    ["a question of the wrong type", rows({ q: ["?"] }), 'Column "q" is ["?"]', "it must be a text"],
    [
      "choices that are one text",
      rows({ c: "red, blue" }),
      'Column "c" is "red, blue"',
      "two choices or more",
    ],
    ["choices of which there is one", rows({ c: ["red"] }), 'Column "c" is ["red"]', "two choices or more"],
    [
      "choices of the wrong type",
      rows({ c: [["red"], ["blue"]] }),
      'Column "c" is [["red"],["blue"]]',
      "a list",
    ],
    ["a letter behind the last choice", rows({ a: "D" }), 'Column "a" is "D"', "one of 3 choices"],
    [
      "a number that counts from 1",
      rows({ a: 3 }),
      'Column "a" is 3',
      "if it counts from 1, say --fields=…,answer=a:number",
    ],
    ["a negative index", rows({ a: -1 }), 'Column "a" is -1', "one of 3 choices"],
    ["a text of no choice", rows({ a: "yellow" }), 'Column "a" is "yellow"', "one of 3 choices"],
    ["an empty answer", rows({ a: null }), 'Column "a" is empty', "fill it in, or leave the row out"],
    [
      "an answer of two meanings",
      rows({ a: "1", c: ["1", "2", "3"] }),
      'Column "a" is "1", which is the index of one choice and the text of another',
      "answer=a:index or answer=a:text",
    ],
    [
      "a text that is two choices",
      rows({ a: "red", c: ["red", "red"] }),
      'Column "a" is "red"',
      "one of 2 choices",
    ],
  ] as const
) {
  Deno.test(`readQuestion() refuses ${why}, naming file, row and column`, () => {
    const error = refused(() => read("question=q,answer=a,choices=c", values));
    assertEquals([error.kind, error.what, error.where], ["data", what, "a.csv, line 7"]);
    assertStringIncludes(error.fix, fix);
  });
}

Deno.test("readQuestion() cuts a value that is long or deep", () => {
  let deep: unknown = [];
  for (let depth = 0; depth < 100_000; depth++) deep = [deep];
  for (const q of [deep, ["x".repeat(1000)]]) {
    const { what } = refused(() => read("question=q,answer=a", { q, a: "x" }));
    assertEquals(what.startsWith('Column "q" is ') && what.length < 130, true, what);
  }
});

Deno.test("readQuestion() takes no blank around a text: it would be looked for in the model's answers", () => {
  const values = { q: " Which? ", a: "oak\n", p: "  ", one: " red", two: "blue " };
  assertEquals(read("question=q,answer=a,passage=p", values), { question: "Which?", answer: "oak" });
  assertEquals(
    read("question=q,answer=one,choices=one|two", values),
    { question: "Which?", choices: ["red", "blue"], answer: 0 },
  );
  assertEquals(refused(() => read("question=p,answer=a", values)).what, 'Column "p" is empty');
});
