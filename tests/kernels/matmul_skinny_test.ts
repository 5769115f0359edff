import { matmulSkinny } from "../../kernels/matmul_skinny.ts";
import { testProduct, testProductExtras } from "./_matmul_cases.ts";

testProduct(matmulSkinny, [
  { rows: 0, columns: 16, depth: 8, why: "no rows" },
  { rows: 1, columns: 15, depth: 24, why: "one row, one column and one vector short of a tile" },
  { rows: 3, columns: 16, depth: 32, why: "one row short, whole tiles" },
  { rows: 4, columns: 17, depth: 40, why: "all rows, one column and one pack past a tile" },
  {
    rows: 4,
    columns: 129,
    depth: 264,
    wide: true,
    why: "several tiles, a 16-bit or quantised pack past 32 lanes",
  },
]);
testProduct(matmulSkinny, [{ rows: 1, columns: 33, depth: 40, why: "a single row" }], { row_tile: 1 });
testProductExtras(matmulSkinny, 4, 3);
