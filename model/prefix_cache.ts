/** Keys and values of what a frozen model reads before an adapter begins to act. */
import { UserError } from "../core/errors.ts";
import type { Tensor } from "../kernels/tensor.ts";
import type { ActivatedPath } from "./activation.ts";
import { type CachedSequence, packCached } from "./batch.ts";
import { SKINNY_ROWS } from "./linear.ts";
import type { Llama } from "./llama.ts";
import { dependsOnLength } from "./rope.ts";

/**
 * A cache that is filled with prefixes, and holds room for the tokens behind them.
 *
 * Prefixes are kept from batch to batch up to a limit of memory, as an epoch reads again what the one before it read;
 * those beyond it lie in the cache for one batch. Nothing that is computed depends on which of them are kept.
 */
export class PrefixCache {
  readonly #model: Llama;
  /** Rows that are kept at most, and rows that fit at all. */
  readonly #keepRows: number;
  readonly #mostRows: number;
  readonly #width: number;
  /** First row of each prefix that is kept, by its tokens. */
  readonly #kept = new Map<string, number>();
  #keptRows = 0;
  #layers: readonly Tensor[] = [];

  /** @param keepBytes bytes of prefixes that are kept at most, over all layers */
  constructor(model: Llama, keepBytes: number) {
    const { gpu, description: { layers, kvHeads, headDim } } = model;
    this.#model = model;
    this.#width = 2 * kvHeads * headDim;
    this.#mostRows = Math.floor(gpu.adapter.maxBindingBytes / (4 * this.#width));
    // The other half is for what is not kept.
    this.#keepRows = Math.min(Math.floor(keepBytes / (4 * this.#width * layers)), this.#mostRows >> 1);
  }

  /**
   * Has the frozen model read what stands before the adapter's tokens, where that is not known.
   *
   * @returns the cache, and for each path the tokens the adapter acts on as a sequence that goes on in it; until the
   * next call
   */
  prepare<P extends ActivatedPath>(
    paths: readonly P[],
  ): { readonly layers: readonly Tensor[]; readonly sequences: readonly (P & CachedSequence)[] } {
    const { description } = this.#model;
    const keyOf = ({ frozen, active }: P) => {
      const length = frozen.length + active.length;
      // Where angles depend on the length of the whole, so do the keys.
      return `${frozen}${dependsOnLength(description, length) ? ` of ${length}` : ""}`;
    };
    const slots = new Map<string, number>(), unknown: CachedSequence[] = [];
    let end = this.#keptRows;
    for (const path of paths) {
      const { frozen: tokens, active } = path, key = keyOf(path);
      if (slots.has(key)) continue;
      const known = this.#kept.get(key);
      slots.set(key, known ?? end);
      if (known !== undefined || tokens.length === 0) continue;
      unknown.push({ tokens, cached: 0, firstSlot: end, length: tokens.length + active.length });
      end += tokens.length;
      // Those that are kept lie in front of those that are not.
      if (end > this.#keepRows || end - tokens.length > this.#keptRows) continue;
      this.#kept.set(key, end - tokens.length);
      this.#keptRows = end;
    }
    const sequences = paths.map((path) => {
      const newSlot = end;
      end += path.active.length;
      const firstSlot = slots.get(keyOf(path))!;
      return { ...path, tokens: path.active, cached: path.frozen.length, firstSlot, newSlot };
    });
    this.#reserve(end + SKINNY_ROWS);
    if (unknown.length > 0) this.#fill(unknown, end);
    return { layers: this.#layers, sequences };
  }

  /** Gives the memory back. */
  free(): void {
    this.#model.gpu.free(...this.#layers);
    this.#layers = [];
    this.#kept.clear();
    this.#keptRows = 0;
  }

  #fill(unknown: readonly CachedSequence[], end: number): void {
    const { gpu, headGroup } = this.#model;
    // A few rows would be rounded otherwise than many, and a prefix have other keys than in another batch.
    const rows = unknown.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const filler = { tokens: Array<number>(SKINNY_ROWS).fill(0), cached: 0, firstSlot: end };
    const sequences = rows > SKINNY_ROWS ? unknown : [...unknown, filler];
    const batch = packCached(
      gpu,
      { sequences, layers: this.#layers, adapted: false, outputs: [] },
      headGroup,
    );
    this.#model.fill(batch);
    batch.free();
  }

  /** Makes room for so many rows; what is kept stays where it is. */
  #reserve(rows: number): void {
    const { gpu, description } = this.#model;
    const capacity = this.#layers[0]?.shape[0] ?? 0;
    if (rows <= capacity) return;
    if (rows > this.#mostRows) {
      throw new UserError({
        kind: "adapter",
        what: `The KV cache of a batch takes ${rows} rows, but this adapter binds at most ${this.#mostRows}`,
        where: `adapter "${gpu.adapter.description}"`,
        fix: "use a smaller --batch-size",
      });
    }
    // Twice as many while more will be kept; then a little more than this batch takes, as they differ.
    const spare = rows < this.#keepRows
      ? Math.min(rows, this.#keepRows - rows)
      : Math.ceil((rows - this.#keptRows) / 4);
    const larger = Math.min(this.#mostRows, rows + spare);
    this.#layers = Array.from({ length: description.layers }, (_, layer) => {
      const tensor = gpu.tensor(`prefix cache ${layer}`, "f32", [larger, this.#width]);
      if (capacity > 0) {
        gpu.copy(this.#layers[layer], tensor);
        gpu.free(this.#layers[layer]);
      }
      return tensor;
    });
  }
}
