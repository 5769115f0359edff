import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UserError } from "../../core/mod.ts";
import { defaultsOf, defineFlags, describeFlags, parseFlags, peekFlag, wrap } from "../../tasks/_flags.ts";

const FLAGS = defineFlags({
  "dataset": { type: "string", help: "what to read", required: true },
  "prompt-style": { type: "string", help: "how questions are worded" },
  "lr": { type: "number", help: "learning rate", default: 1e-4 },
  "limit": { type: "number", help: "rows at most", least: 1 },
  "scale-temp": { type: "boolean", help: "fit a temperature" },
  "plugin": { type: "string", help: "module to load", repeatable: true },
});

function parse(...args: string[]) {
  return parseFlags("deno task x", FLAGS, ["--dataset=facts", ...args]).values;
}

function refusal(...args: string[]): UserError {
  return assertThrows(() => parse(...args), UserError);
}

Deno.test("parseFlags() reads --flag=value", () => {
  assertEquals(parse("--prompt-style=oe")["prompt-style"], "oe");
});

Deno.test("parseFlags() reads --flag value", () => {
  assertEquals(parse("--prompt-style", "oe")["prompt-style"], "oe");
});

Deno.test("parseFlags() keeps an equals sign within a value", () => {
  assertEquals(parse("--prompt-style=a=b")["prompt-style"], "a=b");
});

Deno.test("parseFlags() keeps a value of two dashes behind an equals sign", () => {
  assertEquals(parse("--prompt-style=--oe")["prompt-style"], "--oe");
});

Deno.test("parseFlags() takes the last of two values", () => {
  assertEquals(parse("--limit=1", "--limit=2").limit, 2);
});

Deno.test("parseFlags() collects the values of a repeatable flag in order", () => {
  assertEquals(parse("--plugin=./a.ts", "--plugin", "./b.ts").plugin, ["./a.ts", "./b.ts"]);
});

Deno.test("parseFlags() gives an empty list for a repeatable flag that is not given", () => {
  assertEquals(parse().plugin, []);
});

Deno.test("parseFlags() gives the default of a flag that is not given", () => {
  assertEquals(parse().lr, 1e-4);
});

Deno.test("parseFlags() gives undefined for a flag without a default that is not given", () => {
  assertEquals(parse().limit, undefined);
});

Deno.test("parseFlags() reads numbers in scientific notation", () => {
  assertEquals(parse("--lr=2e-3").lr, 0.002);
});

Deno.test("parseFlags() reads a negative number behind a space", () => {
  assertEquals(parse("--lr", "-0.5").lr, -0.5);
});

Deno.test.each([
  { args: [], expected: false },
  { args: ["--scale-temp"], expected: true },
  { args: ["--scale-temp=true"], expected: true },
  { args: ["--scale-temp=false"], expected: false },
  { args: ["--no-scale-temp"], expected: false },
  { args: ["--scale-temp", "--no-scale-temp"], expected: false },
])("parseFlags() reads the switch of $args as $expected", ({ args, expected }) => {
  assertEquals(parse(...args)["scale-temp"], expected);
});

Deno.test("parseFlags() does not take what follows a switch as its value", () => {
  assertStringIncludes(refusal("--scale-temp", "oe").message, 'Unexpected argument "oe"');
});

Deno.test.each([
  {
    args: ["--prompt-stlye=oe"],
    what: 'Unknown flag "--prompt-stlye"',
    fix: 'did you mean "--prompt-style"?',
  },
  {
    args: ["--int8=True"],
    what: 'Unknown flag "--int8"',
    fix: "give --dtype=int8; without it the weights stay as they are stored",
  },
  {
    args: ["--no-use-dataset-cache"],
    what: 'Unknown flag "--no-use-dataset-cache"',
    fix: "leave it out; what was downloaded, answered and computed is always used again",
  },
  { args: ["--limits", "5"], what: 'Unknown flag "--limits"', fix: 'did you mean "--limit"?' },
  { args: ["--jsn"], what: 'Unknown flag "--jsn"', fix: 'did you mean "--json"?' },
  { args: ["--no-limit"], what: 'Unknown flag "--no-limit"', fix: 'did you mean "--limit"?' },
  { args: ["--constructor=1"], what: 'Unknown flag "--constructor"', fix: "use one of --dataset, --help" },
  { args: ["-x"], what: 'Unknown flag "-x"', fix: "use one of --dataset, --help" },
  { args: ["oe"], what: 'Unexpected argument "oe"', fix: "give values as --flag=value" },
  { args: ["--prompt-style"], what: "--prompt-style has no value", fix: "give it as --prompt-style=<text>" },
  { args: ["--prompt-style="], what: "--prompt-style has no value", fix: "give it as --prompt-style=<text>" },
  { args: ["--plugin="], what: "--plugin has no value", fix: "give it as --plugin=<text>" },
  { args: ["--limit", "--lr=1"], what: "--limit has no value", fix: "give it as --limit=<n>" },
  { args: ["--lr=abc"], what: '--lr is "abc"', fix: "give a number" },
  { args: ["--lr=1e999"], what: '--lr is "1e999"', fix: "give a number" },
  { args: ["--lr= "], what: '--lr is " "', fix: "give a number" },
  { args: ["--limit=0"], what: '--limit is "0"', fix: "give a whole number from 1" },
  { args: ["--limit=1.5"], what: '--limit is "1.5"', fix: "give a whole number from 1" },
  { args: ["--limit=1", "--limit=-3"], what: '--limit is "-3"', fix: "give a whole number from 1" },
  { args: ["--scale-temp=yes"], what: '--scale-temp is "yes"', fix: "give --scale-temp or --no-scale-temp" },
])("parseFlags() refuses $args", ({ args, what, fix }) => {
  const error = refusal(...args);
  assertEquals(error.what, what);
  assertStringIncludes(error.fix, fix);
});

