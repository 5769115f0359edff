import { assert, assertEquals } from "@std/assert";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { builtins } from "@credence/credence";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Folders of the product, as opposed to its tests and documents. */
const PRODUCT = ["core", "kernels", "model", "plugins", "tasks", "compat", "tools", "bench"];

/** Paths, from the project's root, of all files below a folder. */
function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))]
    .flatMap(({ name, isDirectory }) => isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`])
    .sort();
}

const modulesBelow = (folder: string) => filesBelow(folder).filter((path) => path.endsWith(".ts"));

const product = [...PRODUCT.flatMap(modulesBelow), "mod.ts"];

const read = (path: string) => Deno.readTextFileSync(join(ROOT, path));

const isThere = (path: string) => {
  try {
    return Deno.statSync(join(ROOT, path)).isFile;
  } catch {
    return false;
  }
};

/** Source without comments, whose examples import and print what they like. */
function withoutComments(source: string): string {
  return source.replace(/\/\*[^]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "").replace(/\s\/\/ .*$/gm, "");
}

/** Specifiers of everything that a source imports or re-exports, at its top or on the way. */
function specifiersOf(source: string): string[] {
  const code = withoutComments(source);
  const names = String.raw`(?:type\s+)?(?:\w+\s*,\s*)?(?:\w+|\*(?:\s+as\s+\w+)?|\{[^}]*\})\s*from\s*`;
  const patterns = [
    new RegExp(String.raw`^\s*(?:import|export)\s+${names}"([^"]+)"`, "gm"),
    /^\s*import\s*"([^"]+)"/gm,
    /\bimport\(\s*"([^"]+)"/g,
  ];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map(([, specifier]) => specifier));
}

/** What a module imports: a path from the project's root, or the specifier of a package. */
function importsOf(path: string): string[] {
  return specifiersOf(read(path)).map((specifier) =>
    specifier.startsWith(".") ? normalize(join(dirname(path), specifier)).replaceAll("\\", "/") : specifier
  );
}

const violations = (paths: readonly string[], allowed: (imported: string, importer: string) => boolean) =>
  paths.flatMap((path) =>
    importsOf(path).filter((imported) => !allowed(imported, path)).map((imported) => `${path} -> ${imported}`)
  );

Deno.test("The reader of imports sees every form of them, and none in comments", () => {
  const source = `
    import a from "./a.ts";
    import type { B } from "./b.ts";
    import {
      type C,
      c,
    } from "./c.ts";
    import * as d from "./d.ts";
    import "./e.ts";
    import f, { g } from "./f.ts";
    import h from "./h.wgsl" with { type: "text" };
    export { i } from "./i.ts";
    export type { J } from "./j.ts";
    export * from "./k.ts";
    const l = await import("./l.ts");
    // import m from "./m.ts";
    /** import n from "./n.ts"; */
    const text = Array.from("./o.ts");
  `;
  assertEquals(
    specifiersOf(source).map((specifier) => specifier.slice(2, 3)).sort().join(""),
    "abcdefhijkl",
  );
});

// Who may import whom.

/** Whether a path is a file of the list, or lies in one of its folders. */
const within = (path: string, places: readonly string[]) =>
  places.some((place) => path === place || path.startsWith(`${place}/`));

interface Rule {
  readonly who: string;
  /** Files, and folders with all that is below. */
  readonly project: readonly string[];
  /** Packages, of which the platform's own `node:` are free to all but kernels. */
  readonly packages?: readonly string[];
}

