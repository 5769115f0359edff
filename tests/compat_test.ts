/**
 * One contract for what this project uses of `@std/cli`, `@std/csv` and `@std/assert`, under whichever mapping is live:
 * the packages themselves (deno.json) or the modules in `compat/` (deno.npm.json).
 */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  AssertionError,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";
import { parse, stringify } from "@std/csv";
import full from "../deno.json" with { type: "json" };
import npm from "../deno.npm.json" with { type: "json" };

// parseArgs

const FLAGS = {
  string: ["name", "plugin"],
  boolean: ["json", "scale-temp"],
  collect: ["plugin"],
  negatable: ["json", "scale-temp"],
};

/** Reads flags, with all that is not declared written down and left out. */
function readFlags(args: string[]) {
  const unknown: (string | undefined)[][] = [];
  const values = parseArgs(args, {
    ...FLAGS,
    unknown: (arg: string, key?: string) => {
      unknown.push([arg, key]);
      return false;
    },
  }) as Record<string, unknown>;
  return { values, unknown };
}

const flagCases: readonly (readonly [args: string[], key: string, value: unknown, why: string])[] = [
  [["--name=facts"], "name", "facts", "behind an equals sign"],
  [["--name", "facts"], "name", "facts", "as the next argument"],
  [["--name=a=b"], "name", "a=b", "with an equals sign in it"],
  [["--name=a b\nc"], "name", "a b\nc", "with blanks and line feeds"],
  [["--name=-1"], "name", "-1", "that begins with a dash, behind an equals sign"],
  [["--name=137"], "name", "137", "that looks like a number, and stays a text"],
  [["--name=one", "--name=two"], "name", "two", "given twice: the last counts"],
  [["--name"], "name", "", "that is missing at the end"],
  [["--name", "--json"], "name", "", "that is missing in front of another flag"],
  [[], "name", undefined, "that is not given"],
  [["--plugin=a", "--plugin", "b"], "plugin", ["a", "b"], "that is collected"],
  [[], "plugin", [], "that is collected from nothing"],
  [["--json"], "json", true, "of a switch that is given"],
  [[], "json", false, "of a switch that is not given"],
  [["--json=false"], "json", false, "of a switch, behind an equals sign"],
  [["--json=true"], "json", true, "of a switch, behind an equals sign"],
  [["--json", "false"], "json", false, "of a switch, as the next argument"],
  [["--scale-temp", "true"], "scale-temp", true, "of a switch, as the next argument"],
  [["--no-json"], "json", false, "of a switch that is negated"],
  [["--no-scale-temp"], "scale-temp", false, "of a switch with a dash that is negated"],
];
for (const [args, key, value, why] of flagCases) {
  Deno.test(`parseArgs() reads [${args.join(" ")}] as ${key} = ${JSON.stringify(value)} (a value ${why})`, () => {
    const { values, unknown } = readFlags(args);
    assertEquals(values[key], value);
    assertEquals([values._, unknown], [[], []]);
  });
}

const unknownCases: readonly (readonly [args: string[], unknown: (string | undefined)[][]])[] = [
  [["stray"], [["stray", undefined]]],
  [["--modle"], [["--modle", "modle"]]],
  [["--no-name"], [["--no-name", "no-name"]]],
  [["-h"], [["-h", "h"]]],
  [["--json", "stray"], [["stray", undefined]]],
];
for (const [args, expected] of unknownCases) {
  Deno.test(`parseArgs() hands [${args.join(" ")}] to unknown()`, () => {
    const { values, unknown } = readFlags(args);
    assertEquals(unknown, expected);
    assertEquals(values._, []);
  });
}

Deno.test("parseArgs() names an unknown flag by its key when it has a value", () => {
  const { values, unknown } = readFlags(["--modle=facts"]);
  assertEquals(unknown.map(([, key]) => key), ["modle"]);
  assertEquals("modle" in values, false);
});

Deno.test("parseArgs() takes what unknown() does not refuse", () => {
  assertEquals(parseArgs(["stray"], { string: ["name"], unknown: () => true })._, ["stray"]);
});

Deno.test("parseArgs() reads nothing behind --, and asks nobody about it", () => {
  const { values, unknown } = readFlags(["--name=a", "--", "--name=b", "stray"]);
  assertEquals([values.name, values._, unknown], ["a", ["--name=b", "stray"], []]);
});

Deno.test("parseArgs() leaves its arguments as they were", () => {
  const args = ["--json", "false", "--name", "a"];
  readFlags(args);
  assertEquals(args, ["--json", "false", "--name", "a"]);
});

// csv

