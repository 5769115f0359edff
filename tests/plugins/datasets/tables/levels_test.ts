import { assertEquals, assertThrows } from "@std/assert";
import { scanDeltas, scanRuns } from "../../../../plugins/datasets/tables/levels.ts";

const cursor = (...bytes: readonly number[]) => ({
  bytes: Uint8Array.from(bytes),
  offset: 0,
  end: bytes.length,
});

Deno.test("scanRuns() counts values in runs of equal and of packed ones, and stops behind the last", () => {
  // Five times 2, then 0 to 7 in three bits each, as in the format's own example.
  const stream = cursor(10, 2, 3, 0x88, 0xc6, 0xfa, 99);
  assertEquals(scanRuns(stream, 3, 13, 2), { equal: 6, first: 2, largest: 7 });
  assertEquals(stream.offset, 6);
});

Deno.test("scanRuns() reads packed values of up to 32 bits across bytes", () => {
  const bytes = [...new Uint8Array(Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 0xffffffff).buffer)];
  assertEquals(scanRuns(cursor(3, ...bytes), 32, 8, 7), { equal: 1, first: 1, largest: 0xffffffff });
});

Deno.test("scanRuns() leaves the values that fill up the last group out", () => {
  assertEquals(scanRuns(cursor(3, 0b11111101), 1, 3, 1), { equal: 2, first: 1, largest: 1 });
});

for (
  const [what, width, count, bytes, message] of [
    ["a run of a billion values", 1, 10, [0xfe, 0xff, 0xff, 0xff, 7, 1], "a run of"],
    ["a billion packed values", 1, 10, [0xff, 0xff, 0xff, 0xff, 7, 1], "values are packed"],
    ["packed values that end too early", 8, 8, [3, 1, 2], "end too early"],
    ["runs of fewer values than there should be", 1, 10, [4, 1], "ends in the middle"],
  ] as const
) {
  Deno.test(`scanRuns() refuses ${what}`, () => {
    assertThrows(() => scanRuns(cursor(...bytes), width, count, 0), Error, message);
  });
}

Deno.test("scanDeltas() computes the numbers, and stops behind them", () => {
  // 7, 5, 3, 1, 2, 3, 4, 5: the format's second example, in one block of 8 with one part.
  const stream = cursor(8, 1, 8, 14, 3, 2, 0xc0, 0x3f, 99);
  const numbers = new Int32Array(8);
  scanDeltas(stream, 8, numbers);
  assertEquals([...numbers], [7, 5, 3, 1, 2, 3, 4, 5]);
  assertEquals(stream.offset, 8);
});

for (
  const [what, bytes, message] of [
    ["blocks in no parts", [8, 0, 8, 14], "in 0 parts"],
    ["another count of numbers", [8, 1, 9, 14], "9 numbers stand where 8 should"],
    ["numbers of 200 bits", [8, 1, 8, 14, 3, 200], "200 bits"],
    ["numbers that end too early", [8, 1, 8, 14, 3, 2, 0xc0], "too early"],
    ["as many parts as there are numbers to count", [0xff, 0xff, 0xff, 0xff, 7, 1, 8, 0], "blocks of"],
  ] as const
) {
  Deno.test(`scanDeltas() refuses ${what}`, () => {
    assertThrows(() => scanDeltas(cursor(...bytes), 8, new Int32Array(8)), Error, message);
  });
}
