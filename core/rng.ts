/**
 * Seeded random numbers, splittable by name: NumPy's `default_rng`, bit for bit.
 *
 * The research code draws its few-shot examples with `numpy.random.default_rng(seed + i).permutation(n)`, so the same
 * generator serves here for everything. Algorithms: PCG64 XSL-RR (O'Neill, HMC-CS-2014-0905), seeded by NumPy's
 * SeedSequence (NEP 19; M. E. O'Neill, "Developing a seed_seq Alternative"), bounded integers by masked rejection.
 */

/** A random generator. The same seed and the same calls give the same numbers everywhere. */
export interface Rng {
  /** A number in [0, 1), in steps of 2^-53. */
  random(): number;
  /** A whole number in [0, below). */
  integer(below: number): number;
  /** A whole number in [0, below), as NumPy's `integers` and `choice` draw it; `integer` is what its shuffles draw. */
  pick(below: number): number;
  /** The numbers 0 … count − 1 in random order. */
  permutation(count: number): number[];
  /** An independent generator; the same name always gives the same one, however much was drawn here. */
  split(name: string): Rng;
}

/**
 * A generator for a seed.
 *
 * @param seed a whole number from 0, or several
 * @example The order does not depend on what other parts of a run draw
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { createRng } from "@credence/credence";
 *
 * const run = createRng(137);
 * const shuffle = run.split("shuffle");
 * run.random();
 * assertEquals(shuffle.permutation(5), createRng(137).split("shuffle").permutation(5));
 * ```
 */
export function createRng(seed: number | readonly number[]): Rng {
  return new Pcg64(typeof seed === "number" ? [seed] : seed);
}

/** 0x2360ed051fc65da44385df649fccf645, PCG's multiplier, as 32-bit limbs from the lowest. */
const M0 = 0x9fccf645, M1 = 0x4385df64, M2 = 0x1fc65da4, M3 = 0x2360ed05;

class Pcg64 implements Rng {
  readonly #seed: readonly number[];
  /** 128-bit numbers as 32-bit limbs from the lowest. */
  readonly #state = new Uint32Array(4);
  readonly #increment = new Uint32Array(4);
  #high = 0;
  #low = 0;
  #spare: number | undefined;

