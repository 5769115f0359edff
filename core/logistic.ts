/** Logistic regression of a few features, to the last bits: what Platt's and beta calibration are made of. */

/** A fitted regression: the log-odds are `intercept + Σ weights · features`. */
export interface Logistic {
  readonly weights: readonly number[];
  readonly intercept: number;
}

/** Newton steps at most; a dozen are usual, and separable rows take some fifty. */
const STEPS = 200;

/**
 * The regression of least cross-entropy, plus `ridge / 2` times the squared weights. The sum is convex, and Newton's
 * method with halved steps goes down until nothing changes.
 *
 * @param features one list a row, all of one length
 * @param targets probabilities that each row is to be given, in [0, 1]
 */
export function fitLogistic(
  features: readonly (readonly number[])[],
  targets: readonly number[],
  ridge = 0,
): Logistic {
  const size = features[0].length + 1;
  const rows = features.map((values) => [...values, 1]);
  const penalty = (index: number) => index < size - 1 ? ridge : 0;
  const loss = (point: readonly number[]) =>
    rows.reduce(
      (sum, row, index) => {
        const z = dot(row, point);
        return sum + softplus(z) - targets[index] * z;
      },
      point.reduce((sum, value, index) => sum + penalty(index) * value * value / 2, 0),
    );
  let point = Array<number>(size).fill(0), lowest = loss(point);
  for (let step = 0; step < STEPS; step++) {
    const slope = point.map((value, index) => penalty(index) * value);
    const curvature = slope.map((_, index) => slope.map((_, other) => index === other ? penalty(index) : 0));
    rows.forEach((row, index) => {
      const p = sigmoid(dot(row, point)), weight = p * (1 - p);
      for (let a = 0; a < size; a++) {
        slope[a] += (p - targets[index]) * row[a];
        for (let b = 0; b < size; b++) curvature[a][b] += weight * row[a] * row[b];
      }
    });
    const direction = solve(curvature, slope);
    let moved = false;
    for (let share = 1; share > 1e-12 && !moved; share /= 2) {
      const next = point.map((value, index) => value - share * direction[index]);
      const value = loss(next);
      if (!(value < lowest)) continue;
      [point, lowest, moved] = [next, value, true];
    }
    if (!moved) break;
  }
  return { weights: point.slice(0, -1), intercept: point[size - 1] };
}

/** 1 / (1 + e^-z). */
export function sigmoid(z: number): number {
  return 1 / (1 + Math.exp(-z));
}

/** log(1 + e^z), without overflow on either side. */
export function softplus(z: number): number {
  return Math.max(0, z) + Math.log1p(Math.exp(-Math.abs(z)));
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index], 0);
}

/** The solution of a symmetric system by elimination; what it does not determine, as a constant feature, is 0. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, index) => [...row, right[index]]), size = rows.length;
  const scale = Math.max(...matrix.map((row, index) => Math.abs(row[index])));
  const isFree = Array<boolean>(size).fill(false);
  for (let column = 0; column < size; column++) {
    const pivot = rows[column][column];
    if (!(Math.abs(pivot) > 1e-15 * scale)) {
      isFree[column] = true;
      continue;
    }
    for (let row = 0; row < size; row++) {
      if (row === column) continue;
      const factor = rows[row][column] / pivot;
      for (let other = column; other <= size; other++) rows[row][other] -= factor * rows[column][other];
    }
  }
  return rows.map((row, index) => isFree[index] ? 0 : row[size] / row[index]);
}