const RULES: readonly Rule[] = [
  {
    who: "core",
    project: ["core"],
    packages: [
      "@huggingface/hub",
      "@std/csv",
      "@std/assert",
      "fastest-levenshtein",
      "jstat",
      "openai",
      "vega",
      "vega-lite",
    ],
  },
  { who: "kernels", project: ["kernels", "core/errors.ts"], packages: ["node:timers"] },
  {
    who: "model",
    project: ["model", "kernels", "core"],
    packages: ["@huggingface/jinja", "@huggingface/tokenizers"],
  },
  {
    who: "plugins/datasets",
    project: ["plugins/datasets", "core/mod.ts"],
    packages: ["hyparquet", "hyparquet-compressors"],
  },
  { who: "plugins/prompt_styles", project: ["plugins/prompt_styles", "core/mod.ts"] },
  { who: "plugins/labelers", project: ["plugins/labelers", "core/mod.ts"] },
  { who: "plugins/methods", project: ["plugins/methods", "core/mod.ts", "kernels/mod.ts"] },
  { who: "plugins/metrics", project: ["plugins/metrics", "core/mod.ts"] },
  { who: "plugins/models", project: ["plugins/models", "core/mod.ts"] },
  { who: "plugins/mod.ts", project: ["plugins", "core/mod.ts"] },
  {
    who: "tasks",
    project: ["tasks", "plugins/mod.ts", "model", "kernels", "core"],
    packages: ["@std/cli/parse-args"],
  },
  {
    who: "bench",
    project: ["bench", "tasks", "plugins/mod.ts", "model", "kernels", "core/mod.ts", "core/testing/mod.ts"],
    packages: ["npm:onnxruntime-web@1.30.0/webgpu"],
  },
  { who: "tools", project: [], packages: ["@std/assert", "@std/cli/parse-args", "@std/csv"] },
  { who: "compat", project: [], packages: ["csv-parse/sync", "csv-stringify/sync"] },
  { who: "mod.ts", project: ["core/mod.ts", "plugins", "model", "kernels"] },
];

for (const { who, project, packages = [] } of RULES) {
  const named = [...project, ...packages];
  Deno.test(`${who} imports only ${named.length > 0 ? named.join(", ") : "the platform"}`, () => {
    const paths = product.filter((path) => within(path, [who]));
    assert(paths.length > 0, `there is no ${who}`);
    const platform = (imported: string) => imported.startsWith("node:") && who !== "kernels";
    assertEquals(
      violations(
        paths,
        (imported) => within(imported, project) || packages.includes(imported) || platform(imported),
      ),
      [],
    );
  });
}

Deno.test("Every folder of plugins has a rule of its own", () => {
  const folders = new Set(modulesBelow("plugins").map((path) => path.split("/").slice(0, 2).join("/")));
  assertEquals([...folders].filter((folder) => !RULES.some(({ who }) => who === folder)), []);
});

Deno.test("Nothing but tasks and the benchmark, which is one too, imports tasks", () => {
  const others = product.filter((path) => !within(path, ["tasks", "bench"]));
  assertEquals(violations(others, (imported) => !within(imported, ["tasks"])), []);
});

Deno.test("Nothing of the product imports tests or documents", () => {
  assertEquals(violations(product, (imported) => !within(imported, ["tests", "docs"])), []);
});

Deno.test("Only the kit for plugin authors imports assertions", () => {
  const allowed = (imported: string, importer: string) =>
    imported !== "@std/assert" || within(importer, ["core/testing", "tools/probe.ts"]);
  assertEquals(violations(product, allowed), []);
});

Deno.test("tools/run.ts imports nothing, for it runs before anything is installed", () => {
  assertEquals(importsOf("tools/run.ts"), []);
});

for (const door of ["mod.ts", "core/mod.ts", "kernels/mod.ts", "core/testing/mod.ts"]) {
  Deno.test(`${door} only re-exports, each name written out`, () => {
    const rest = withoutComments(read(door)).replace(/^export (?:type )?\{[^}*]*\} from "[^"]+";$/gm, "")
      .trim();
    assertEquals(rest, "");
  });
}

/** Names that a module re-exports. */
const exportedBy = (path: string) =>
  [...withoutComments(read(path)).matchAll(/^export (?:type )?\{([^}]*)\}/gm)]
    .flatMap(([, names]) => names.split(",").map((name) => name.trim()).filter((name) => name !== ""));

Deno.test("mod.ts offers all that built-in plugins may import, so they have no private door", () => {
  const open = new Set(exportedBy("mod.ts"));
  assertEquals(exportedBy("core/mod.ts").filter((name) => !open.has(name)), []);
});

Deno.test("mod.ts names nothing twice", () => {
  const names = exportedBy("mod.ts");
  assertEquals(names.filter((name, index) => names.indexOf(name) !== index), []);
});

// Kernels.

/** Names of kernels: a file may hold one of several variants, as in `matmul.tiled.wgsl`. */
const kernels = new Set(
  filesBelow("kernels").filter((path) => /^kernels\/[^/]+\.wgsl$/.test(path))
    .map((path) => path.replace(/^kernels\/([^.]+)\..*$/, "$1")),
);

for (const kernel of kernels) {
  Deno.test(`The kernel ${kernel} has a binding, a test and a reference that the test compares it with`, () => {
    assert(isThere(`kernels/${kernel}.ts`), `kernels/${kernel}.ts is missing`);
    const test = `tests/kernels/${kernel}_test.ts`;
    assert(isThere(test), `${test} is missing`);
    const helpers = importsOf(test).filter((path) => /^tests\/kernels\/_/.test(path));
    const read = [test, ...helpers].flatMap(importsOf);
    assert(read.some((path) => path.startsWith("tests/reference/")), `${test} reads no reference`);
  });
}

