import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import { dataError } from "../../../core/files.ts";
import type { Label } from "../../../core/records.ts";
import { labelAnswers } from "../../../core/stages/label.ts";
import type { Labeler } from "../../../core/types.ts";
import { all } from "../../plugins/_folders.ts";
import { frozen, generation } from "../_samples.ts";

function labeler(label: Labeler["label"], concurrency?: number): Labeler {
  return {
    kind: "labeler",
    name: "acme/sample",
    version: 1,
    description: "As told",
    defaults: {},
    label,
    ...(concurrency === undefined ? {} : { concurrency }),
  };
}

const rows = (count: number) =>
  frozen(Array.from({ length: count }, (_, index) => generation(`row${index}`, { output: `${index}` })));

const label = (count: number, plugin: Labeler) => all(labelAnswers(rows(count), plugin, {}));

/** Lets every promise that can settle do so. */
const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("labelAnswers() adds the labels to the rows, in order", async () => {
  const verdicts: Label[] = [1, 0, null];
  const labels = await label(3, labeler(({ answer }) => verdicts[Number(answer)]));
  assertEquals(labels, rows(3).map((row, index) => ({ ...row, label: verdicts[index] })));
});

Deno.test("labelAnswers() shows the labeler the prompt's text, the target and the answer", async () => {
  const seen: unknown[] = [];
  await label(
    1,
    labeler((answer) => {
      seen.push(answer);
      return 1;
    }),
  );
  assertEquals(seen, [{ question: "Question: What is row0?\nAnswer:", target: "right", answer: "0" }]);
});

Deno.test("labelAnswers() passes the options on", async () => {
  const plugin: Labeler<{ readonly all: Label }> = {
    ...labeler(() => 0),
    defaults: { all: 0 },
    label: (_, { all }) => all,
  };
  assertEquals((await all(labelAnswers(rows(1), plugin, { all: null })))[0].label, null);
});

for (const [concurrency, most] of [[undefined, 1], [1, 1], [3, 3], [9, 5]] as const) {
  Deno.test(`labelAnswers() has ${most} of 5 labels under way at once with concurrency ${concurrency}`, async () => {
    let running = 0, highest = 0;
    const slow = labeler(async (): Promise<Label> => {
      highest = Math.max(highest, ++running);
      await settle();
      running--;
      return 1;
    }, concurrency);
    assertEquals((await label(5, slow)).length, 5);
    assertEquals(highest, most);
  });
}

Deno.test("labelAnswers() keeps the order when later labels come first", async () => {
  const waiting = new Map<string, () => void>();
  const reversed = labeler(({ answer }) => {
    const { promise, resolve } = Promise.withResolvers<Label>();
    waiting.set(answer, () => resolve(answer === "1" ? 0 : 1));
    if (waiting.size === 3) { for (const answer of ["2", "1", "0"]) waiting.get(answer)!(); }
    return promise;
  }, 3);
  assertEquals((await label(3, reversed)).map(({ id, label }) => [id, label]), [
    ["row0", 1],
    ["row1", 0],
    ["row2", 1],
  ]);
});

for (
  const [how, fail] of [
    ["throws", () => {
      throw new RangeError("no idea");
    }],
    ["rejects", () => Promise.reject(new RangeError("no idea"))],
  ] as const
) {
  Deno.test(`labelAnswers() names labeler and row when the labeler ${how}`, async () => {
    const error = await assertRejects(() => label(1, labeler(fail)), UserError);
    assertEquals([error.kind, error.what], ["plugin", 'Labeler "acme/sample" threw: no idea']);
    assertEquals([error.where, (error.cause as Error).message], ["row row0", "no idea"]);
  });
}

Deno.test("labelAnswers() passes on a labeler's own UserError as it is", async () => {
  const own = dataError("No key", "OPENAI_API_KEY", "set it");
  const error = await assertRejects(() => label(1, labeler(() => Promise.reject(own))), UserError);
  assertEquals(error, own);
});

for (const bad of [2, -1, 0.5, NaN, "1", true, undefined]) {
  Deno.test(`labelAnswers() refuses the label ${JSON.stringify(bad)} (${typeof bad})`, async () => {
    const error = await assertRejects(() => label(1, labeler(() => bad as unknown as Label)), UserError);
    assertEquals([error.kind, error.where], ["plugin", "row row0"]);
    assertEquals(error.what, `Labeler "acme/sample" gave ${JSON.stringify(bad)}`);
  });
}

Deno.test("labelAnswers() throws a failure in its turn, behind the rows before it", async () => {
  const first = Promise.withResolvers<Label>();
  const plugin = labeler(
    ({ answer }) => answer === "0" ? first.promise : Promise.reject(new Error("no idea")),
    2,
  );
  const labels = labelAnswers(rows(2), plugin, {})[Symbol.asyncIterator]();
  const row = labels.next();
  // The second row has failed by now, while the first is still awaited.
  await settle();
  first.resolve(1);
  assertEquals((await row).value.label, 1);
  await assertRejects(() => labels.next(), UserError, "no idea");
});

Deno.test("labelAnswers() asks for no further labels once its caller has stopped", async () => {
  let asked = 0;
  const counting = labeler(() => {
    asked++;
    return 1;
  }, 2);
  for await (const _ of labelAnswers(rows(10), counting, {})) break;
  assertEquals(asked, 2);
});

Deno.test("labelAnswers() waits for the labels under way when its caller stops", async () => {
  let finished = 0;
  const slow = labeler(async ({ answer }): Promise<Label> => {
    if (answer !== "0") await settle();
    finished++;
    return 1;
  }, 3);
  for await (const _ of labelAnswers(rows(10), slow, {})) break;
  assertEquals(finished, 3);
});

Deno.test("labelAnswers() of no rows gives none", async () => {
  assertEquals(await label(0, labeler(() => 1)), []);
});
