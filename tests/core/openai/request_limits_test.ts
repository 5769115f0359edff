import { assertEquals, assertThrows } from "@std/assert";
import {
  fuzzy,
  local,
  numeric,
  openai,
  type Plugin,
  resolveOptions,
  tokenF1,
  UserError,
} from "@credence/credence";

const REQUESTS = {
  concurrency: [0, -1, 1.5],
  timeout: [0, -1, 1e7],
  priceInput: [-1],
  priceOutput: [-1],
  maxCost: [-1],
};

/** Values with which work would hang, or labels be without meaning. */
const REFUSED: readonly (readonly [Plugin, Readonly<Record<string, readonly number[]>>])[] = [
  [fuzzy, { ...REQUESTS, maxTokens: [-1, 0.5] }],
  [openai, REQUESTS],
  [local, { threshold: [0, 1, 2], undecided: [-0.1, 1], gradeBatch: [0, 2.5] }],
  [numeric, { tolerance: [-1e-6] }],
  [tokenF1, { threshold: [0, -1, 1.1] }],
] as (readonly [Plugin, Readonly<Record<string, readonly number[]>>])[];

for (const [plugin, options] of REFUSED) {
  for (const [key, values] of Object.entries(options)) {
    Deno.test(`${plugin.name} refuses ${key} ${values.join(", ")} before anything is asked`, () => {
      for (const value of values) {
        const error = assertThrows(() => resolveOptions(plugin, { [key]: value }), UserError);
        assertEquals(
          [error.kind, error.what, error.where],
          ["usage", `Option "${key}" is ${value}`, `options of ${plugin.kind} "${plugin.name}"`],
        );
      }
    });
  }
}
