import { assertAlmostEquals } from "@std/assert";
import { createRng } from "@credence/credence";
import { Fft } from "../../../plugins/metrics/fft.ts";

for (const size of [2, 4, 64, 256]) {
  Deno.test(`Fft of ${size} points is the sum that defines it`, () => {
    const rng = createRng(size);
    const numbers = () => Float64Array.from({ length: size }, () => rng.random() - 0.5);
    const real = numbers(), imaginary = numbers();
    const [re, im] = [real.slice(), imaginary.slice()];
    new Fft(size).transform(re, im);
    for (let k = 0; k < size; k++) {
      let expectedRe = 0, expectedIm = 0;
      for (let j = 0; j < size; j++) {
        const angle = -2 * Math.PI * j * k / size, c = Math.cos(angle), s = Math.sin(angle);
        expectedRe += real[j] * c - imaginary[j] * s;
        expectedIm += real[j] * s + imaginary[j] * c;
      }
      assertAlmostEquals(re[k], expectedRe, 1e-11);
      assertAlmostEquals(im[k], expectedIm, 1e-11);
    }
  });
}
