import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { relative } from "node:path";
import { UserError } from "../../core/errors.ts";
import { Registry, splitName } from "../../core/registry.ts";
import type { Metric, Plugin } from "../../core/types.ts";
import { withFolder, writeFiles } from "../plugins/_folders.ts";

function metric(name: string): Metric {
  return {
    kind: "metric",
    name,
    version: 1,
    description: "Always 0",
    better: "lower",
    defaults: {},
    compute: () => 0,
  };
}

/** Sound but for what a test takes away. */
const ROWS = { ...metric("a"), kind: "dataset", tags: ["eval"], splits: ["test"], read: () => [] };
const STYLE = { ...metric("a"), kind: "prompt-style", maxNewTokens: 1, render: () => "", cleanUp: () => "" };
const FAMILY = { ...metric("a"), kind: "model", modelTypes: ["a"], aliases: {}, describe: () => ({}) };

/** Source of a module whose default export is a metric. */
const metricSource = (name: string) =>
  `export default { kind: "metric", name: "${name}", version: 1, description: "Always 0", better: "lower",
     defaults: {}, compute: () => 0 };`;

/** What the registry says of a module with this source. */
const loadError = (source: string) =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "plugin.ts": source });
    return await assertRejects(() => new Registry().load(`${folder}/plugin.ts`), UserError);
  });

Deno.test("Registry.get() finds a plugin by kind and name, with its origin", () => {
  const registry = new Registry(), sharp = metric("acme/sharp");
  registry.add(sharp, "./sharp.ts");
  assertEquals(registry.get("metric", "acme/sharp"), { plugin: sharp, origin: "./sharp.ts" });
});

Deno.test("Registry.get() refuses an unknown name with the nearest one", () => {
  const registry = new Registry();
  for (const name of ["ece", "auroc", "accuracy"]) registry.add(metric(name), "built-in");
  const { kind, what, fix } = assertThrows(() => registry.get("metric", "acuracy"), UserError);
  assertEquals([kind, what, fix], ["usage", 'Unknown metric "acuracy"', 'did you mean "accuracy"?']);
});

Deno.test("Registry.get() does not find a plugin under another kind", () => {
  const registry = new Registry();
  registry.add(metric("ece"), "built-in");
  assertThrows(() => registry.get("labeler", "ece"), UserError, 'Unknown labeler "ece"');
});

Deno.test("Registry.list() gives the plugins of a kind in the order they were added", () => {
  const registry = new Registry();
  for (const name of ["b", "a", "c"]) registry.add(metric(name), "built-in");
  assertEquals(registry.list("metric").map(({ plugin }) => plugin.name), ["b", "a", "c"]);
  assertEquals(registry.list("dataset"), []);
});

Deno.test("Registry instances do not see each other's plugins", () => {
  const registry = new Registry();
  registry.add(metric("ece"), "built-in");
  new Registry().add(metric("ece"), "built-in");
  assertEquals(registry.list("metric").length, 1);
});

Deno.test("Registry.add() refuses a name that is taken, naming both modules", () => {
  const registry = new Registry();
  registry.add(metric("acme/sharp"), "./one.ts");
  const { kind, what } = assertThrows(() => registry.add(metric("acme/sharp"), "./two.ts"), UserError);
  assertEquals(kind, "usage");
  assertEquals(what, 'Two plugins share the name "acme/sharp": one from ./one.ts, one from ./two.ts');
  assertEquals(registry.get("metric", "acme/sharp").origin, "./one.ts");
});

Deno.test("Registry.add() lets plugins of two kinds have one name", () => {
  const registry = new Registry();
  registry.add(metric("acme/sharp"), "a");
  registry.add({ ...metric("acme/sharp"), kind: "labeler", label: () => 1 } as Plugin, "a");
  assertEquals(registry.get("labeler", "acme/sharp").plugin.name, "acme/sharp");
});