const csvCases: readonly (readonly [why: string, text: string, rows: string[][]])[] = [
  ["nothing", "", []],
  ["a header only", "a,b\n", [["a", "b"]]],
  ["a last line without an end", "a,b\n1,2", [["a", "b"], ["1", "2"]]],
  ["Windows line ends", "a,b\r\n1,2\r\n", [["a", "b"], ["1", "2"]]],
  ["line ends of both kinds", "a,b\r\n1,2\n3,4\r\n", [["a", "b"], ["1", "2"], ["3", "4"]]],
  ["empty lines", "a,b\n\n1,2\n\n", [["a", "b"], ["1", "2"]]],
  ["empty fields", "a,b,c\n,,\n", [["a", "b", "c"], ["", "", ""]]],
  ["blanks around fields", " a , b\n", [[" a ", " b"]]],
  ["quoted commas and quotes", '"a,b","say ""c"""\n', [["a,b", 'say "c"']]],
  ["quoted line feeds", '"a\n\nb",c\n', [["a\n\nb", "c"]]],
  ["an empty quoted field", '"",a\n', [["", "a"]]],
  ["rows of different lengths", "a,b\n1\n1,2,3\n", [["a", "b"], ["1"], ["1", "2", "3"]]],
  ["a byte order mark", "\ufeffa,b\n", [["a", "b"]]],
  ["other scripts", "naïve,東京\n", [["naïve", "東京"]]],
];
for (const [why, text, rows] of csvCases) {
  Deno.test(`csv.parse() reads ${why}`, () => assertEquals(parse(text) as string[][], rows));
}

for (
  const [why, text] of [
    ["a quote within an unquoted field", 'a,b\nc"d,e\n'],
    ["text behind a quoted field", 'a,b\n"c"d,e\n'],
    ["a quote that is never closed", 'a,b\n"c,d\n'],
  ]
) {
  Deno.test(`csv.parse() throws for ${why}`, () => {
    assertThrows(() => parse(text), Error);
  });
}

Deno.test("csv.stringify() writes a header and rows in the columns' order, with CRLF behind each", () => {
  const text = stringify([{ b: "2", a: "1", c: "left out" }, { a: 3, b: 0.25 }], { columns: ["a", "b"] });
  assertEquals(text, "a,b\r\n1,2\r\n3,0.25\r\n");
});

Deno.test("csv.stringify() writes the header when there are no rows", () => {
  assertEquals(stringify([], { columns: ["a", "b"] }), "a,b\r\n");
});

Deno.test("csv.stringify() writes nothing for a missing value", () => {
  assertEquals(
    stringify([{ a: undefined, b: null, c: "" }], { columns: ["a", "b", "c"] }),
    "a,b,c\r\n,,\r\n",
  );
});

Deno.test("csv.stringify() quotes fields with commas, quotes and line feeds, and no others", () => {
  const text = stringify([{ a: "x,y", b: 'say "z"', c: "one\ntwo" }, { a: "=1+1", b: " b ", c: "'" }], {
    columns: ["a", "b", "c"],
  });
  assertEquals(text, 'a,b,c\r\n"x,y","say ""z""","one\ntwo"\r\n=1+1, b ,\'\r\n');
});

Deno.test("csv.parse() reads back what csv.stringify() wrote", () => {
  const fields = ["", " ", "a,b", '"', '""', "a\nb", "\n", ",", "\ta", "東京", "'", "-1", "a\n\n\nb"];
  const text = stringify(fields.map((field) => ({ field, other: "x" })), { columns: ["field", "other"] });
  assertEquals((parse(text) as string[][]).slice(1).map(([field]) => field), fields);
});

// assert. Failures are caught by hand: assertThrows() is under test itself.

/** What a function throws, or `undefined`. */
function failureOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

const holds: readonly (readonly [string, () => unknown])[] = [
  ["assert(true)", () => assert(true)],
  ["assert() of a text", () => assert("text")],
  ["assertEquals() of equal objects", () => assertEquals({ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] })],
  ["assertEquals() of keys in another order", () => assertEquals({ a: 1, b: 2 }, { b: 2, a: 1 })],
  ["assertEquals() of NaN", () => assertEquals(NaN, NaN)],
  ["assertEquals() of equal sets", () => assertEquals(new Set([1, 2]), new Set([2, 1]))],
  ["assertEquals() of equal maps", () => assertEquals(new Map([["a", [1]]]), new Map([["a", [1]]]))],
  ["assertEquals() of equal typed arrays", () => assertEquals(new Uint8Array([1]), new Uint8Array([1]))],
  ["assertNotEquals() of different values", () => assertNotEquals([1], [2])],
  [
    "assertAlmostEquals() at the default distance, 1e-7 of the value",
    () => assertAlmostEquals(1 + 0.9e-7, 1),
  ],
  ["assertAlmostEquals() within its tolerance", () => assertAlmostEquals(1.5, 1, 0.5)],
  ["assertAlmostEquals() of two infinities", () => assertAlmostEquals(Infinity, Infinity)],
  ["assertAlmostEquals() of two NaN", () => assertAlmostEquals(NaN, NaN)],
  ["assertStringIncludes() of a part", () => assertStringIncludes("abc", "b")],
  ["assertMatch() of a match", () => assertMatch("abc", /^a.c$/)],
  ["assertThrows() of a throw", () => assertThrows(() => fail("a"))],
  ["assertThrows() of class and message", () => assertThrows(() => fail("abc"), RangeError, "b")],
  ["assertThrows() of a base class", () => assertThrows(() => fail("a"), Error)],
];
for (const [what, work] of holds) {
  Deno.test(`${what} holds`, () => {
    const failure = failureOf(work);
    if (failure !== undefined) throw failure;
  });
}

