/** Where the losses of a batch of examples read the model: pure bookkeeping, no GPU. */
import { UserError } from "../core/errors.ts";
import type { DivergenceType, TrainingExample } from "../core/types.ts";
import type { TokenGroup } from "./batch.ts";

/** Choice losses that one kernel call can serve. */
export interface ChoiceGroup {
  readonly tokens: readonly number[];
  readonly smoothing: number;
  readonly weight: number;
  /** Output rows, and the label of each. */
  readonly rows: readonly number[];
  readonly labels: readonly number[];
}

/** Divergence losses that one kernel call can serve. */
export interface DivergenceGroup {
  readonly type: DivergenceType;
  readonly weight: number;
  /** Output rows of the tuned model, and of the frozen one at the same tokens. */
  readonly rows: readonly number[];
  readonly frozenRows: readonly number[];
}

/** Class losses that one pass through the classifier can serve. */
export interface ClassGroup {
  readonly weight: number;
  /** Output rows, those of one span behind those of another. */
  readonly rows: readonly number[];
  /** How many of the rows each span has, and its label. */
  readonly spans: readonly number[];
  readonly labels: readonly number[];
}

/** What to run, which rows to keep, and which losses read them. */
export interface LossPlan {
  readonly adapted: readonly TokenGroup[];
  readonly plain: readonly TokenGroup[];
  /** Rows of the packed batch whose hidden state is wanted, adapted ones first. */
  readonly outputs: readonly number[];
  readonly choices: readonly ChoiceGroup[];
  readonly divergences: readonly DivergenceGroup[];
  readonly classes: readonly ClassGroup[];
}

interface MutableChoice extends ChoiceGroup {
  readonly rows: number[];
  readonly labels: number[];
}

interface MutableDivergence extends DivergenceGroup {
  readonly rows: number[];
  readonly frozenRows: number[];
}

interface MutableClass extends ClassGroup {
  readonly rows: number[];
  readonly spans: number[];
  readonly labels: number[];
}

/**
 * Lays examples out: first each with the adapter, all its branches behind one prefix; then, for each divergence, the
 * same tokens without the adapter, up to the last one that is read.
 */
export function planLosses(examples: readonly TrainingExample[]): LossPlan {
  const adapted = examples.map(({ id, prefix, branches }): TokenGroup => ({ id, prefix, branches }));
  const plain: TokenGroup[] = [];
  const outputs: number[] = [], plainOutputs: number[] = [];
  const choices = new Map<string, MutableChoice>(), divergences = new Map<string, MutableDivergence>();
  const classes = new Map<number, MutableClass>();
  const adaptedRows = adapted.reduce((sum, group) => sum + tokenCount(group), 0);
  let first = 0, plainFirst = adaptedRows;
  const output = (row: number): number => {
    if (outputs.includes(row)) {
      throw misuse("Two losses read the same token", "give each loss a branch of its own");
    }
    return outputs.push(row) - 1;
  };
  for (const example of examples) {
    const { prefix, branches, losses } = example;
    const starts = branches.map((_, index) =>
      branches.slice(0, index).reduce((sum, b) => sum + b.length, prefix.length)
    );
    /** Row, within the example, of a token of a path, counted from the path's start. */
    const rowOf = (branch: number, position: number) => {
      if (position < 0) throw misuse("A loss needs a token before the path's first", "read fewer tokens");
      return position < prefix.length ? position : starts[branch] + position - prefix.length;
    };
    for (const loss of losses) {
      const length = prefix.length + branches[loss.branch].length;
      if (loss.kind === "choice") {
        const { tokens, smoothing, weight, label } = loss;
        const group = choices.getOrInsertComputed(
          `${tokens} ${smoothing} ${weight}`,
          (): MutableChoice => ({ tokens, smoothing, weight, rows: [], labels: [] }),
        );
        group.rows.push(output(first + rowOf(loss.branch, length - 1)));
        group.labels.push(label);
      } else if (loss.kind === "class") {
        const { weight, label, first: from, end } = loss;
        if (!(from < end && end <= length)) {
          throw misuse(
            `A class loss reads tokens ${from} to ${end} of ${length}`,
            "name tokens of the branch",
          );
        }
        const group = classes.getOrInsertComputed(
          weight,
          (): MutableClass => ({ weight, rows: [], spans: [], labels: [] }),
        );
        for (let position = from; position < end; position++) {
          group.rows.push(output(first + rowOf(loss.branch, position)));
        }
        group.spans.push(end - from);
        group.labels.push(label);
      } else {
        const { type, weight, count } = loss;
        const group = divergences.getOrInsertComputed(
          `${type} ${weight}`,
          (): MutableDivergence => ({ type, weight, rows: [], frozenRows: [] }),
        );
        for (let position = length - count; position < length; position++) {
          // The token before predicts this one.
          group.rows.push(output(first + rowOf(loss.branch, position - 1)));
          group.frozenRows.push(plainOutputs.push(plainFirst + position - 1) - 1);
        }
        const path = [...prefix, ...branches[loss.branch]].slice(0, length - 1);
        plain.push({ id: example.id, prefix: path, branches: [] });
        plainFirst += path.length;
      }
    }
    first += tokenCount(example);
  }
  const tuned = outputs.length;
  return {
    adapted,
    plain,
    outputs: [...outputs, ...plainOutputs],
    choices: [...choices.values()],
    classes: [...classes.values()],
    divergences: [...divergences.values()].map((group) => ({
      ...group,
      frozenRows: group.frozenRows.map((row) => tuned + row),
    })),
  };
}

function misuse(what: string, fix: string): UserError {
  return new UserError({ kind: "internal", what, where: "training example", fix });
}

function tokenCount({ prefix, branches }: Pick<TokenGroup, "prefix" | "branches">): number {
  return branches.reduce((sum, branch) => sum + branch.length, prefix.length);
}
