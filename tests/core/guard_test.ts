import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { guarded } from "../../core/guard.ts";
import { createRng } from "../../core/rng.ts";
import { FakeModel } from "../../core/testing/fake_model.ts";
import type { Dataset, Method, Metric, PromptStyle, TrainingContext } from "../../core/types.ts";
import { all } from "../plugins/_folders.ts";
import { question } from "./_samples.ts";

const BASE = { version: 1, description: "A plugin", defaults: {} } as const;

const FAILS = new Error("no luck");

const style: PromptStyle = {
  ...BASE,
  kind: "prompt-style",
  name: "acme/style",
  maxNewTokens: 1,
  render: () => {
    throw FAILS;
  },
  cleanUp: (output) => output.trim(),
};

const dataset = (read: Dataset["read"]): Dataset => ({
  ...BASE,
  kind: "dataset",
  name: "acme/rows",
  tags: ["eval"],
  splits: ["test"],
  read,
  revision: () => Promise.reject(FAILS),
});

const method = (train: NonNullable<Method["train"]>): Method => ({
  ...BASE,
  kind: "method",
  name: "acme/method",
  train,
  async *predict() {},
});

const REQUEST = { argument: "", options: {} };

function trainingContext(signal: AbortSignal): TrainingContext {
  const progress = { update() {} }, log = () => {};
  return {
    ...{ options: {}, rng: createRng(1), batchSize: 1, maxSteps: 1, folder: "", progress, signal, log },
    warn: () => {},
  };
}

/** What is said of an error that a plugin threw. */
function assertBlamed(error: UserError, name: string, where: string): void {
  assertEquals([error.kind, error.what, error.where, error.exitCode], [
    "plugin",
    `Plugin "${name}" threw: no luck`,
    where,
    1,
  ]);
  assert(error.cause === FAILS);
}

Deno.test("guarded() says of what a function throws that it is the plugin's", () => {
  const guard = guarded(style, "./style.ts");
  assertBlamed(
    assertThrows(() => guard.render(question("a"), [], {}), UserError),
    "acme/style",
    "render() of ./style.ts",
  );
});

Deno.test("guarded() says it of promises, and of rows, also after the first", async () => {
  const guard = guarded(
    dataset(async function* () {
      yield await Promise.resolve(question("a"));
      throw FAILS;
    }),
    "./rows.ts",
  );
  const rejected = await assertRejects(() => guard.revision!(REQUEST), UserError);
  assertBlamed(rejected, "acme/rows", "revision() of ./rows.ts");
  const rows = guard.read!("test", REQUEST)[Symbol.asyncIterator]();
  assertEquals((await rows.next()).value.id, "a");
  assertBlamed(await assertRejects(() => rows.next(), UserError), "acme/rows", "read() of ./rows.ts");
});

Deno.test("guarded() says it of what should be rows and is none", async () => {
  const guard = guarded(dataset((() => 5) as unknown as Dataset["read"]), "./rows.ts");
  const error = await assertRejects(() => all(guard.read!("test", REQUEST)), UserError);
  assertEquals([error.kind, error.where], ["plugin", "read() of ./rows.ts"]);
});

Deno.test("guarded() lets pass what a function gives, and what the user can act on", () => {
  const refusal = new UserError({ kind: "data", what: "The answer is 7", where: "row 3", fix: "count" });
  const render: PromptStyle["render"] = () => {
    throw refusal;
  };
  const guard = guarded({ ...style, render }, "./style.ts");
  assertEquals(guard.cleanUp(" a ", {}), "a");
  assert(assertThrows(() => guard.render(question("a"), [], {})) === refusal);
});

Deno.test("guarded() lets pass that a run was stopped", async () => {
  const stop = new AbortController(), reason = new Error("stopped");
  const guard = guarded(
    method((_model, _rows, { signal }) => Promise.reject(signal!.reason)),
    "./method.ts",
  );
  stop.abort(reason);
  const train = () =>
    guard.train!(new FakeModel(), { train: [], validation: [] }, trainingContext(stop.signal));
  assert(await assertRejects(train) === reason);
});

Deno.test("guarded() keeps the functions of a class with their object", () => {
  class Style {
    readonly kind = "prompt-style";
    readonly name = "acme/class";
    readonly version = 1;
    readonly description = "A class";
    readonly defaults = {};
    readonly maxNewTokens = 1;
    readonly #suffix = "!";
    render(): never {
      throw FAILS;
    }
    cleanUp(output: string): string {
      return output + this.#suffix;
    }
  }
  const guard = guarded<PromptStyle>(Object.freeze(new Style()), "./class.ts");
  assertEquals([guard.name, guard.cleanUp("a", {})], ["acme/class", "a!"]);
  assert("render" in { ...guard });
});

Deno.test("guarded() gives back a metric as it is: what it throws is why it is undefined", () => {
  const metric: Metric = {
    ...BASE,
    kind: "metric",
    name: "acme/metric",
    better: "lower",
    compute: () => 0,
  };
  assert(guarded(metric, "./metric.ts") === metric);
});
