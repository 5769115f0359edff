import { assertEquals, assertThrows } from "@std/assert";
import { HEADS, POSITIONS, UserError } from "@credence/credence";
import { parseLayers, shapeOf, spanOf } from "../../../plugins/methods/class_features.ts";
import { CountingModel } from "./_class_rows.ts";
import { row } from "./_training.ts";

Deno.test("parseLayers() takes whole numbers of either sign, and nothing else", () => {
  assertEquals(parseLayers("probe", ["-1", "0", "12"]), [-1, 0, 12]);
  for (const text of ["", "1.5", "1e1", "last", "--1"]) {
    assertThrows(() => parseLayers("probe", [text]), UserError, JSON.stringify(text));
  }
});

Deno.test("shapeOf() counts the layers, and the research code's head is 256, 128 and 64 wide", () => {
  const model = new CountingModel();
  assertEquals(shapeOf(model, 3, "mlp"), { inputs: 12, hidden: [256, 128, 64] });
  assertEquals(shapeOf(model, 1, "linear"), { inputs: 4, hidden: HEADS.linear });
});

Deno.test("spanOf() ends where the text ends, at every position, and is never empty", () => {
  const model = new CountingModel();
  for (const position of POSITIONS) {
    for (const output of ["", "one", "one two three"]) {
      const { tokens, first, end } = spanOf(model, { ...row("train", 0, 1), output }, position);
      assertEquals([end, first < end], [tokens.length, true]);
    }
  }
});

Deno.test("spanOf() refuses a row without any text, naming it", () => {
  const empty = { ...row("train", 3, 1), context: "", targetPrompt: "", output: "" };
  assertThrows(() => spanOf(new CountingModel(), empty, "answer"), UserError, "row train/3");
});