  constructor(seed: readonly number[]) {
    this.#seed = seed;
    // SeedSequence gives 64-bit words; the first of each pair is the upper half.
    const words = seedWords(seed.flatMap(wordsOf), 8);
    const state = [words[2], words[3], words[0], words[1]];
    const sequence = [words[6], words[7], words[4], words[5]];
    for (let limb = 3; limb >= 0; limb--) {
      this.#increment[limb] = (sequence[limb] << 1) | (limb > 0 ? sequence[limb - 1] >>> 31 : 1);
    }
    this.#step();
    add(this.#state, state);
    this.#step();
  }

  random(): number {
    this.#next();
    return (this.#high * 2 ** 21 + (this.#low >>> 11)) * 2 ** -53;
  }

  integer(below: number): number {
    if (!Number.isInteger(below) || below < 1 || below >= 2 ** 32) {
      throw new RangeError(`integer(below) needs a whole number from 1 to 2^32 - 1, got ${below}`);
    }
    if (below === 1) return 0;
    const mask = 0xffffffff >>> Math.clz32(below - 1);
    while (true) {
      const draw = this.#next32() & mask;
      if (draw >>> 0 < below) return draw >>> 0;
    }
  }

  /** Lemire, "Fast Random Integer Generation in an Interval", ACM TOMACS 29(1), 2019. */
  pick(below: number): number {
    if (!Number.isInteger(below) || below < 1 || below >= 2 ** 32) {
      throw new RangeError(`pick(below) needs a whole number from 1 to 2^32 - 1, got ${below}`);
    }
    if (below === 1) return 0;
    const threshold = (2 ** 32 - below) % below;
    while (true) {
      const draw = this.#next32(), low = Math.imul(draw, below) >>> 0;
      if (low >= threshold) return multiplyHigh(draw, below);
    }
  }

  permutation(count: number): number[] {
    const order: number[] = [];
    for (let index = 0; index < count; index++) order.push(index);
    for (let index = count - 1; index > 0; index--) {
      const other = this.integer(index + 1), moved = order[index];
      order[index] = order[other];
      order[other] = moved;
    }
    return order;
  }

  split(name: string): Rng {
    return new Pcg64([...this.#seed, hashName(name)]);
  }

  #next32(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    this.#next();
    this.#spare = this.#high;
    return this.#low;
  }

  /** Draws 64 bits into `#high` and `#low`. */
  #next(): void {
    this.#step();
    const state = this.#state;
    const low = state[0] ^ state[2], high = state[1] ^ state[3];
    const rotation = state[3] >>> 26, shift = rotation & 31;
    const first = rotation & 32 ? high : low, second = rotation & 32 ? low : high;
    this.#low = (shift === 0 ? first : first >>> shift | second << (32 - shift)) >>> 0;
    this.#high = (shift === 0 ? second : second >>> shift | first << (32 - shift)) >>> 0;
  }

  /** state = state * multiplier + increment, modulo 2^128; written out, because all that is drawn waits for it. */
  #step(): void {
    const state = this.#state, increment = this.#increment;
    const s0 = state[0], s1 = state[1], s2 = state[2], s3 = state[3];
    const r0 = multiplyLow(s0, M0) + increment[0];
    const r1 = multiplyLow(s0, M1) + multiplyLow(s1, M0) + multiplyHigh(s0, M0) + increment[1] +
      Math.floor(r0 / 2 ** 32);
    const r2 = multiplyLow(s0, M2) + multiplyLow(s1, M1) + multiplyLow(s2, M0) +
      multiplyHigh(s0, M1) + multiplyHigh(s1, M0) + increment[2] + Math.floor(r1 / 2 ** 32);
    const r3 = multiplyLow(s0, M3) + multiplyLow(s1, M2) + multiplyLow(s2, M1) + multiplyLow(s3, M0) +
      multiplyHigh(s0, M2) + multiplyHigh(s1, M1) + multiplyHigh(s2, M0) + increment[3] +
      Math.floor(r2 / 2 ** 32);
    state[0] = r0;
    state[1] = r1;
    state[2] = r2;
    state[3] = r3;
  }
}

/** Lower 32 bits of the product of two 32-bit numbers. */
function multiplyLow(a: number, b: number): number {
  return Math.imul(a, b) >>> 0;
}

/** Upper 32 bits of the product of two 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const low = aLow * bLow, middle1 = aHigh * bLow, middle2 = aLow * bHigh;
  const carry = (low >>> 16) + (middle1 & 0xffff) + (middle2 & 0xffff);
  return aHigh * bHigh + (middle1 >>> 16) + (middle2 >>> 16) + (carry >>> 16);
}

function add(target: Uint32Array, addend: readonly number[]): void {
  let carry = 0;
  for (let limb = 0; limb < 4; limb++) {
    const sum = target[limb] + addend[limb] + carry;
    target[limb] = sum;
    carry = sum >= 2 ** 32 ? 1 : 0;
  }
}

/** A whole number as 32-bit words from the lowest. */
function wordsOf(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`a seed is a whole number from 0 to 2^53 - 1, got ${value}`);
  }
  return value < 2 ** 32 ? [value] : [value >>> 0, Math.floor(value / 2 ** 32)];
}

/** NumPy's SeedSequence: mixes entropy into a pool of four words and draws `count` words from it. */
function seedWords(entropy: readonly number[], count: number): number[] {
  const size = 4;
  const pool = new Uint32Array(size);
  let hashConstant = 0x43b0d7e5;
  const hash = (value: number) => {
    value ^= hashConstant;
    hashConstant = Math.imul(hashConstant, 0x931e8875);
    value = Math.imul(value, hashConstant);
    return (value ^ value >>> 16) >>> 0;
  };
  const mix = (x: number, y: number) => {
    const value = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
    return (value ^ value >>> 16) >>> 0;
  };
  for (let i = 0; i < size; i++) pool[i] = hash(entropy[i] ?? 0);
  for (let source = 0; source < size; source++) {
    for (let target = 0; target < size; target++) {
      if (source !== target) pool[target] = mix(pool[target], hash(pool[source]));
    }
  }
  for (const word of entropy.slice(size)) {
    for (let target = 0; target < size; target++) pool[target] = mix(pool[target], hash(word));
  }
  let outputConstant = 0x8b51f9dd;
  return Array.from({ length: count }, (_, index) => {
    let value = pool[index % size] ^ outputConstant;
    outputConstant = Math.imul(outputConstant, 0x58f38ded);
    value = Math.imul(value, outputConstant);
    return (value ^ value >>> 16) >>> 0;
  });
}

/** FNV-1a over UTF-16 units: enough to keep the few names of a run apart. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}