Deno.test("parseFlags() names the command in a refusal, of kind usage", () => {
  const { kind, where } = refusal("--nope");
  assertEquals({ kind, where }, { kind: "usage", where: "deno task x" });
});

Deno.test("parseFlags() takes the smallest whole number that is allowed", () => {
  assertEquals(parse("--limit=1").limit, 1);
});

Deno.test("parseFlags() refuses a command line without a required flag", () => {
  const error = assertThrows(() => parseFlags("deno task x", FLAGS, []), UserError);
  assertEquals([error.what, error.fix], ["--dataset is missing", "give --dataset=<text>: what to read"]);
});

Deno.test("parseFlags() gives those extra flags that were given", () => {
  const extra = defineFlags({
    "rank": { type: "number", help: "", default: 8 },
    "alpha": { type: "number", help: "", default: 32 },
  });
  assertEquals(parseFlags("x", FLAGS, ["--dataset=a", "--rank=4"], extra).extra, { rank: 4 });
});

Deno.test("peekFlag() finds all values of one flag among flags it does not know", () => {
  const args = ["--unknown", "--plugin=a", "--other=1", "--plugin", "b"];
  assertEquals(peekFlag(args, "plugin"), ["a", "b"]);
});

Deno.test("peekFlag() leaves a flag without a value to parseFlags()", () => {
  assertEquals(peekFlag(["--plugin", "--limit=1"], "plugin"), []);
});

Deno.test("defaultsOf() gives what parseFlags() gives when nothing is given", () => {
  const { dataset: _, ...parsed } = parse();
  const { dataset: __, ...defaults } = defaultsOf(FLAGS);
  assertEquals(defaults, parsed);
});

Deno.test("describeFlags() shows a line for each flag, with its default", () => {
  assertStringIncludes(describeFlags(FLAGS), "  --lr=<n>               learning rate (0.0001)\n");
});

Deno.test("describeFlags() puts a plugin's options under its name, behind the flags of every task", () => {
  const rank = { type: "number", help: "rank", default: 8, optionOf: "lora-prompt" } as const;
  const text = describeFlags({ rank, ...FLAGS });
  assertEquals(text.slice(text.indexOf("  --json")).split("\n"), [
    "  --json                 print the result as one line of JSON on stdout",
    "  --help                 show this",
    "",
    "Options of lora-prompt:",
    "  --rank=<n>  rank (8)",
  ]);
});

Deno.test("describeFlags() does not say of a switch that it is off", () => {
  const text = describeFlags({ "query-chat": { type: "boolean", help: "as a chat", default: false } });
  assertStringIncludes(text, "as a chat\n");
});

Deno.test("parseFlags() reads switches as Python writes them", () => {
  for (const [text, value] of [["True", true], ["False", false], ["true", true]] as const) {
    const args = ["--dataset=facts", `--scale-temp=${text}`];
    assertEquals(parseFlags("deno task x", FLAGS, args).values["scale-temp"], value);
  }
});

Deno.test("describeFlags() marks required flags", () => {
  assertStringIncludes(describeFlags(FLAGS), "what to read (required)");
});

Deno.test("describeFlags() breaks a help text that is too wide under its beginning", () => {
  const flags = defineFlags({ "x": { type: "boolean", help: "one two three four five six" } });
  assertEquals(
    describeFlags(flags, 24).split("\n").slice(0, 2),
    ["  --x     one two three", "          four five six"],
  );
});

Deno.test("wrap() fills a line to its last column", () => {
  assertEquals(wrap("ab cd ef", 5), ["ab cd", "ef"]);
});

Deno.test("wrap() leaves a word that is wider than a line whole", () => {
  assertEquals(wrap("a bcdefg h", 4), ["a", "bcdefg", "h"]);
});
