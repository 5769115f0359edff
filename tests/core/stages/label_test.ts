import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import { dataError } from "../../../core/files.ts";
import type { Label } from "../../../core/records.ts";
import { OpenLabeler } from "../../../core/labelers.ts";
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

/** Labels as they finish, with their index. */
const asTheyFinish = (count: number, plugin: Labeler) =>
  labelAnswers(rows(count), OpenLabeler.of(plugin, {}));

/** Labelled rows, in order. */
const label = async (count: number, plugin: Labeler) =>
  (await all(asTheyFinish(count, plugin))).toSorted((a, b) => a.index - b.index).map(({ answer }) => answer);

/** Lets every promise that can settle do so. */
const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

Deno.test("labelAnswers() adds the labels to the rows, each with its index", async () => {
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
  const [{ answer }] = await all(labelAnswers(rows(1), OpenLabeler.of(plugin, { all: null })));
  assertEquals(answer.label, null);
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

Deno.test("labelAnswers() gives labels as they finish, and starts the next at once", async () => {
  const started: string[] = [], waiting = new Map<string, () => void>();
  const plugin = labeler(({ answer }) => {
    started.push(answer);
    const { promise, resolve } = Promise.withResolvers<Label>();
    waiting.set(answer, () => resolve(answer === "1" ? 0 : 1));
    if (answer === "1") waiting.get("1")!();
    return promise;
  }, 2);
  const labels = asTheyFinish(3, plugin)[Symbol.asyncIterator]();
  const first = (await labels.next()).value;
  assertEquals([first.index, first.answer.id, first.answer.label, started], [1, "row1", 0, ["0", "1", "2"]]);
  const second = labels.next();
  // Row 0 hangs, and holds up nobody.
  waiting.get("2")!();
  assertEquals((await second).value.index, 2);
  waiting.get("0")!();
  assertEquals((await labels.next()).value.index, 0);
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

Deno.test("labelAnswers() throws a failure after the labels that were under way, and begins no others", async () => {
  const slow = Promise.withResolvers<Label>(), started: string[] = [];
  const plugin = labeler(({ answer }) => {
    started.push(answer);
    return answer === "0" ? slow.promise : Promise.reject(new Error("no idea"));
  }, 2);
  const labels = asTheyFinish(5, plugin)[Symbol.asyncIterator]();
  const row = labels.next();
  // The second row has failed by now, while the first is still awaited.
  await settle();
  slow.resolve(1);
  assertEquals((await row).value.answer.label, 1);
  await assertRejects(() => labels.next(), UserError, "no idea");
  assertEquals(started, ["0", "1"]);
});

Deno.test("labelAnswers() asks for no further labels once its caller has stopped", async () => {
  let asked = 0;
  const counting = labeler(() => {
    asked++;
    return 1;
  }, 2);
  for await (const _ of asTheyFinish(10, counting)) break;
  assertEquals(asked, 4);
});

Deno.test("labelAnswers() waits for the labels under way when its caller stops", async () => {
  let finished = 0;
  const slow = labeler(async ({ answer }): Promise<Label> => {
    if (answer !== "0") await settle();
    finished++;
    return 1;
  }, 3);
  for await (const _ of asTheyFinish(10, slow)) break;
  assertEquals(finished, 4);
});

Deno.test("labelAnswers() of no rows gives none", async () => {
  assertEquals(await label(0, labeler(() => 1)), []);
});
