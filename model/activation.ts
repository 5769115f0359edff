/**
 * Adapters that act from a sequence of tokens on, as PEFT's "activated LoRA" does: what stands before is read by the
 * frozen model, so its keys and values are those with which the model answered.
 */
import { UserError } from "../core/errors.ts";
import { dataError } from "../core/files.ts";
import type { LoraOptions, LossTerm, TrainingExample } from "../core/types.ts";

/** Where an adapter begins to act: at the last place at which its tokens stand. Nothing if they do not. */
export function activationStart(
  tokens: readonly number[],
  invocation: readonly number[],
): number | undefined {
  for (let start = tokens.length - invocation.length; start >= 0; start--) {
    if (invocation.every((token, index) => tokens[start + index] === token)) return start;
  }
  return undefined;
}

/**
 * Refuses an adapter that does not act on all tokens.
 *
 * @param use what needs one that does
 * @throws {UserError} of kind `data`
 */
export function checkActsThroughout(use: string, options: LoraOptions | undefined): void {
  if (!options?.invocationTokens) return;
  throw dataError(
    `${use} needs an adapter that acts on all tokens; this one acts from its invocation tokens on`,
    'adapter_config.json of the adapter, "alora_invocation_tokens"',
    "use an adapter that another method trained, such as lora-prompt",
  );
}

/** A sequence of tokens, cut where the adapter begins to act. */
export interface ActivatedPath {
  /** Tokens that the frozen model reads. */
  readonly frozen: readonly number[];
  /** Tokens that are read with the adapter; at least one. */
  readonly active: readonly number[];
}

/** A branch of an example with the prefix in front of it. */
export interface ActivatedBranch extends ActivatedPath {
  readonly example: { readonly id: number; readonly branch: number };
}

/** Cuts a sequence; nothing if the adapter does not act on it. */
export function cutPath(
  tokens: readonly number[],
  invocation: readonly number[],
): ActivatedPath | undefined {
  const start = activationStart(tokens, invocation);
  return start === undefined ? undefined : { frozen: tokens.slice(0, start), active: tokens.slice(start) };
}

/**
 * Cuts the branches of examples. What is left of the examples is what the adapter acts on.
 *
 * @throws {UserError} where a loss could not move the adapter: a divergence, as the model's answers cannot change, or
 * one that reads tokens before those with which it is activated
 */
export function cutExamples(
  examples: readonly TrainingExample[],
  invocation: readonly number[],
): { readonly branches: readonly ActivatedBranch[]; readonly examples: readonly TrainingExample[] } {
  const cut = examples.map(({ id, prefix, branches, losses }) => {
    const paths = branches.map((branch, index): ActivatedBranch => {
      const path = cutPath([...prefix, ...branch], invocation);
      if (!path) throw misuse("A branch does not have the tokens that activate the adapter");
      // Branches are counted from 1 in dropout, as 0 is the prefix.
      return { ...path, example: { id, branch: index + 1 } };
    });
    const rest: TrainingExample = {
      id,
      prefix: [],
      branches: paths.map(({ active }) => active),
      losses: losses.map((loss) => shifted(loss, paths[loss.branch].frozen.length)),
    };
    return { paths, rest };
  });
  return { branches: cut.flatMap(({ paths }) => paths), examples: cut.map(({ rest }) => rest) };
}

/** A loss as it reads what is left behind the first `count` tokens. */
function shifted(loss: LossTerm, count: number): LossTerm {
  if (loss.kind === "choice") return loss;
  if (loss.kind === "divergence") throw misuse("A divergence is always 0 where the answers cannot change");
  if (loss.first < count) throw misuse("A class loss reads tokens on which the adapter does not act");
  return { ...loss, first: loss.first - count, end: loss.end - count };
}

function misuse(what: string): UserError {
  return new UserError({
    kind: "internal",
    what,
    where: "training example for an adapter with invocation tokens",
    fix: "read the tokens with which it is activated, or those behind them",
  });
}
