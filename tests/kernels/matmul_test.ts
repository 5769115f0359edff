import { matmul } from "../../kernels/matmul.ts";
import { testProduct, testProductExtras } from "./_matmul_cases.ts";

testProduct(matmul, [
  { rows: 0, columns: 16, depth: 8, why: "no rows" },
  { rows: 1, columns: 16, depth: 8, why: "one row, one pack" },
  { rows: 15, columns: 16, depth: 40, why: "one row short of a register tile" },
  { rows: 16, columns: 15, depth: 40, why: "one column short of a register tile" },
  { rows: 16, columns: 16, depth: 40, why: "exactly a register tile" },
  { rows: 17, columns: 17, depth: 40, why: "one past a register tile both ways" },
  { rows: 63, columns: 64, depth: 64, why: "one row short of a workgroup tile, whole slabs" },
  { rows: 64, columns: 63, depth: 72, why: "one column short of a workgroup tile, one pack past a slab" },
  { rows: 64, columns: 64, depth: 64, why: "exactly a workgroup tile" },
  { rows: 65, columns: 65, depth: 72, why: "one past a workgroup tile both ways" },
  { rows: 130, columns: 129, depth: 136, why: "several tiles" },
]);

testProductExtras(matmul, 19, 11);
testProductExtras(matmul, 19, 19);
