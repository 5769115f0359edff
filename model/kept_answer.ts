/** The KV cache of an answer that was just written, from which a question about it goes on. */
import type { Tensor } from "../kernels/tensor.ts";
import { type CachedSequence, packCached, type PackedBatch } from "./batch.ts";
import type { Llama } from "./llama.ts";
import { dependsOnLength } from "./rope.ts";

/** Keys and values of one sequence from row 0 on, as the frozen model has them, and room behind them. */
export class KeptAnswer {
  readonly #model: Llama;
  readonly #layers: readonly Tensor[];
  #tokens: readonly number[];

  /** @param layers `[rows, 2·K·D]` each, which it takes over */
  constructor(model: Llama, tokens: readonly number[], layers: readonly Tensor[]) {
    this.#model = model;
    this.#tokens = tokens;
    this.#layers = layers;
  }

  /**
   * Packs what has to be read of a sequence; nothing if it is not about this answer, or has no room.
   *
   * @param start where an adapter begins to act, if there is one; what stands before has been read by then
   */
  pack(tokens: readonly number[], start?: number): PackedBatch | undefined {
    const { description } = this.#model;
    // Something has to be read, for the logits behind it.
    const most = Math.min(start ?? tokens.length - 1, this.#tokens.length);
    let shared = 0;
    while (shared < most && tokens[shared] === this.#tokens[shared]) shared++;
    const fits = tokens.length <= this.#layers[0].shape[0] && !dependsOnLength(description, tokens.length);
    // With little in common it is about something else.
    if (2 * shared < most || !fits) return undefined;
    const first = start ?? shared;
    if (shared < first) {
      const batch = this.#packed(
        { tokens: tokens.slice(shared, first), cached: shared, firstSlot: 0 },
        false,
      );
      this.#model.fill(batch);
      batch.free();
    }
    // What an adapter gives is nothing to go on from.
    this.#tokens = tokens.slice(0, first);
    return this.#packed({ tokens: tokens.slice(first), cached: first, firstSlot: 0 }, start !== undefined);
  }

  /** Gives the memory back. */
  free(): void {
    this.#model.gpu.free(...this.#layers);
  }

  #packed(sequence: CachedSequence, adapted: boolean): PackedBatch {
    const { gpu, headGroup } = this.#model;
    return packCached(gpu, { sequences: [sequence], layers: this.#layers, adapted }, headGroup);
  }
}
