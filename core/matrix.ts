/** A grid of trainings and evaluations, and the cells it stands for. */

/** Stands for what the other side of a cell has, as in an evaluation in the style that was trained on. */
export const SAME = "same";

/** The axes of one grid; its cells are their product. {@linkcode SAME} is a value where the comment says so. */
export interface MatrixAxes {
  /** Names of the methods. */
  readonly method: readonly string[];
  /** The models that judge, and are trained to. */
  readonly model: readonly string[];
  /** Datasets to train on. */
  readonly dataset: readonly string[];
  /** Datasets to evaluate on; or the same. */
  readonly "eval-dataset": readonly string[];
  /** Prompt styles of the answers to train on; or the same as evaluated. */
  readonly "train-style": readonly string[];
  /** Prompt styles of the answers to judge; or the same as trained on. */
  readonly "eval-style": readonly string[];
  /** Models whose answers are trained on; or the same as judges. */
  readonly "train-answers": readonly string[];
  /** Models whose answers are judged; or the same as judges. */
  readonly "eval-answers": readonly string[];
  /** Shares of the labelled answers to train on, in (0, 1]. */
  readonly fraction: readonly number[];
  /** Seeds of training and evaluation. */
  readonly seed: readonly number[];
}

/** Answers of one model to one dataset in one style: what is generated and labelled once. */
export interface MatrixAnswers {
  /** Name of the model that answers. */
  readonly answers: string;
  /** As users type it. */
  readonly dataset: string;
  /** Name of the prompt style. */
  readonly style: string;
}

/** What a method is trained on. */
export interface MatrixTraining extends MatrixAnswers {
  /** Share of the labelled answers, in (0, 1]. */
  readonly fraction: number;
}

/** One evaluation. */
export interface MatrixCell {
  /** Name of the method. */
  readonly method: string;
  /** Name of the model that judges. */
  readonly model: string;
  /** Of training and evaluation. */
  readonly seed: number;
  /** Absent where the method needs no training. */
  readonly training?: MatrixTraining;
  /** What is judged. */
  readonly evaluation: MatrixAnswers;
}

/**
 * The cells of a grid, each once, in the order of the axes.
 *
 * @param trains whether a method is trained; for one that is not, what it would be trained on makes no difference
 * @example Transfer between two styles
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { expandMatrix } from "@credence/credence";
 *
 * const axes = {
 *   "method": ["zero-shot", "lora-prompt"],
 *   "model": ["facts"],
 *   "dataset": ["facts"],
 *   "eval-dataset": ["same"],
 *   "train-style": ["oe", "choice"],
 *   "eval-style": ["oe", "choice"],
 *   "train-answers": ["same"],
 *   "eval-answers": ["same"],
 *   "fraction": [1],
 *   "seed": [137],
 * };
 * const cells = expandMatrix(axes, (method) => method !== "zero-shot");
 * assertEquals(cells.map(({ method }) => method === "zero-shot"), [true, true, false, false, false, false]);
 * ```
 */
export function expandMatrix(axes: MatrixAxes, trains: (method: string) => boolean): readonly MatrixCell[] {
  const cells = new Map<string, MatrixCell>();
  for (const { method, model, dataset, fraction, seed, ...rest } of product(axes)) {
    const trainStyle = rest["train-style"] === SAME ? rest["eval-style"] : rest["train-style"];
    const evalStyle = rest["eval-style"] === SAME ? rest["train-style"] : rest["eval-style"];
    const orOwn = (answers: string) => answers === SAME ? model : answers;
    const evalDataset = rest["eval-dataset"] === SAME ? dataset : rest["eval-dataset"];
    const training = { answers: orOwn(rest["train-answers"]), dataset, style: trainStyle, fraction };
    const cell: MatrixCell = {
      method,
      model,
      seed,
      ...(trains(method) ? { training } : {}),
      evaluation: { answers: orOwn(rest["eval-answers"]), dataset: evalDataset, style: evalStyle },
    };
    cells.set(JSON.stringify(cell), cell);
  }
  return [...cells.values()];
}

type Values<A> = { readonly [K in keyof A]: A[K] extends readonly (infer V)[] ? V : never };

/** Every choice of one value an axis; the last axis changes fastest. */
function product(axes: MatrixAxes): readonly Values<MatrixAxes>[] {
  let choices: readonly Record<string, string | number>[] = [{}];
  for (const [axis, values] of Object.entries(axes) as [string, readonly (string | number)[]][]) {
    choices = choices.flatMap((choice) => values.map((value) => ({ ...choice, [axis]: value })));
  }
  return choices as unknown as readonly Values<MatrixAxes>[];
}
