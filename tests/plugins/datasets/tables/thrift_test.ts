import { assertEquals, assertThrows } from "@std/assert";
import { readStruct, writeStruct, type Written } from "../../../../plugins/datasets/tables/thrift.ts";

const read = (...bytes: readonly number[]) =>
  readStruct({ bytes: Uint8Array.from(bytes), offset: 0, end: bytes.length });

Deno.test("readStruct() gives back what writeStruct() has written", () => {
  const written: Written = { 1: 0, 2: 300, 4: 2 ** 40, 5: { 1: true, 3: false }, 9: [{ 1: 7 }, {}] };
  const fields = read(...writeStruct(written));
  assertEquals([1, 2, 4].map((field) => fields.get(field)), [0, 300, 2 ** 40]);
  assertEquals(fields.get(5), new Map([[1, true], [3, false]]));
  assertEquals(fields.get(9), [new Map([[1, 7]]), new Map()]);
});

Deno.test("readStruct() reads negative numbers, fractions, texts, lists of numbers and far fields", () => {
  const half = [...new Uint8Array(Float64Array.of(0.5).buffer)];
  // A byte, a number of 32 bits, a fraction, a text, a list of two numbers, and field 100.
  const fields = read(
    0x13,
    0xfe,
    0x15,
    0x03,
    0x17,
    ...half,
    0x18,
    2,
    104,
    105,
    0x19,
    0x25,
    4,
    1,
    0x05,
    200,
    1,
    6,
    0,
  );
  assertEquals(fields.get(1), -2);
  assertEquals(fields.get(2), -2);
  assertEquals(fields.get(3), 0.5);
  assertEquals(fields.get(4), Uint8Array.of(104, 105));
  assertEquals(fields.get(5), [2, -1]);
  assertEquals(fields.get(100), 3);
});

for (
  const [what, bytes, message] of [
    ["that ends in the middle", [0x15], "ends in the middle"],
    ["without its last byte", [0x15, 2], "ends in the middle"],
    ["with a text longer than the file", [0x18, 100, 1], "a text of 100 bytes"],
    ["with a list longer than the file", [0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 7, 1], "a list of"],
    ["with a number that never ends", [0x16, ...new Array(11).fill(0xff)], "too long"],
    ["with a value of no known type", [0x1b, 0], "unknown type 11"],
    ["of structures far too deep", new Array(100).fill(0x1c), "deep in each other"],
    ["of lists far too deep", [0x19, ...new Array(100).fill(0x19)], "deep in each other"],
  ] as const
) {
  Deno.test(`readStruct() refuses a structure ${what}`, () => {
    assertThrows(() => read(...bytes), Error, message);
  });
}
