import { assert, assertEquals } from "@std/assert";
import { canonical, differences } from "../../core/json.ts";

Deno.test("differences() names each value that differs by where it stands, whatever the order of the keys", () => {
  const before = { a: 1, b: { c: [1, 2], d: null, e: { f: "x" } }, g: { h: 1 } };
  const now = { g: "h", b: { e: { f: "y" }, c: [2, 1] }, a: 1, i: 2 };
  assertEquals(differences(before, now), [
    { path: "b.c", was: [1, 2], is: [2, 1] },
    { path: "b.e.f", was: "x", is: "y" },
    { path: "g", was: { h: 1 }, is: "h" },
    { path: "i", was: null, is: 2 },
  ]);
  assertEquals(differences({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }), []);
});

Deno.test("canonical() gives equal values equal text, whatever the order of their keys", () => {
  assertEquals(canonical({ b: [1, { d: null, c: "x" }], a: true }), '{"a":true,"b":[1,{"c":"x","d":null}]}');
  assertEquals(
    canonical({ a: true, b: [1, { c: "x", d: null }] }),
    canonical({ b: [1, { d: null, c: "x" }], a: true }),
  );
});

Deno.test("canonical() tells apart what differs in type or order", () => {
  const texts = [1, "1", [1], ["1"], [1, 2], [2, 1], null, "null", false, {}, []].map(canonical);
  assertEquals(new Set(texts).size, texts.length);
  assert(texts.every((text) => canonical(JSON.parse(text)) === text));
});
