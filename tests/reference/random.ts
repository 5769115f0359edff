/** Four unsigned 32-bit numbers. */
export type Vector4 = [number, number, number, number];

const add = (a: number, b: number) => (a + b) >>> 0;
const multiply = (a: number, b: number) => Math.imul(a, b) >>> 0;

/** pcg4d in exact 32-bit integers; Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020. */
export function random4(counter: Readonly<Vector4>): Vector4 {
  const mixed = mix(counter.map((value) => add(multiply(value, 1664525), 1013904223)) as Vector4);
  return mix(mixed.map((value) => (value ^ (value >>> 16)) >>> 0) as Vector4);
}

function mix([x, y, z, w]: Vector4): Vector4 {
  x = add(x, multiply(y, w));
  y = add(y, multiply(z, x));
  z = add(z, multiply(x, y));
  w = add(w, multiply(y, z));
  return [x, y, z, w];
}

/** {@linkcode random4} as numbers in [0, 1), multiples of 2^-24. */
export function uniform4(counter: Readonly<Vector4>): Vector4 {
  return random4(counter).map((value) => (value >>> 8) / 2 ** 24) as Vector4;
}

/** What a dropout mask depends on besides the token's counter and the column. */
export interface DropoutKey {
  readonly probability: number;
  readonly seed: number;
  readonly step: number;
  readonly site: number;
}

/** 1 where `dropout` keeps a value and 0 where it drops it, `[counters.length, width]`. */
export function dropoutMask(
  counters: ArrayLike<number>,
  width: number,
  { probability, seed, step, site }: DropoutKey,
): Float64Array {
  const threshold = Math.fround(probability);
  const mask = new Float64Array(counters.length * width);
  for (let r = 0; r < counters.length; r++) {
    const [x, ...rest] = random4([counters[r], step, site, seed]);
    for (let vector = 0; vector < width / 4; vector++) {
      const draw = uniform4([add(x, vector), ...rest]);
      for (let c = 0; c < 4; c++) mask[r * width + vector * 4 + c] = draw[c] >= threshold ? 1 : 0;
    }
  }
  return mask;
}
