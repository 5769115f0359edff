import { expertMatmulSkinny } from "../../kernels/expert_matmul_skinny.ts";
import { COMMON_CASES, crowd, testExpertProduct } from "./_expert_matmul_cases.ts";

testExpertProduct(expertMatmulSkinny, [
  ...COMMON_CASES,
  crowd(3, 15, 24, "one slot of each expert short of a tile, one column short of a workgroup"),
  crowd(4, 16, 32, "exactly a tile, a vector for each lane"),
  crowd(5, 17, 40, "one slot past a tile, one column past a workgroup"),
  crowd(9, 64, 136, "several tiles", true),
]);

testExpertProduct(expertMatmulSkinny, [
  { tokens: 1, count: 4, perToken: 2, columns: 17, depth: 264, byToken: true, why: "one token", wide: true },
  crowd(2, 16, 40, "a tile for each slot"),
], { row_tile: 1 });
