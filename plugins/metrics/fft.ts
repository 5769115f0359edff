/** In-place discrete Fourier transform of a size that is a power of two (Cooley & Tukey, 1965). */
export class Fft {
  readonly #reversed: Uint32Array;
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;

  constructor(
    /** Number of points, a power of two from 2. */
    readonly size: number,
  ) {
    const bits = Math.log2(size);
    this.#reversed = new Uint32Array(size);
    for (let i = 1; i < size; i++) this.#reversed[i] = this.#reversed[i >> 1] >> 1 | (i & 1) << (bits - 1);
    this.#cos = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos(2 * Math.PI * i / size));
    this.#sin = Float64Array.from({ length: size / 2 }, (_, i) => Math.sin(2 * Math.PI * i / size));
  }

  /** X[k] = Σ x[j] exp(−2πi jk / size). The inverse is the same with real and imaginary parts exchanged, over size. */
  transform(real: Float64Array, imaginary: Float64Array): void {
    const { size } = this, reversed = this.#reversed, cos = this.#cos, sin = this.#sin;
    for (let i = 0; i < size; i++) {
      const j = reversed[i];
      if (j <= i) continue;
      const re = real[i], im = imaginary[i];
      real[i] = real[j];
      imaginary[i] = imaginary[j];
      real[j] = re;
      imaginary[j] = im;
    }
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let i = start, twiddle = 0; i < start + half; i++, twiddle += stride) {
          const c = cos[twiddle], s = sin[twiddle], k = i + half;
          const re = real[k] * c + imaginary[k] * s, im = imaginary[k] * c - real[k] * s;
          real[k] = real[i] - re;
          imaginary[k] = imaginary[i] - im;
          real[i] += re;
          imaginary[i] += im;
        }
      }
    }
  }
}
