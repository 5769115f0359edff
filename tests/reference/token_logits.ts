import { matmul, matmulBackward } from "./matmul.ts";
import { gatherRows } from "./rows.ts";

/** `logits[r, j] = Σ_c x[r, c] weight[ids[j], c]`: the head's product, for a few of its rows. */
export function tokenLogits(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  ids: ArrayLike<number>,
  { rows, width }: { rows: number; width: number },
): Float64Array {
  return matmul(x, gatherRows(weight, ids, width), { rows, columns: ids.length, depth: width });
}

/** `dx[r, c] = Σ_j dlogits[r, j] weight[ids[j], c]`: the gradient of {@linkcode tokenLogits} for `x`. */
export function tokenLogitsBackward(
  dlogits: ArrayLike<number>,
  weight: ArrayLike<number>,
  ids: ArrayLike<number>,
  { rows, width }: { rows: number; width: number },
): Float64Array {
  return matmulBackward(dlogits, gatherRows(weight, ids, width), { rows, columns: ids.length, depth: width });
}
