import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { specialise, type SpecialisedSource } from "../../kernels/specialise.ts";

const source = (...lines: string[]) => ({ file: "kernels/a.wgsl", text: lines.join("\n") });

/** The lines of one specialised file, trimmed, without the braces of expanded loops. */
function lines({ code }: SpecialisedSource): string[] {
  return code.split("\n").map((line) => line.trim()).filter((line) => line !== "{" && line !== "}");
}

Deno.test("specialise() replaces the default of a named constant", () => {
  const { code } = specialise([source("const rows = 8u; // a tile", "const columns = 4u;")], { rows: 16 });
  assertEquals(code, "const rows = 16u; // a tile\nconst columns = 4u;");
});

Deno.test("specialise() replaces a constant that names its type", () => {
  assertEquals(specialise([source("const rows: u32 = 8u;")], { rows: 2 }).code, "const rows: u32 = 2u;");
});

Deno.test("specialise() refuses a constant that no file has, naming both", () => {
  const error = assertThrows(
    () => specialise([source("const rows = 8u;")], { row: 16 }),
    UserError,
    'No constant named "row"',
  );
  assertEquals([error.kind, error.where], ["internal", "kernels/a.wgsl"]);
});

Deno.test("specialise() expands a marked loop once for each value", () => {
  const loop = source("for (var r = 1u; r < 4u; r++) { // @unroll", "  y[r] = row * r;", "}");
  assertEquals(lines(specialise([loop], {})), [
    "y[1u] = row * 1u;",
    "y[2u] = row * 2u;",
    "y[3u] = row * 3u;",
  ]);
});

Deno.test("specialise() gives each copy of a loop a scope of its own", () => {
  const loop = source("for (var r = 0u; r < 2u; r++) { // @unroll", "  let a = r;", "}");
  assertEquals(specialise([loop], {}).code.split("\n").map((line) => line.trim()), [
    "{",
    "let a = 0u;",
    "}",
    "{",
    "let a = 1u;",
    "}",
  ]);
});

Deno.test("specialise() drops a marked loop of no iterations", () => {
  const loop = source("a();", "for (var r = 0u; r < 0u; r++) { // @unroll", "  b();", "}", "c();");
  assertEquals(lines(specialise([loop], {})), ["a();", "c();"]);
});

Deno.test("specialise() leaves a loop that is not marked as it is", () => {
  const loop = source("for (var r = 0u; r < 2u; r++) {", "  y[r] = r;", "}");
  assertEquals(specialise([loop], {}).code, loop.text);
});

Deno.test("specialise() expands loops in loops, the inner bound made of the outer variable", () => {
  const loop = source(
    "for (var i = 0u; i < 2u; i++) { // @unroll",
    "  for (var j = i; j < i + 2u; j++) { // @unroll",
    "    if (a) { y[i] = j; }",
    "  }",
    "}",
  );
  assertEquals(
    lines(specialise([loop], {})),
    [0, 1].flatMap((i) => [i, i + 1].map((j) => `if (a) { y[${i}u] = ${j}u; }`)),
  );
});

for (
  const { bound, count } of [
    { bound: "rows", count: 6 },
    { bound: "rows / 4u", count: 1 },
    { bound: "2u * (rows - 4u) + 1u", count: 5 },
    { bound: "min(rows, lanes)", count: 3 },
    { bound: "max(rows / lanes, 1u)", count: 2 },
    { bound: "half", count: 3 },
  ]
) {
  Deno.test(`specialise() expands a loop up to ${bound} ${count} times for rows 6 and lanes 3`, () => {
    const shared = { file: "kernels/shared/lanes.wgsl", text: "const lanes = 8u;" };
    const kernel = source(
      "const rows = 4u;",
      "const half = (rows + 1u) / 2u;",
      `for (var r = 0u; r < ${bound}; r++) { // @unroll`,
      "  step();",
      "}",
    );
    const { code } = specialise([shared, kernel], { rows: 6, lanes: 3 });
    assertEquals(code.split("step();").length - 1, count);
  });
}

Deno.test("specialise() replaces the loop variable as a word only", () => {
  const loop = source("for (var r = 0u; r < 1u; r++) { // @unroll", "  row.r4[r] += r_first + r;", "}");
  assertEquals(lines(specialise([loop], {})), ["row.r4[0u] += r_first + 0u;"]);
});

Deno.test("specialise() spells out the zero of local variables", () => {
  const kernel = source(
    "fn f() {",
    "  var sum: array<vec4f, 4>;",
    "  var one: f32 = 1.0;",
    "  var two = 2.0;",
    "}",
  );
  assertEquals(lines(specialise([kernel], {})).slice(1), [
    "var sum: array<vec4f, 4> = array<vec4f, 4>();",
    "var one: f32 = 1.0;",
    "var two = 2.0;",
  ]);
});

Deno.test("specialise() leaves the variables of a module as they are", () => {
  const text = "var<workgroup> slab: array<f32, 64>;\nvar<private> own: u32;";
  assertEquals(specialise([{ file: "a.wgsl", text }], {}).code, text);
});

Deno.test("specialise() says of each line which file and line it came from", () => {
  const shared = { file: "kernels/shared/s.wgsl", text: "const lanes = 8u;" };
  const kernel = source("a();", "for (var r = 0u; r < 2u; r++) { // @unroll", "  b(r);", "}", "c();");
  const { code, origin } = specialise([shared, kernel], {});
  const of = (text: string) =>
    code.split("\n").flatMap((line, index) => line.includes(text) ? [origin[index]] : []);
  assertEquals(of("lanes"), ["kernels/shared/s.wgsl:1"]);
  assertEquals(of("b("), ["kernels/a.wgsl:3", "kernels/a.wgsl:3"]);
  assertEquals(of("c("), ["kernels/a.wgsl:5"]);
  assertEquals(origin.length, code.split("\n").length);
});

for (
  const { text, what, fix } of [
    { text: "for (var r = 0u; r < params.rows; r++) { // @unroll\n}", what: "params.rows", fix: "bounds" },
    { text: "for (var r = 0u; r < unknown; r++) { // @unroll\n}", what: "unknown", fix: "bounds" },
    { text: "for (var r = 0u; r < 3u / 0u; r++) { // @unroll\n}", what: "3u / 0u", fix: "bounds" },
    { text: "for (var r = 0u; r < (2u; r++) { // @unroll\n}", what: "(2u", fix: "bounds" },
    { text: "for (var r = 0u; r <= 4u; r++) { // @unroll\n}", what: "r <= 4u", fix: "write it as" },
    { text: "while (true) { // @unroll\n}", what: "while", fix: "write it as" },
    { text: "for (var r = 0u; r < 4u; r++) { // @unroll\n  a();", what: "r < 4u", fix: "close the loop" },
  ]
) {
  Deno.test(`specialise() refuses to expand ${JSON.stringify(text)}, with its line and what to do`, () => {
    const error = assertThrows(() => specialise([{ file: "a.wgsl", text: `\n${text}` }], {}), UserError);
    assertStringIncludes(error.what, what);
    assertEquals([error.where, error.kind], ["a.wgsl:2", "internal"]);
    assertStringIncludes(error.fix, fix);
  });
}

Deno.test("specialise() does not take a brace in a comment for the end of a loop", () => {
  const loop = source("for (var r = 0u; r < 2u; r++) { // @unroll", "  a(); // not }", "  b();", "}");
  assertEquals(lines(specialise([loop], {})), ["a(); // not }", "b();", "a(); // not }", "b();"]);
});
