import { assertEquals, assertRejects } from "@std/assert";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { builtins, type PluginKind, Registry, UserError } from "@credence/credence";

const FOLDER = fileURLToPath(new URL("./acme", import.meta.url));

const NAMES: readonly (readonly [PluginKind, string])[] = [
  ["dataset", "acme/colours"],
  ["prompt-style", "acme/quiz"],
  ["labeler", "acme/exact-match"],
  ["method", "acme/first-word"],
  ["metric", "acme/sharpness"],
  ["model", "acme/llama"],
];

function withBuiltins(): Registry {
  const registry = new Registry();
  for (const plugin of builtins) registry.add(plugin, "built-in");
  return registry;
}

/** Works with another current folder. */
async function within<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const before = Deno.cwd();
  Deno.chdir(folder);
  try {
    return await work();
  } finally {
    Deno.chdir(before);
  }
}

Deno.test("Registry.load() adds a stranger's plugin of each kind beside the built-in ones", async () => {
  const registry = withBuiltins(), specifier = `${FOLDER}/mod.ts`;
  const loaded = await registry.load(specifier);
  assertEquals(loaded.map(({ kind, name }) => [kind, name]), NAMES.map((pair) => [...pair]));
  for (const [kind, name] of NAMES) assertEquals(registry.get(kind, name).origin, specifier);
});

Deno.test("Registry.load() finds a relative path from the user's current folder", async () => {
  const specifier = `./${basename(FOLDER)}/mod.ts`;
  await within(dirname(FOLDER), async () => {
    const registry = withBuiltins();
    assertEquals((await registry.load(specifier)).length, NAMES.length);
    assertEquals(registry.get("metric", "acme/sharpness").origin, specifier);
  });
  await within(FOLDER, async () => {
    assertEquals((await withBuiltins().load("mod.ts")).length, NAMES.length);
    await assertRejects(() => withBuiltins().load(specifier), UserError, "Cannot load the plugin module");
  });
});

Deno.test("Registry.load() refuses to add one package twice, naming both modules", async () => {
  const registry = withBuiltins();
  await registry.load(`${FOLDER}/mod.ts`);
  const url = new URL("./acme/mod.ts", import.meta.url).href;
  await assertRejects(
    () => registry.load(url),
    UserError,
    `one from ${FOLDER}/mod.ts, one from ${url}`,
  );
});

Deno.test("A stranger's package imports nothing but the public door and its own modules", async () => {
  const allowed = /^(@credence\/credence(\/testing)?|\.\/[a-z_]+\.ts)$/;
  let modules = 0;
  for await (const { name } of Deno.readDir(FOLDER)) {
    const source = await Deno.readTextFile(`${FOLDER}/${name}`);
    const specifiers = [...source.matchAll(/\bfrom "([^"]+)"/g)].map(([, specifier]) => specifier);
    assertEquals(specifiers.filter((specifier) => !allowed.test(specifier)), [], name);
    modules++;
  }
  assertEquals(modules, NAMES.length + 2);
});
