import type { Metric, Tally } from "../../core/mod.ts";
import { Fft } from "./fft.ts";

/** Kernels narrower than this are no improvement on the noise of the confidences: the search ends here. */
const NARROWEST = 0.001;
/** Halvings of the search for the width. */
const HALVINGS = 10;
/** Points at which the smoothed residual is looked at, at least. */
const MESH = 200;
/** Grid on which all but the narrowest kernels are applied: 1001 points, mirrored half of it to either side. */
const GRID = 1001, MARGIN = 500, PADDED = 2048;

/**
 * Smooth calibration error (smECE; Błasiok & Nakkiran, ICLR 2024), `smECE` of the package relplot: mean size of the
 * residual label − P(correct) after smoothing with a Gaussian that is reflected at 0 and 1, with the width at which
 * width and error are the same. No bins, so no edges. Unitless, in [0, 1].
 */
export const smece: Metric = {
  kind: "metric",
  name: "smece",
  version: 1,
  description: "Smooth calibration error of P(correct): kernel instead of bins (relplot's smECE)",
  better: "lower",
  defaults: {},
  compute(tally) {
    const errorAt = smoother(tally);
    let low = 0, high = 1, error: number | undefined;
    for (let halving = 0; halving < HALVINGS; halving++) {
      const width = (low + high) / 2;
      const found = width < NARROWEST ? Infinity : errorAt(width);
      if (width < found) low = width;
      else [high, error] = [width, found];
    }
    return error ?? errorAt(high);
  },
};

/** Smoothed error by the kernel's width. */
function smoother(tally: Tally): (width: number) => number {
  let spectrum: { real: Float64Array; imaginary: Float64Array } | undefined;
  return (width) => {
    // relplot's grid is finer where the kernel is narrower.
    const points = Math.floor(Math.max(2000, Math.round(20 / width)) / 2) + 1;
    if (points > GRID) return meanError(width, convolve(onGrid(tally, points), width));
    spectrum ??= spectrumOf(onGrid(tally, GRID));
    return meanError(width, filter(spectrum, width));
  };
}

/** Residuals and answers at the points of a grid over [0, 1]; what lies between two points is shared by them. */
interface Grid {
  readonly residual: Float64Array;
  readonly answers: Float64Array;
}

function onGrid({ pCorrect, correct, wrong }: Tally, points: number): Grid {
  const residual = new Float64Array(points), answers = new Float64Array(points);
  for (let i = 0; i < pCorrect.length; i++) {
    const place = pCorrect[i] * (points - 1), left = Math.min(points - 2, Math.floor(place));
    const share = place - left, all = correct[i] + wrong[i], rest = all * pCorrect[i] - correct[i];
    residual[left] += (1 - share) * rest;
    residual[left + 1] += share * rest;
    answers[left] += (1 - share) * all;
    answers[left + 1] += share * all;
  }
  return { residual, answers };
}

/** Mean size of the smoothed residual over the mesh, weighed by the density of the answers. */
function meanError(width: number, { residual, answers }: Grid): number {
  const mesh = Math.max(MESH, Math.round(10 / width)), cells = residual.length - 1;
  let error = 0, density = 0;
  for (let i = 0; i < mesh; i++) {
    const place = i / (mesh - 1) * cells, left = Math.min(cells - 1, Math.floor(place)), share = place - left;
    error += Math.abs(residual[left] * (1 - share) + residual[left + 1] * share);
    // relplot's guard against an empty place.
    density += answers[left] * (1 - share) + answers[left + 1] * share + 0.0001;
  }
  return error / density;
}

const kernel = (distance: number, width: number) =>
  Math.exp(-distance * distance / (2 * width * width)) / (Math.sqrt(2 * Math.PI) * width);

const fft = new Fft(PADDED);
const filters = new Map<number, Float64Array>();

/** Transform of a mirrored grid: residuals as the real part, answers as the imaginary one, as both get one kernel. */
function spectrumOf({ residual, answers }: Grid): { real: Float64Array; imaginary: Float64Array } {
  const real = new Float64Array(PADDED), imaginary = new Float64Array(PADDED);
  for (let i = -MARGIN; i < GRID + MARGIN; i++) {
    const source = mirrored(i, GRID);
    real[i + MARGIN] = residual[source];
    imaginary[i + MARGIN] = answers[source];
  }
  fft.transform(real, imaginary);
  return { real, imaginary };
}

/** The grid smoothed with a kernel that is cut off half the grid away. */
function filter(spectrum: { real: Float64Array; imaginary: Float64Array }, width: number): Grid {
  let factors = filters.get(width);
  if (factors === undefined) {
    factors = new Float64Array(PADDED);
    for (let i = -MARGIN; i <= MARGIN; i++) factors[(i + PADDED) % PADDED] = kernel(i / (GRID - 1), width);
    // Symmetric, so its transform is real; the size of the inverse transform is taken off here.
    fft.transform(factors, new Float64Array(PADDED));
    filters.set(width, factors = factors.map((value) => value / PADDED));
  }
  const real = new Float64Array(PADDED), imaginary = new Float64Array(PADDED);
  for (let i = 0; i < PADDED; i++) {
    real[i] = spectrum.real[i] * factors[i];
    imaginary[i] = spectrum.imaginary[i] * factors[i];
  }
  // The inverse transform: forward with real and imaginary parts exchanged.
  fft.transform(imaginary, real);
  return {
    residual: real.subarray(MARGIN, MARGIN + GRID),
    answers: imaginary.subarray(MARGIN, MARGIN + GRID),
  };
}

/** The same for kernels so narrow that a sum over their neighbourhood is quicker, on their finer grids. */
function convolve({ residual, answers }: Grid, width: number): Grid {
  const points = residual.length, middle = Math.floor(points / 2);
  const smoothed: Grid = { residual: new Float64Array(points), answers: new Float64Array(points) };
  // Nine and a half widths away, a Gaussian is below 1e-19 of its height.
  const reach = Math.min(middle, Math.ceil(9.5 * width * (points - 1)) + 1);
  for (let step = -reach; step <= Math.min(reach, points - 1 - middle); step++) {
    // On a grid of even size relplot's kernel is half a step off its middle.
    const weight = kernel((middle + step) / (points - 1) - 0.5, width);
    for (let i = 0; i < points; i++) {
      const source = mirrored(i - step, points);
      smoothed.residual[i] += weight * residual[source];
      smoothed.answers[i] += weight * answers[source];
    }
  }
  return smoothed;
}

/** The point of a grid that one beyond its ends is the mirror image of. */
function mirrored(index: number, points: number): number {
  return index < 0 ? -index : index >= points ? 2 * (points - 1) - index : index;
}