for (
  const { malformed, what } of [
    { malformed: null, what: "A plugin is of kind undefined" },
    { malformed: "ece", what: "A plugin is of kind undefined" },
    { malformed: { ...metric("a"), kind: "metrics" }, what: 'A plugin is of kind "metrics"' },
    { malformed: { ...metric("a"), kind: "constructor" }, what: 'A plugin is of kind "constructor"' },
    { malformed: { ...metric("a"), name: undefined }, what: "A metric plugin is called undefined" },
    { malformed: metric(""), what: 'A metric plugin is called ""' },
    { malformed: metric("a b"), what: 'A metric plugin is called "a b"' },
    { malformed: metric("mmlu:anatomy"), what: 'A metric plugin is called "mmlu:anatomy"' },
    { malformed: metric("a/b/c"), what: 'A metric plugin is called "a/b/c"' },
    { malformed: { ...metric("a"), version: undefined }, what: 'Plugin "a" has no version' },
    { malformed: { ...metric("a"), version: 1.5 }, what: 'The version of plugin "a" is 1.5' },
    { malformed: { ...metric("a"), version: 0 }, what: 'The version of plugin "a" is 0' },
    { malformed: { ...metric("a"), defaults: undefined }, what: 'Plugin "a" has no defaults' },
    { malformed: { ...metric("a"), defaults: null }, what: 'The defaults of plugin "a" is null' },
    {
      malformed: { ...metric("a"), defaults: { bins: { from: 0 } } },
      what: 'The defaults of plugin "a" is {"bins":{"from":0}}',
    },
    { malformed: { ...metric("a"), description: " " }, what: 'The description of plugin "a" is " "' },
    { malformed: { ...metric("a"), better: "up" }, what: 'The better of plugin "a" is "up"' },
    { malformed: { ...ROWS, tags: undefined }, what: 'Plugin "a" has no tags' },
    { malformed: { ...ROWS, tags: ["evaluate"] }, what: 'The tags of plugin "a" is ["evaluate"]' },
    { malformed: { ...ROWS, splits: ["tset"] }, what: 'The splits of plugin "a" is ["tset"]' },
    { malformed: { ...ROWS, splits: [] }, what: 'The splits of plugin "a" is []' },
    { malformed: { ...STYLE, maxNewTokens: undefined }, what: 'Plugin "a" has no maxNewTokens' },
    { malformed: { ...FAMILY, modelTypes: undefined }, what: 'Plugin "a" has no modelTypes' },
    { malformed: { ...FAMILY, aliases: [] }, what: 'The aliases of plugin "a" is []' },
    { malformed: { ...metric("a"), compute: 3 }, what: 'Plugin "a" has no function compute' },
    { malformed: { ...metric("a"), kind: "labeler" }, what: 'Plugin "a" has no function label' },
    { malformed: { ...metric("a"), kind: "model" }, what: 'Plugin "a" has no function describe' },
    { malformed: { ...metric("a"), kind: "dataset" }, what: 'Plugin "a" has no function read' },
    { malformed: { ...metric("a"), kind: "dataset", read: [] }, what: 'Plugin "a" has no function read' },
    { malformed: { ...metric("a"), kind: "method" }, what: 'Plugin "a" has no function predict' },
    {
      malformed: { ...metric("a"), kind: "prompt-style" },
      what: 'Plugin "a" has no function render, cleanUp',
    },
  ]
) {
  Deno.test(`Registry.add() refuses ${JSON.stringify(malformed)}`, () => {
    const add = () => new Registry().add(malformed as unknown as Plugin, "./odd.ts");
    const error = assertThrows(add, UserError);
    assertEquals([error.kind, error.what, error.where], ["plugin", what, "./odd.ts"]);
  });
}

Deno.test("Registry.add() takes a collection, which has expand instead of read", () => {
  const registry = new Registry();
  const collection = { ...ROWS, read: undefined, expand: () => Promise.resolve([]) };
  registry.add(collection as unknown as Plugin, "built-in");
  assertEquals(registry.list("dataset").length, 1);
});

Deno.test("Registry.load() adds the plugin of a module's default export, under the specifier given", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "plugin.ts": metricSource("acme/zero") });
    const registry = new Registry(), path = `${folder}/plugin.ts`;
    assertEquals((await registry.load(path)).map(({ name }) => name), ["acme/zero"]);
    assertEquals(registry.get("metric", "acme/zero").origin, path);
  }));

