import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createRng } from "../../core/rng.ts";
import recorded from "../golden/numpy_default_rng.json" with { type: "json" };

for (const { seed, n, permutation } of recorded.permutation) {
  Deno.test(`createRng(${seed}).permutation(${n}) is numpy.random.default_rng's`, () => {
    assertEquals(createRng(seed).permutation(n).slice(0, 32), permutation);
  });
}

Deno.test("Rng.split() gives the same stream whatever was drawn before, and different streams by name", () => {
  const rng = createRng(137), other = createRng(137);
  rng.permutation(100);
  assertEquals(rng.split("a").random(), other.split("a").random());
  assertNotEquals(rng.split("a").random(), rng.split("b").random());
  assertNotEquals(rng.split("a").split("b").random(), rng.split("b").split("a").random());
});

Deno.test("Rng.integer() covers its range evenly", () => {
  const rng = createRng(1), counts = [0, 0, 0];
  for (let draw = 0; draw < 3000; draw++) counts[rng.integer(3)]++;
  // Four standard deviations of a binomial with p = 1/3.
  for (const count of counts) assert(Math.abs(count - 1000) < 4 * Math.sqrt(3000 * 2 / 9), `${counts}`);
});

Deno.test("Rng.integer() and createRng() refuse what is not a whole number", () => {
  assertThrows(() => createRng(1).integer(0), RangeError, "got 0");
  assertThrows(() => createRng(-1), RangeError, "got -1");
  assertThrows(() => createRng(0.5), RangeError, "got 0.5");
});