Deno.test("A kernel's binding reads only WGSL files of its own name", () => {
  const own = (imported: string, importer: string) =>
    !imported.endsWith(".wgsl") || within(imported, ["kernels/shared"]) ||
    imported.split(".")[0] === importer.split(".")[0];
  assertEquals(violations(modulesBelow("kernels"), own), []);
});

Deno.test("The functions in kernels/shared are read by the pipeline cache only", () => {
  const allowed = (imported: string, importer: string) =>
    !within(imported, ["kernels/shared"]) || importer === "kernels/pipeline_cache.ts";
  assertEquals(violations(product, allowed), []);
});

// Plugins.

const pluginFiles = modulesBelow("plugins").filter((path) => path !== "plugins/mod.ts");

for (const path of pluginFiles) {
  Deno.test(`${path} has a test`, () => {
    // Datasets that are a page of data are tested together, against what was recorded.
    const tested = path.replace(/^plugins\/datasets\/hub\/\w+\.ts$/, "plugins/datasets/hub.ts");
    const test = `tests/${tested.replace(/\.ts$/, "_test.ts")}`;
    assert(isThere(test), `${test} is missing`);
  });
}

/** Kind and name of each row of the guide's table of built-in plugins; what stands behind a colon is left out. */
function documented(): string[] {
  const rows = read("docs/plugins.md").matchAll(/^\| *([a-z-]+) *\| *`([a-z0-9_-]+)(?::[^`]*)?` *\|/gm);
  return [...rows].map(([, kind, name]) => `${kind} ${name}`);
}

/** Built-in plugins, but for those that are another as the research code has it. */
const listed = builtins.filter(({ name }) => !name.endsWith("@seed"));

for (const { kind, name } of listed) {
  Deno.test(`docs/plugins.md has a line about the ${kind} ${name}`, () => {
    assert(documented().includes(`${kind} ${name}`), "add a row to the table of built-in plugins");
  });
}

Deno.test("docs/plugins.md lists no built-in plugin that is not there", () => {
  const known = new Set(listed.map(({ kind, name }) => `${kind} ${name}`));
  assertEquals(documented().filter((plugin) => !known.has(plugin)), []);
});

Deno.test("A built-in plugin's name has no namespace, which is for others", () => {
  assertEquals(builtins.filter(({ name }) => name.includes("/")), []);
});

// The source itself.

/** Lines of code that match a pattern, outside comments. */
const linesWith = (paths: readonly string[], pattern: RegExp) =>
  paths.flatMap((path) =>
    withoutComments(read(path)).split("\n").filter((line) => pattern.test(line)).map((line) =>
      `${path}: ${line.trim()}`
    )
  );

Deno.test("No product code uses console: what users see goes through tasks/_io.ts", () => {
  assertEquals(linesWith(product, /\bconsole\s*\./), []);
});

Deno.test("Only tasks, and the tool that starts them, write to the terminal", () => {
  const others = product.filter((path) => !within(path, ["tasks", "tools/run.ts"]));
  assertEquals(linesWith(others, /\bDeno\.std(out|err)\b/), []);
});

Deno.test("No product code uses Math.random or crypto's: randomness is an argument", () => {
  assertEquals(linesWith(product, /\bMath\.random\b|\bgetRandomValues\b/), []);
});

Deno.test("Only tasks and tools end the process or read its arguments", () => {
  const others = product.filter((path) => !within(path, ["tasks", "tools"]));
  assertEquals(linesWith(others, /\bDeno\.(exit|args)\b/), []);
});

const LINES = 400;

/** Files that may be longer, with the reason. */
const LONGER: Readonly<Record<string, string>> = {
  "model/llama.ts": "the forward and backward pass of the whole model, to be read in one go",
};

Deno.test(`No product file has more than ${LINES} lines, but for those with a reason`, () => {
  const shaders = filesBelow("kernels").filter((path) => path.endsWith(".wgsl"));
  const long = [...product, ...shaders].filter((path) => read(path).trimEnd().split("\n").length > LINES);
  assertEquals(long.filter((path) => !(path in LONGER)), []);
  assertEquals(Object.keys(LONGER).filter((path) => !long.includes(path)), [], "no longer needs its reason");
});