Deno.test("Registry.load() resolves a path from the current folder", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "plugin.ts": metricSource("acme/zero") });
    const registry = new Registry();
    await registry.load(relative(Deno.cwd(), `${folder}/plugin.ts`));
    assertEquals(registry.list("metric").length, 1);
  }));

Deno.test("Registry.load() adds every plugin of an array", () =>
  withFolder(async (folder) => {
    const two = `const zero = (name) => ({ kind: "metric", name, version: 1, description: "Always 0",
      better: "lower", defaults: {}, compute: () => 0 });
      export default [zero("acme/a"), zero("acme/b")];`;
    await writeFiles(folder, { "plugin.js": two });
    const registry = new Registry();
    await registry.load(`${folder}/plugin.js`);
    assertEquals(registry.list("metric").map(({ plugin }) => plugin.name), ["acme/a", "acme/b"]);
  }));

Deno.test("Registry.load() names both modules when two plugins share a name", () =>
  withFolder(async (folder) => {
    await writeFiles(folder, { "a.ts": metricSource("acme/zero"), "b.ts": metricSource("acme/zero") });
    const registry = new Registry();
    await registry.load(`${folder}/a.ts`);
    const error = await assertRejects(() => registry.load(`${folder}/b.ts`), UserError);
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.what, `${folder}/a.ts`);
    assertStringIncludes(error.what, `${folder}/b.ts`);
  }));

Deno.test("Registry.load() refuses a module without a default export", async () => {
  const { kind, what, where } = await loadError("export const x = 1;");
  assertEquals([kind, what], ["plugin", "The plugin module has no default export"]);
  assertStringIncludes(where, "--plugin ");
});

Deno.test("Registry.load() refuses a default export that is no plugin", async () => {
  const { kind, what } = await loadError("export default () => 1;");
  assertEquals([kind, what], ["plugin", "A plugin is of kind undefined"]);
});

Deno.test("Registry.load() refuses a name without a namespace, and says what to call it", async () => {
  const { kind, what, fix } = await loadError(metricSource("ece"));
  assertEquals([kind, what], ["plugin", 'The plugin name "ece" has no namespace']);
  assertEquals(fix, 'call it "<your name>/ece"');
});

Deno.test("Registry.load() passes on what a module threw, as its author's bug, whatever it says", async () => {
  const { kind, what, cause } = await loadError('throw new Error("token not found");');
  assertEquals([kind, what], ["plugin", "The plugin module threw while loading: token not found"]);
  assert(cause instanceof Error);
});

Deno.test("Registry.load() passes on a thrown value that is no error", async () => {
  assertEquals((await loadError("throw null;")).what, "The plugin module threw while loading: null");
});

Deno.test("Registry.load() refuses a module that is not there, as wrong usage", () =>
  withFolder(async (folder) => {
    const error = await assertRejects(() => new Registry().load(`${folder}/none.ts`), UserError);
    assertEquals(error.kind, "usage");
    assertStringIncludes(error.what, "Cannot load the plugin module");
    assertStringIncludes(error.what, "none.ts");
  }));

Deno.test("Registry.load() refuses a module that does not parse, and says where", async () => {
  const { kind, what, fix } = await loadError("export default {");
  assertEquals(kind, "usage");
  assertStringIncludes(what, "Cannot load the plugin module");
  assertStringIncludes(what, "plugin.ts:1:");
  assertEquals(fix, "correct the module at that place");
});

Deno.test("Registry.load() refuses a module that exports an empty list", async () => {
  const { kind, what } = await loadError("export default [];");
  assertEquals([kind, what], ["plugin", "The plugin module exports an empty list"]);
});

Deno.test("splitName() splits at the first colon", () => {
  assertEquals(splitName("mmlu:anatomy"), { name: "mmlu", argument: "anatomy" });
  assertEquals(splitName("offline:C:/runs"), { name: "offline", argument: "C:/runs" });
  assertEquals(splitName("facts"), { name: "facts", argument: "" });
  assertEquals(splitName("facts:"), { name: "facts", argument: "" });
});
