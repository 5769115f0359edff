import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  findLabeler,
  type Labeler,
  type LabelerContext,
  OpenLabeler,
  Registry,
  UserError,
} from "../../core/mod.ts";

const base = { kind: "labeler", version: 1, description: "As told", defaults: {} } as const;

const plain: Labeler = { ...base, name: "plain", label: () => 1 };
const fuzzy: Labeler = {
  ...base,
  name: "fuzzy",
  argument: "<model>",
  open: () => Promise.resolve({ label: () => 0 }),
};

function registry(): Registry {
  const all = new Registry();
  for (const plugin of [plain, fuzzy]) all.add(plugin, "built-in");
  return all;
}

const context = { argument: "gpt", cacheDir: "", warn() {} } as unknown as LabelerContext;
const asked = { question: "", target: "a", answer: "a" };

Deno.test("findLabeler() takes a name, with what stands behind its colon", () => {
  assertEquals(findLabeler(registry(), "plain"), { name: "plain", plugin: plain, argument: "" });
  assertEquals(findLabeler(registry(), "fuzzy:org/model:free").argument, "org/model:free");
});

Deno.test("findLabeler() takes the research code's name for a grader", () => {
  const found = findLabeler(registry(), "fuzzy_gpt-3.5-turbo-1106");
  assertEquals([found.name, found.argument], ["fuzzy:gpt-3.5-turbo-1106", "gpt-3.5-turbo-1106"]);
});

for (
  const [name, fix] of [
    ["plain:x", "use plain"],
    ["fuzzy", "add it: fuzzy:<model>"],
    ["fuzzy:", "add it: fuzzy:<model>"],
    ["fuzy:x", 'did you mean "fuzzy"?'],
  ]
) {
  Deno.test(`findLabeler() refuses ${name}`, () => {
    const error = assertThrows(() => findLabeler(registry(), name), UserError);
    assertEquals([error.kind, error.fix], ["usage", fix]);
  });
}

Deno.test("OpenLabeler asks the session of a labeler that is opened, with its options, and closes it", async () => {
  const seen: unknown[] = [];
  const plugin: Labeler<{ readonly all: 0 | 1 }> = {
    ...base,
    name: "sample",
    defaults: { all: 0 },
    open: ({ all }, { argument }) =>
      Promise.resolve({
        concurrency: 7,
        prepare: (answers) => Promise.resolve(void seen.push(["prepare", answers.length])),
        label: () => all,
        note: () => "3 tokens",
        usage: () => ({ tokens: 3 }),
        close: () => void seen.push(["close", argument]),
      }),
  };
  const open = await OpenLabeler.open(plugin, { all: 1 }, context);
  await open.prepare([asked], { update() {} });
  assertEquals(await open.label(asked), 1);
  assertEquals([open.name, open.concurrency, open.note(), open.usage()], ["sample:gpt", 7, "3 tokens", {
    tokens: 3,
  }]);
  await open.close();
  assertEquals(seen, [["prepare", 1], ["close", "gpt"]]);
});

Deno.test("OpenLabeler costs nothing and needs no closing where the plugin has but label", async () => {
  const open = await OpenLabeler.open(plain, {}, context);
  await open.prepare([], { update() {} });
  assertEquals([open.concurrency, open.note(), open.usage(), await open.label(asked)], [1, "", {}, 1]);
  await open.close();
});

Deno.test("OpenLabeler names the labeler that cannot be opened", async () => {
  const plugin: Labeler = { ...fuzzy, open: () => Promise.reject(new Error("no idea")) };
  const error = await assertRejects(() => OpenLabeler.open(plugin, {}, context), UserError);
  assertEquals([error.kind, error.what], ["plugin", 'Labeler "fuzzy:gpt" threw: no idea']);
});
