import { assertEquals } from "@std/assert";
import { OPENAI_URL } from "../../../core/mod.ts";
import { costOf, dollars, priceOf } from "../../../core/openai/prices.ts";

Deno.test("priceOf() knows a model, and its dated versions, at OpenAI's own endpoint only", () => {
  const price = priceOf(OPENAI_URL, "gpt-4o-mini")!;
  assertEquals([price.input, price.output], [0.15, 0.6]);
  assertEquals(priceOf(OPENAI_URL, "gpt-4o-mini-2024-07-18"), price);
  assertEquals(priceOf(OPENAI_URL, "gpt-3.5-turbo-1106")?.input, 1);
  assertEquals(priceOf(OPENAI_URL, "gpt-4o-audio"), undefined);
  assertEquals(priceOf("http://localhost:8080/v1", "gpt-4o-mini"), undefined);
});

Deno.test("costOf() is in dollars for prices of a million tokens", () => {
  assertEquals(costOf({ input: 2, output: 8 }, 1_000_000, 500_000), 6);
});

for (
  const [amount, text] of [[0, "$0.0000"], [0.00423, "$0.0042"], [0.1, "$0.10"], [12.345, "$12.35"]] as const
) {
  Deno.test(`dollars() writes ${amount} as ${text}`, () => assertEquals(dollars(amount), text));
}
