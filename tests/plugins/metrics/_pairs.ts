import { createRng, type Scored } from "@credence/credence";

/** Made-up answers whose confidences, in steps of 0.05, include 0, 1 and many ties. */
export function randomPairs(seed: number, count: number): Scored[] {
  const rng = createRng(seed);
  return Array.from({ length: count }, () => {
    const pCorrect = rng.integer(21) / 20;
    return { label: rng.random() < 0.3 + 0.4 * pCorrect ? 1 : 0, pCorrect };
  });
}
