import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Dataset, SPLITS, UserError } from "@credence/credence";
import { dataDirOf, taskCollection, taskOf, twoParts } from "../../../plugins/datasets/tasks.ts";

Deno.test("twoParts() splits an argument at its last colon, and needs both parts", () => {
  assertEquals(twoParts("runs/a:anatomy", "x"), ["runs/a", "anatomy"]);
  assertEquals(twoParts("C:/runs/a:anatomy", "x"), ["C:/runs/a", "anatomy"]);
  for (const argument of ["", "anatomy", ":anatomy", "mine:"]) {
    const error = assertThrows(() => twoParts(argument, "x"), UserError);
    assertEquals([error.kind, error.fix], ["usage", "write it as x:<folder>:<task>"]);
  }
});

Deno.test("taskOf() refuses a task that there is not, with the nearest name", () => {
  assertEquals(taskOf("law", ["law", "math"], "x"), "law");
  const error = assertThrows(() => taskOf("laww", ["law", "math"], "x"), UserError);
  assertEquals([error.kind, error.fix], ["usage", 'did you mean "law"?']);
});

Deno.test("dataDirOf() needs --data-dir", () => {
  const request = { argument: "mine", options: {} };
  assertEquals(dataDirOf({ ...request, dataDir: "d" }, "x"), "d/x");
  const error = assertThrows(() => dataDirOf(request, "x"), UserError);
  assertEquals([error.kind, error.fix], ["usage", "give --data-dir=<folder with x/>"]);
});

Deno.test("taskCollection() is every task that has rows, and refuses a folder without any", async () => {
  const one: Dataset = {
    kind: "dataset",
    name: "x",
    version: 1,
    description: "",
    defaults: {},
    tags: ["eval"],
    splits: SPLITS,
    read: async function* () {},
    available: ({ argument }) => {
      if (argument.endsWith(":gone")) throw new UserError({ kind: "data", what: "w", where: "w", fix: "f" });
      return Promise.resolve(argument === "mine:b" ? ["test"] : []);
    },
  };
  const every = taskCollection(one, ["a", "gone", "b"]);
  assertEquals([every.name, every.tags], ["x_all", ["eval"]]);
  assertEquals(await every.expand!({ argument: "mine", options: {} }), ["x:mine:b"]);
  const error = await assertRejects(() => every.expand!({ argument: "other", options: {} }), UserError);
  assertEquals(error.kind, "data");
});
