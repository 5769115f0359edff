import { assertEquals } from "@std/assert";
import { expertMatmul, slotTiles } from "../../kernels/expert_matmul.ts";
import { COMMON_CASES, crowd, testExpertProduct } from "./_expert_matmul_cases.ts";

testExpertProduct(expertMatmul, [
  ...COMMON_CASES,
  crowd(15, 32, 40, "one slot of each expert short of a register tile"),
  crowd(16, 31, 40, "one column short of a register tile"),
  crowd(16, 32, 40, "exactly a register tile"),
  crowd(17, 33, 40, "one past a register tile both ways"),
  crowd(63, 64, 64, "one slot short of a workgroup tile, whole slabs"),
  crowd(64, 63, 72, "one column short of a workgroup tile, one pack past a slab"),
  crowd(64, 64, 64, "exactly a workgroup tile"),
  crowd(65, 65, 72, "one past a workgroup tile both ways"),
  { tokens: 130, count: 5, perToken: 2, columns: 129, depth: 136, why: "several tiles" },
]);

for (const row_tile of [16, 32]) {
  testExpertProduct(expertMatmul, [
    crowd(row_tile - 1, 40, 40, "one slot short of a tile"),
    crowd(row_tile, 40, 40, "exactly a tile"),
    crowd(row_tile + 1, 72, 72, "one slot past a tile"),
  ], { row_tile });
}

Deno.test("slotTiles() is the most tiles that any spread of slots over experts fills", () => {
  for (let slots = 0; slots <= 9; slots++) {
    for (let experts = 1; experts <= 4; experts++) {
      for (const size of [1, 2, 4]) {
        assertEquals(
          slotTiles(slots, experts, size),
          mostTiles(slots, experts, size),
          `${[slots, experts, size]}`,
        );
      }
    }
  }
});

/** By trying all spreads. */
function mostTiles(slots: number, experts: number, size: number): number {
  if (experts === 1) return Math.ceil(slots / size);
  const own = Array.from({ length: slots + 1 }, (_, count) => count);
  return Math.max(
    ...own.map((count) => Math.ceil(count / size) + mostTiles(slots - count, experts - 1, size)),
  );
}
