/** The names of the research code's evaluations, as presets over method, length of an answer and labeler. */
import { suggestion, UserError } from "../core/mod.ts";

/** What a mode stands for; flags that are given win. */
export interface Mode {
  /** Method plugin; absent: the model is asked, with the adapter if there is one. */
  readonly method?: string;
  /** Its options. */
  readonly options?: Readonly<Record<string, string>>;
  /** Tokens of an answer; absent: the prompt style's own. */
  readonly maxNewTokens?: number;
  /** Labeler; absent: that of `--strategy`. */
  readonly strategy?: string;
  /** The prompt style without which it means nothing. */
  readonly promptStyle?: string;
  /** Whether the scores that the rows hold are measured, and no model is asked. */
  readonly stored?: boolean;
  /** Whether the logits of the options are measured beside. */
  readonly answerLogits?: boolean;
}

/** Tokens that the research code lets an open-ended answer have, and a sampled or verbal one. */
const ANSWER = 100, SHORT_ANSWER = 30;

const CHOICE = { promptStyle: "choice", maxNewTokens: 1, strategy: "substring" };
const sampled: Mode = { method: "sampling", maxNewTokens: SHORT_ANSWER, promptStyle: "oe" };
const query: Mode = { maxNewTokens: ANSWER };
const open: Mode = { ...query, promptStyle: "oe" };
const choice: Mode = { ...CHOICE, answerLogits: true };
const verbal = (style: string): Mode => ({
  method: "verbalized",
  options: { style },
  maxNewTokens: SHORT_ANSWER,
});

const VERBAL_STYLES = ["1s1g", "1s2g", "1s4g", "2s1CoT", "2s1g", "2s2g", "2s4g"];

/** Modes that may be followed by the name of a labeler, as in `oe_<strategy>`. */
const WITH_STRATEGY: Readonly<Record<string, Mode>> = {
  oe: open,
  us_oe: sampled,
  ...Object.fromEntries(
    VERBAL_STYLES.map((style) => [`ve_${style}_oe`, { ...verbal(style), promptStyle: "oe" }]),
  ),
};

/** All modes by name. */
const MODES: Readonly<Record<string, Mode>> = {
  query,
  query_choice: choice,
  query_logits: { stored: true },
  class: { ...query, method: "probe" },
  class_choice: { ...CHOICE, method: "probe" },
  class_logits: { stored: true },
  vrbal: verbal("vrbal"),
  choice,
  class_oe: { ...open, method: "probe" },
  ...WITH_STRATEGY,
};

/** Names of the modes, for help and messages. */
export const MODE_NAMES: readonly string[] = Object.keys(MODES);

/**
 * What a mode stands for; without one, nothing is set.
 *
 * @throws {UserError} of kind `usage` for a name that is none, or that never worked
 */
export function chooseMode(name: string | undefined): Mode {
  if (name === undefined) return {};
  if (Object.hasOwn(MODES, name)) return MODES[name];
  const usage = (what: string, fix: string) => new UserError({ kind: "usage", what, where: "--mode", fix });
  // The longest that fits: a labeler's name may hold an underscore.
  for (const [prefix, mode] of Object.entries(WITH_STRATEGY)) {
    if (name.startsWith(`${prefix}_`)) return { ...mode, strategy: name.slice(prefix.length + 1) };
  }
  if (/^cc_oe(_|$)/.test(name)) {
    throw usage(
      `Mode "${name}", contextual calibration, never ran in the research code, and is not here`,
      "calibrate on validation rows: calibration-tune --scale-temp, or --calibrator=platt",
    );
  }
  throw usage(`Unknown mode "${name}"`, suggestion(name, MODE_NAMES));
}

/** Refuses a prompt style with which a mode means nothing. */
export function checkStyle(name: string | undefined, { promptStyle }: Mode, style: string): void {
  if (promptStyle === undefined || promptStyle === style) return;
  throw new UserError({
    kind: "usage",
    what: `Mode "${name}" is of prompt style "${promptStyle}", but the style is "${style}"`,
    where: "--mode",
    fix: `use --prompt-style=${promptStyle}, or leave --mode out and name a --method`,
  });
}
