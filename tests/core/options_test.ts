import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { checkOptions, flagName, resolveOptions } from "../../core/options.ts";
import type { Metric } from "../../core/types.ts";

interface SampleOptions {
  readonly bins: number;
  readonly strict: boolean;
  readonly mode: string;
  readonly layers: readonly string[];
}

const sample: Metric<SampleOptions> = {
  kind: "metric",
  name: "acme/sample",
  version: 1,
  description: "A metric with one option of each type",
  better: "lower",
  defaults: { bins: 10, strict: false, mode: "fast", layers: ["q", "v"] },
  compute: () => 0,
};

const refuse = (given: Record<string, unknown>) =>
  assertThrows(() => resolveOptions(sample, given), UserError);

Deno.test("flagName() writes camel case as words joined by dashes", () => {
  assertEquals(flagName("loraRank"), "lora-rank");
  assertEquals(flagName("lr"), "lr");
});

Deno.test("resolveOptions() gives the defaults where nothing is given, and leaves the defaults alone", () => {
  const options = resolveOptions(sample, {});
  assertEquals(options, sample.defaults);
  resolveOptions(sample, { bins: 3 });
  assertEquals(sample.defaults.bins, 10);
});

Deno.test("resolveOptions() lets what is given override its default only", () => {
  assertEquals(resolveOptions(sample, { strict: true }), { ...sample.defaults, strict: true });
});

for (
  const { key, text, value } of [
    { key: "bins", text: "15", value: 15 },
    { key: "bins", text: "1e-4", value: 1e-4 },
    { key: "strict", text: "true", value: true },
    { key: "strict", text: "false", value: false },
    { key: "mode", text: "7", value: "7" },
    { key: "mode", text: "", value: "" },
    { key: "layers", text: "k, o", value: ["k", "o"] },
    { key: "layers", text: "k", value: ["k"] },
    { key: "layers", text: "k,", value: ["k"] },
    { key: "layers", text: "", value: [] },
  ]
) {
  Deno.test(`resolveOptions() reads "${text}" for ${key} as ${JSON.stringify(value)}`, () => {
    assertEquals(resolveOptions(sample, { [key]: text }), { ...sample.defaults, [key]: value });
  });
}

for (
  const { key, value, wanted } of [
    { key: "bins", value: "ten", wanted: "give a number, as in 10" },
    { key: "bins", value: "", wanted: "give a number, as in 10" },
    { key: "bins", value: "Infinity", wanted: "give a number, as in 10" },
    { key: "bins", value: NaN, wanted: "give a number, as in 10" },
    { key: "bins", value: true, wanted: "give a number, as in 10" },
    { key: "strict", value: "yes", wanted: "give a boolean, as in false" },
    { key: "strict", value: 1, wanted: "give a boolean, as in false" },
    { key: "mode", value: 7, wanted: 'give a text, as in "fast"' },
    { key: "layers", value: 7, wanted: 'give a comma-separated list, as in ["q","v"]' },
  ]
) {
  Deno.test(`resolveOptions() refuses ${JSON.stringify(value)} for ${key}`, () => {
    const { kind, what, where, fix } = refuse({ [key]: value });
    assertEquals({ kind, what, where, fix }, {
      kind: "usage",
      what: `Option "${key}" is ${JSON.stringify(value)}`,
      where: 'options of metric "acme/sample"',
      fix: wanted,
    });
  });
}

Deno.test("resolveOptions() refuses an unknown option with the nearest one", () => {
  const { kind, what, fix } = refuse({ bin: 3 });
  assertEquals([kind, what, fix], ["usage", 'Unknown option "bin"', 'did you mean "bins"?']);
});

Deno.test("resolveOptions() refuses names that every object has", () => {
  assertEquals(refuse({ constructor: 1 }).what, 'Unknown option "constructor"');
});

Deno.test("resolveOptions() says so where a plugin has no options", () => {
  const plain: Metric = { ...sample, defaults: {}, compute: () => 0 };
  const { fix } = assertThrows(() => resolveOptions(plain, { bins: 3 }), UserError);
  assertEquals(fix, "it has no options");
});

Deno.test("checkOptions() names the first value that will not do", () => {
  const plugin = { kind: "labeler", name: "acme/l" } as const;
  const check = () => checkOptions(plugin, { a: 1, b: 2 }, [["a", true, "x"], ["b", false, "y"]]);
  const error = assertThrows(check, UserError, 'Option "b" is 2');
  assertEquals([error.where, error.fix], ['options of labeler "acme/l"', "give y"]);
});
