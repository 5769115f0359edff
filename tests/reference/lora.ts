/** `out[i, j] = Σ_r wide[r, wideFirst + i] narrow[r, narrowFirst + j]`, `[wide, narrow]`, in f64. */
export function loraGradient(
  wideRows: ArrayLike<number>,
  narrowRows: ArrayLike<number>,
  { rows, wide, wideStride, wideFirst, narrow, narrowStride, narrowFirst }: {
    rows: number;
    wide: number;
    wideStride: number;
    wideFirst: number;
    narrow: number;
    narrowStride: number;
    narrowFirst: number;
  },
): Float64Array {
  const out = new Float64Array(wide * narrow);
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < wide; i++) {
      for (let j = 0; j < narrow; j++) {
        out[i * narrow + j] += wideRows[r * wideStride + wideFirst + i] *
          narrowRows[r * narrowStride + narrowFirst + j];
      }
    }
  }
  return out;
}