const fails: readonly (readonly [string, () => unknown])[] = [
  ["assert(false)", () => assert(false)],
  ["assert(0)", () => assert(0)],
  ["assertEquals() of different numbers", () => assertEquals(1, 2)],
  ["assertEquals() of a number and a text", () => assertEquals<unknown>(1, "1")],
  ["assertEquals() of a missing and an undefined key", () => assertEquals<unknown>({}, { a: undefined })],
  ["assertEquals() of lists of other lengths", () => assertEquals([1], [1, 2])],
  ["assertEquals() of different sets", () => assertEquals(new Set([1]), new Set([2]))],
  ["assertNotEquals() of equal values", () => assertNotEquals([1], [1])],
  ["assertAlmostEquals() past the default distance", () => assertAlmostEquals(1 + 1.1e-7, 1)],
  ["assertAlmostEquals() of anything but 0 and 0, by default", () => assertAlmostEquals(1e-9, 0)],
  ["assertAlmostEquals() past its tolerance", () => assertAlmostEquals(1.5, 1, 0.49)],
  ["assertAlmostEquals() of NaN and a number", () => assertAlmostEquals(NaN, 1)],
  ["assertAlmostEquals() of a number and infinity", () => assertAlmostEquals(1, Infinity)],
  ["assertStringIncludes() of what is not in it", () => assertStringIncludes("abc", "d")],
  ["assertMatch() of no match", () => assertMatch("abc", /^b/)],
  ["assertThrows() where nothing is thrown", () => assertThrows(() => {})],
  ["assertThrows() of another class", () => assertThrows(() => fail("a"), TypeError)],
  ["assertThrows() of another message", () => assertThrows(() => fail("abc"), RangeError, "d")],
];
for (const [what, work] of fails) {
  Deno.test(`${what} fails with an AssertionError`, () => {
    const failure = failureOf(work);
    if (!(failure instanceof AssertionError)) throw new Error(`it threw ${failure}`);
  });
}

Deno.test("assertEquals() shows its message when it fails", () => {
  const { message } = failureOf(() => assertEquals(1, 2, "row 7")) as Error;
  if (!message.includes("row 7")) throw new Error(message);
});

Deno.test("assertThrows() and assertRejects() give back what was thrown", async () => {
  const error = new RangeError("a");
  assert(assertThrows(() => fail(error)) === error);
  assert(await assertRejects(() => Promise.reject(error), RangeError, "a") === error);
});

const rejectFailures: readonly (readonly [string, () => PromiseLike<unknown>, string?])[] = [
  ["a promise that resolves", () => Promise.resolve()],
  ["a rejection with another message", () => Promise.reject(new Error("abc")), "d"],
  ["a function that throws at once", () => fail("a")],
];
for (const [what, work, message] of rejectFailures) {
  Deno.test(`assertRejects() fails for ${what}`, async () => {
    const failure = await assertRejects(work, Error, message).then(() => undefined, (error) => error);
    if (!(failure instanceof AssertionError)) throw new Error(`it gave ${failure}`);
  });
}

function fail(what: string | Error): never {
  throw typeof what === "string" ? new RangeError(what) : what;
}

// The two configurations.

/** Packages that only one of the configurations has, with the reason. */
const STD = ["@std/assert", "@std/cli", "@std/cli/parse-args", "@std/csv"];
const HELPERS = ["csv-parse/sync", "csv-stringify/sync"];

/** Keys of the configuration that are one's own. */
const OWN = ["tasks", "lock", "imports"];

const except = (value: Readonly<Record<string, unknown>>, keys: readonly string[]) =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));

Deno.test("deno.json and deno.npm.json agree but for tasks, lock file and imports", () => {
  assertEquals(except(npm, OWN), except(full, OWN));
});

Deno.test("deno.json and deno.npm.json import the same, but for @std and what stands in for it", () => {
  assertEquals(except(npm.imports, [...STD, ...HELPERS]), except(full.imports, STD));
});

Deno.test("deno.json takes all of @std from JSR, at exact versions", () => {
  for (const [name, specifier] of Object.entries(full.imports)) {
    if (name.startsWith("@std/")) assertMatch(specifier, new RegExp(`^jsr:${name}@\\d+\\.\\d+\\.\\d+$`));
  }
});

Deno.test("deno.npm.json needs nothing from JSR", () => {
  assertEquals(Object.values(npm.imports).filter((specifier) => specifier.startsWith("jsr:")), []);
});

Deno.test("deno.npm.json has each of its helpers at an exact version", () => {
  for (const [name, specifier] of Object.entries(npm.imports)) {
    if (specifier.startsWith("npm:")) {
      assertMatch(specifier, /^npm:(@[\w-]+\/)?[\w-]+@\d+\.\d+\.\d+(\/|$)/, name);
    }
  }
});
