/** `z - log Σ exp z`, in f64. */
export function logSoftmax(z: ArrayLike<number>): number[] {
  const values = Array.from(z);
  const largest = Math.max(...values);
  const logTotal = Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return values.map((value) => value - largest - logTotal);
}

/** `-Σ p log p` with `p` the softmax of a row of logits, in nats. */
export function entropy(z: ArrayLike<number>): number {
  return -logSoftmax(z).reduce((sum, logp) => sum + Math.exp(logp) * logp, 0);
}

/** Nats between a row of logits and its label, the label smoothed over all classes as torch does it. */
export function crossEntropy(z: ArrayLike<number>, label: number, smoothing: number): number {
  return logSoftmax(z).reduce((loss, logp, k) => loss - wanted(k, label, smoothing, z.length) * logp, 0);
}

/** The gradient of {@linkcode crossEntropy} for the logits. */
export function crossEntropyBackward(z: ArrayLike<number>, label: number, smoothing: number): number[] {
  return logSoftmax(z).map((logp, k) => Math.exp(logp) - wanted(k, label, smoothing, z.length));
}

function wanted(k: number, label: number, smoothing: number, classes: number): number {
  return (k === label ? 1 - smoothing : 0) + smoothing / classes;
}

/** How two distributions are compared: the student's `p` with the reference's `q`. */
export type DivergenceKind = "jsd" | "forward_kl" | "reverse_kl";

/** Nats between the softmax of a row of student logits and that of a row of reference logits. */
export function divergence(
  logits: ArrayLike<number>,
  reference: ArrayLike<number>,
  kind: DivergenceKind,
): number {
  const logP = logSoftmax(logits), logQ = logSoftmax(reference);
  if (kind === "forward_kl") return kl(logQ, logP);
  if (kind === "reverse_kl") return kl(logP, logQ);
  const logM = logMean(logP, logQ);
  return kl(logP, logM) / 2 + kl(logQ, logM) / 2;
}

/** The gradient of {@linkcode divergence} for the student's logits. */
export function divergenceBackward(
  logits: ArrayLike<number>,
  reference: ArrayLike<number>,
  kind: DivergenceKind,
): number[] {
  const logP = logSoftmax(logits), logQ = logSoftmax(reference);
  if (kind === "forward_kl") return logP.map((logp, i) => Math.exp(logp) - Math.exp(logQ[i]));
  const other = kind === "jsd" ? logMean(logP, logQ) : logQ;
  const factor = kind === "jsd" ? 0.5 : 1;
  const mean = kl(logP, other);
  return logP.map((logp, i) => factor * Math.exp(logp) * (logp - other[i] - mean));
}

function kl(logA: readonly number[], logB: readonly number[]): number {
  return logA.reduce((sum, loga, i) => sum + Math.exp(loga) * (loga - logB[i]), 0);
}

/** `log((exp a + exp b) / 2)`, also where both exponentials underflow. */
function logMean(logA: readonly number[], logB: readonly number[]): number[] {
  return logA.map((a, i) => {
    const b = logB[i];
    return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))) - Math.LN2;
  });
}
