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

Deno.test("Rng.split() does not disturb the generator it is split from", () => {
  const rng = createRng(137), other = createRng(137);
  rng.split("a").permutation(100);
  assertEquals(rng.permutation(100), other.permutation(100));
});

Deno.test("Rng.split() streams are not correlated with each other, nor with the one they come from", () => {
  const count = 4096, rng = createRng(137);
  const draws = (stream: { random(): number }) => Array.from({ length: count }, () => stream.random() - 0.5);
  const streams = [
    draws(rng.split("a")),
    draws(rng.split("b")),
    draws(createRng(138).split("a")),
    draws(rng),
  ];
  streams.forEach((one, index) =>
    streams.slice(0, index).forEach((other) => {
      const correlation = 12 * one.reduce((sum, value, at) => sum + value * other[at], 0) / count;
      assert(Math.abs(correlation) < 4 / Math.sqrt(count), `correlation ${correlation}`);
    })
  );
});

Deno.test("createRng() gives other streams for other seeds, and for several seeds in another order", () => {
  const first = [0, 1, 2 ** 32, 2 ** 53 - 1, [0, 1, 2], [1, 0, 2]].map((seed) => createRng(seed).random());
  assertEquals(new Set(first).size, first.length);
});

Deno.test("Rng.random() lies in [0, 1), with mean and variance of the uniform distribution", () => {
  const rng = createRng(5), draws = Array.from({ length: 20000 }, () => rng.random());
  assert(draws.every((draw) => draw >= 0 && draw < 1));
  const mean = draws.reduce((sum, draw) => sum + draw) / draws.length;
  const variance = draws.reduce((sum, draw) => sum + (draw - 0.5) ** 2, 0) / draws.length;
  // Four standard deviations: of the mean sqrt(1/12), of the square sqrt(1/180), over sqrt(n).
  assert(Math.abs(mean - 1 / 2) < 4 * Math.sqrt(1 / 12 / draws.length), `mean ${mean}`);
  assert(Math.abs(variance - 1 / 12) < 4 * Math.sqrt(1 / 180 / draws.length), `variance ${variance}`);
});

Deno.test("Rng.integer(1) is 0 and draws nothing, as NumPy's", () => {
  const rng = createRng(1), other = createRng(1);
  assertEquals(rng.integer(1), 0);
  assertEquals(rng.random(), other.random());
});

Deno.test("Rng.permutation() holds every number once, and is empty for none", () => {
  assertEquals(
    createRng(3).permutation(1000).toSorted((a, b) => a - b),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  assertEquals(createRng(3).permutation(0), []);
});

Deno.test("pick() draws as NumPy's choice does, and random() as its coin", () => {
  assertEquals(recorded.draws.length, 32);
  for (const { seed, choice_of_0_2_3: choice, binomial_1_half: coin } of recorded.draws) {
    assertEquals([0, 2, 3][createRng(seed).pick(3)], choice);
    assertEquals(createRng(seed).random() > 0.5 ? 1 : 0, coin);
  }
});

Deno.test("pick() gives every number below its limit about equally often, and refuses a limit below 1", () => {
  const rng = createRng(7), counts = [0, 0, 0];
  for (let index = 0; index < 3000; index++) counts[rng.pick(3)]++;
  assert(counts.every((count) => Math.abs(count - 1000) < 4 * Math.sqrt(3000 * 2 / 9)), `${counts}`);
  assertEquals(rng.pick(1), 0);
  for (const below of [0, -1, 1.5, 2 ** 32, NaN]) {
    assertThrows(() => rng.pick(below), RangeError, "pick(below)");
  }
});
