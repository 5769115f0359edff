import { assertEquals, assertRejects } from "@std/assert";
import { createRng, queryText, UserError } from "@credence/credence";
import { FakeModel } from "@credence/credence/testing";
import { predictQuery, QUERY_DEFAULTS } from "../../../plugins/methods/query.ts";
import { withFolder } from "../_folders.ts";
import { rows } from "./_training.ts";

const context = { options: QUERY_DEFAULTS, rng: createRng(1), batchSize: 2 };
const evidence = (text: string) => text.length;

Deno.test("predictQuery() gives the logits of no and yes behind each query, and counts the rows", async () => {
  const seen: string[] = [];
  const progress = { update: (done: number, total: number) => void seen.push(`${done}/${total}`) };
  const scores = await Array.fromAsync(
    predictQuery(new FakeModel({ evidence }), rows("test", 3), { ...context, progress }),
  );
  // Untrained, the fake model says nothing.
  assertEquals(scores, [[0, 0], [0, 0], [0, 0]]);
  assertEquals(seen, ["1/3", "2/3", "3/3"]);
});

Deno.test("predictQuery() asks with the adapter of a checkpoint", () =>
  withFolder(async (checkpoint) => {
    const model = new FakeModel({ evidence });
    const adapter = { options: {}, weight: 2 };
    await Deno.writeTextFile(`${checkpoint}/fake_adapter.json`, JSON.stringify(adapter));
    const asked = { ...context, progress: { update() {} }, checkpoint };
    const scores = await Array.fromAsync(predictQuery(model, rows("test", 3), asked));
    assertEquals(scores, rows("test", 3).map((row) => [0, 2 * queryText(row).length]));
  }));

Deno.test("predictQuery() refuses a query that is longer than the model can read", async () => {
  const model = new FakeModel({ contextLength: 5 });
  const asked = { ...context, progress: { update() {} } };
  await assertRejects(
    () => Array.fromAsync(predictQuery(model, rows("test", 1), asked)),
    UserError,
    "at most 5",
  );
});
