import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "@credence/credence";
import {
  ADAPTER_TRAINING,
  ADAPTER_TRAINING_HELP,
  type AdapterTrainingOptions,
  checkTrainingOptions,
} from "../../../plugins/methods/adapter_options.ts";

const REFUSED: readonly (readonly [keyof AdapterTrainingOptions, readonly unknown[]])[] = [
  ["loraRank", [0, -1, 1.5]],
  ["loraAlpha", [0, -32]],
  ["loraDropout", [-0.1, 1]],
  ["targetModules", [[]]],
  ["lr", [0, -1e-4, NaN]],
  ["warmupRatio", [-0.1, 1.1]],
  ["gradientAccumulationSteps", [0, 1.5]],
  ["maxTokenLength", [-1, 0.5]],
  ["saveSteps", [-1, 0.5]],
  ["evalSteps", [-1, 0.5]],
];

for (const [key, values] of REFUSED) {
  for (const value of values) {
    Deno.test(`checkTrainingOptions() refuses ${key} ${JSON.stringify(value)}`, () => {
      const error = assertThrows(
        () => checkTrainingOptions("acme/method", { ...ADAPTER_TRAINING, [key]: value }),
        UserError,
        `Option "${key}" is ${JSON.stringify(value)}`,
      );
      assertEquals([error.kind, error.where], ["usage", 'options of method "acme/method"']);
    });
  }
}

Deno.test("checkTrainingOptions() accepts the defaults, and the ends of each range", () => {
  checkTrainingOptions("acme/method", ADAPTER_TRAINING);
  for (const edge of [{ loraRank: 1 }, { loraDropout: 0 }, { warmupRatio: 0 }, { warmupRatio: 1 }]) {
    checkTrainingOptions("acme/method", { ...ADAPTER_TRAINING, ...edge });
  }
});

Deno.test("checkTrainingOptions() refuses what a method's own limits refuse", () => {
  const options = { ...ADAPTER_TRAINING, mine: 3 };
  const check = (holds: boolean) => checkTrainingOptions("acme/method", options, [["mine", holds, "four"]]);
  check(true);
  assertEquals(assertThrows(() => check(false), UserError).fix, "give four");
});

Deno.test("ADAPTER_TRAINING_HELP says what each option does", () => {
  assertEquals(Object.keys(ADAPTER_TRAINING_HELP).sort(), Object.keys(ADAPTER_TRAINING).sort());
});
