import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type Label,
  type LabelerContext,
  type LabelSession,
  multi,
  type MultiOptions,
  OpenLabeler,
  UserError,
} from "@credence/credence";
import { testLabeler } from "@credence/credence/testing";

/** Labelers by name: `says-<x>` gives 1 if the answer holds x. */
const labeler = (name: string): Promise<LabelSession> =>
  Promise.resolve({ label: ({ answer }) => answer.includes(name.slice(-1)) ? 1 : answer === "" ? null : 0 });

const context = (argument: string, given: Partial<LabelerContext> = {}) =>
  ({
    argument,
    labeler,
    describeLabeler: (name: string) => Promise.resolve(name),
    ...given,
  }) as LabelerContext;

testLabeler(multi, {
  correct: [{ answer: "ab", target: "" }, { answer: "abc", target: "" }],
  wrong: [{ answer: "a", target: "" }, { answer: "x", target: "" }],
  undecided: [{ answer: "", target: "" }],
  context: context("says-a,says-b,says-c"),
});

/** What labelers that say these make together. */
async function together(votes: readonly Label[], options: MultiOptions = multi.defaults): Promise<Label> {
  const argument = votes.map((_, index) => `labeler-${index}`).join(",");
  const open = await OpenLabeler.open(
    multi,
    options,
    context(argument, {
      labeler: (name) => Promise.resolve({ label: () => votes[Number(name.split("-")[1])] }),
    }),
  );
  const verdict = await open.judge({ question: "", target: "", answer: "" });
  assertEquals(verdict.votes, votes);
  return verdict.label;
}

for (
  const [votes, label, unanimous] of [
    [[1, 1, 0], 1, null],
    [[0, 1, 0], 0, null],
    [[1, 1, null], 1, null],
    [[1, null, null], null, null],
    [[1, 0, null], null, null],
    [[1, 0], null, null],
    [[1, 1, 0, 0], null, null],
    [[0, 0], 0, 0],
    [[1, 1, 1], 1, 1],
    [[null, null], null, null],
  ] as readonly [readonly Label[], Label, Label][]
) {
  Deno.test(`multi makes ${label} of ${votes.join(", ")}, and ${unanimous} where all have to agree`, async () => {
    assertEquals(await together(votes), label);
    assertEquals(await together(votes, { unanimous: true }), unanimous);
  });
}

for (
  const [argument, what] of [
    ["substring", "One labeler is named"],
    [",", "No labeler is named"],
    ["substring, substring", 'Labeler "substring" is named twice'],
    ["substring,multi:a", "multi is one of its own labelers"],
  ]
) {
  Deno.test(`multi refuses to be made of ${JSON.stringify(argument)}`, async () => {
    const error = await assertRejects(() => multi.open!(multi.defaults, context(argument)), UserError, what);
    assertEquals(error.kind, "usage");
  });
}

Deno.test("multi asks each labeler no more at once than it allows, and is not held back by the slower ones", async () => {
  const running: Record<string, number> = {}, most: Record<string, number> = {};
  const session = (name: string, concurrency?: number): LabelSession => ({
    concurrency,
    async label() {
      running[name] = (running[name] ?? 0) + 1;
      most[name] = Math.max(most[name] ?? 0, running[name]);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running[name]--;
      return 1 as const;
    },
  });
  const limits: Record<string, number | undefined> = { one: undefined, four: 4 };
  const open = await multi.open!(
    multi.defaults,
    context("one,four", { labeler: (name) => Promise.resolve(session(name, limits[name])) }),
  );
  assertEquals(open.concurrency, 4);
  const asked = { question: "", target: "", answer: "" };
  await Promise.all(Array.from({ length: 8 }, () => open.label(asked)));
  assertEquals(most, { one: 1, four: 4 });
});

Deno.test("multi prepares, counts and closes all its labelers, also when one cannot be opened", async () => {
  const seen: string[] = [];
  const session = (name: string): LabelSession => ({
    label: () => 1,
    prepare: (answers) => Promise.resolve(void seen.push(`prepare ${name} ${answers.length}`)),
    usage: () => ({ requests: 3 }),
    note: () => `$${name}`,
    close: () => void seen.push(`close ${name}`),
  });
  const open = await multi.open!(
    multi.defaults,
    context("a,b", { labeler: (name) => Promise.resolve(session(name)) }),
  );
  await open.prepare!([{ question: "", target: "", answer: "" }], { update() {} });
  assertEquals(open.usage!(), { "a requests": 3, "b requests": 3 });
  assertEquals(open.note!(), "$a  $b");
  await open.close!();
  assertEquals(seen, ["prepare a 1", "prepare b 1", "close a", "close b"]);
  seen.length = 0;
  const failing = context("a,b", {
    labeler: (name) => name === "b" ? Promise.reject(new Error("no")) : Promise.resolve(session(name)),
  });
  await assertRejects(() => multi.open!(multi.defaults, failing), Error, "no");
  assertEquals(seen, ["close a"]);
});

Deno.test("multi waits for all its labelers before it fails", async () => {
  let done = false;
  const open = await multi.open!(
    multi.defaults,
    context("bad,slow", {
      labeler: (name) =>
        Promise.resolve({
          label: async () => {
            if (name === "bad") throw new Error("bad");
            await new Promise((resolve) => setTimeout(resolve, 5));
            done = true;
            return 1 as const;
          },
        }),
    }),
  );
  await assertRejects(async () => await open.label({ question: "", target: "", answer: "" }), Error, "bad");
  assert(done);
});

Deno.test("multi says in run.json which labelers it is made of", async () => {
  assertEquals(await multi.revision!(multi.defaults, context("a,b")), ["a", "b"]);
});
