import { assertEquals, assertThrows } from "@std/assert";
import { SPLITS, UserError } from "@credence/credence";
import { dealt, sharesIn } from "../../../plugins/datasets/table_shares.ts";

Deno.test("sharesIn() reads three percentages, and takes anything else for a column", () => {
  assertEquals(sharesIn("80/10/10"), [80, 10, 10]);
  assertEquals(sharesIn("0/0/100"), [0, 0, 100]);
  for (const column of ["fold", "80/20", "80/10/10/0", "8.5/1.5/90"]) {
    assertEquals(sharesIn(column), undefined);
  }
});

Deno.test("sharesIn() refuses percentages that do not come to 100", () => {
  const { kind, what, where } = assertThrows(() => sharesIn("70/10/10"), UserError);
  assertEquals([kind, what, where], ["usage", "The shares 70/10/10 come to 90 percent", "--fields, split"]);
});

Deno.test("dealt() deals values by the shares, each always to the same split", () => {
  const counts = { train: 0, validation: 0, test: 0 };
  for (let value = 0; value < 10_000; value++) counts[dealt(`question ${value}`, [70, 10, 20])]++;
  assertEquals(SPLITS.map((split) => Math.round(counts[split] / 100)), [70, 10, 20]);
  assertEquals(dealt("a", [70, 10, 20]), dealt("a", [70, 10, 20]));
});

Deno.test("dealt() gives nothing to a share of 0, and all to one of 100", () => {
  for (let value = 0; value < 100; value++) {
    assertEquals(dealt(value, [0, 100, 0]), "validation");
    assertEquals(dealt(value, [0, 0, 100]), "test");
  }
});
