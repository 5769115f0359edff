import { AssertionError } from "@std/assert";

/** How far a value may be from its reference: `|actual - expected| <= absolute + relative * |expected|`. */
export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

/** Throws unless all values are within tolerance, naming the worst one by its index in `shape`. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { absolute, relative }: Tolerance,
  shape: readonly number[] = [expected.length],
): void {
  if (actual.length !== expected.length) {
    throw new AssertionError(`Got ${actual.length} values, expected ${expected.length}`);
  }
  let differing = 0, worst = 0, worstIndex = -1;
  for (let index = 0; index < expected.length; index++) {
    const excess = Math.abs(actual[index] - expected[index]) /
      (absolute + relative * Math.abs(expected[index]));
    if (excess <= 1) continue;
    differing++;
    // NaN fails every comparison, so it counts as infinitely far off.
    const size = Number.isNaN(excess) ? Infinity : excess;
    if (size > worst) [worst, worstIndex] = [size, index];
  }
  if (differing === 0) return;
  throw new AssertionError(
    `${differing} of ${expected.length} values differ; worst at [${position(worstIndex, shape)}]: got ${
      actual[worstIndex]
    }, expected ${expected[worstIndex]}, ${
      worst.toPrecision(2)
    }x the tolerance (absolute ${absolute}, relative ${relative})`,
  );
}

function position(index: number, shape: readonly number[]): number[] {
  return shape.toReversed().reduce<[number[], number]>(
    ([axes, rest], extent) => [[rest % extent, ...axes], Math.floor(rest / extent)],
    [[], index],
  )[0];
}
