/** `y[r] = x[index[r]]`, rows of `width` values; also what `embedding` does with a weight. */
export function gatherRows(x: ArrayLike<number>, index: ArrayLike<number>, width: number): Float64Array {
  return Float64Array.from(
    { length: index.length * width },
    (_, at) => x[index[Math.floor(at / width)] * width + at % width],
  );
}

/** `y[index[r]] += x[r]` on a copy of `y`, rows of `width` values. */
export function scatterRows(
  x: ArrayLike<number>,
  index: ArrayLike<number>,
  y: ArrayLike<number>,
  width: number,
): Float64Array {
  const sum = Float64Array.from(y);
  for (let r = 0; r < index.length; r++) {
    for (let c = 0; c < width; c++) sum[index[r] * width + c] += x[r * width + c];
  }
  return sum;
}

/** `cache[slots[r]] = source[r, sourceFirst …]` on a copy of `cache`, rows of `width` values. */
export function cacheWrite(
  source: ArrayLike<number>,
  slots: ArrayLike<number>,
  cache: ArrayLike<number>,
  { width, sourceStride, sourceFirst }: { width: number; sourceStride: number; sourceFirst: number },
): Float64Array {
  const written = Float64Array.from(cache);
  for (let r = 0; r < slots.length; r++) {
    for (let c = 0; c < width; c++) {
      written[slots[r] * width + c] = source[r * sourceStride + sourceFirst + c];
    }
  }
  return written;
}
