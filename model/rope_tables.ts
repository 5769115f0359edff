import type { TransformerDescription } from "../core/types.ts";
import type { Gpu } from "../kernels/gpu.ts";
import type { Tensor } from "../kernels/tensor.ts";
import type { PackedBatch } from "./batch.ts";
import type { Angles } from "./ops.ts";
import { dependsOnLength, type RopeFrequencies, ropeFrequencies, ropeTable } from "./rope.ts";

/** Entries of a model's table at the least, so that a few more tokens do not make a new one. */
const LEAST = 256;

/** The angles of a model's positions on the GPU: a table that all batches share, and grows with the longest. */
export class RopeTables {
  readonly #gpu: Gpu;
  readonly #description: TransformerDescription;
  /** Angles of the first positions, by position. */
  #table?: Tensor;

  constructor(gpu: Gpu, description: TransformerDescription) {
    this.#gpu = gpu;
    this.#description = description;
  }

  /** Where the angles of each row stand; a batch with a sequence whose length changes them has a table of its own. */
  of({ rowPositions, rowLengths, positions }: PackedBatch): Angles {
    if (rowLengths.some((length) => dependsOnLength(this.#description, length))) {
      return this.#byLength(rowPositions, rowLengths);
    }
    const count = rowPositions.reduce((largest, position) => Math.max(largest, position + 1), 0);
    return { table: this.#upTo(count), entries: positions };
  }

  /** Gives back what {@linkcode RopeTables.of} made for one batch alone. */
  release({ table, entries }: Angles): void {
    if (table !== this.#table) this.#gpu.free(table, entries);
  }

  /** Frees the table. */
  free(): void {
    if (this.#table) this.#gpu.free(this.#table);
  }

  #byLength(rowPositions: PackedBatch["rowPositions"], rowLengths: PackedBatch["rowLengths"]): Angles {
    const half = this.#description.headDim / 2, byLength = new Map<number, RopeFrequencies>();
    const table = ropeTable(rowPositions, half, (row) => {
      const length = rowLengths[row];
      const found = byLength.get(length) ?? ropeFrequencies(this.#description, length);
      byLength.set(length, found);
      return found;
    });
    const rows = Uint32Array.from(rowPositions.keys());
    return {
      table: this.#gpu.upload("angles", table, [rows.length, half, 2]),
      entries: this.#gpu.upload("rows", rows),
    };
  }

  /** Angles of at least so many positions; the table doubles when it is too short. */
  #upTo(positions: number): Tensor {
    if (this.#table && this.#table.shape[0] >= positions) return this.#table;
    const { contextLength, headDim } = this.#description, half = headDim / 2;
    const capacity = Math.max(positions, Math.min(contextLength, Math.max(LEAST, 2 * positions)));
    const frequencies = ropeFrequencies(this.#description);
    const table = ropeTable([...Array(capacity).keys()], half, () => frequencies);
    if (this.#table) this.#gpu.free(this.#table);
    return this.#table = this.#gpu.upload("rope", table, [capacity, half, 2]);
  }
}
