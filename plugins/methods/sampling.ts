/**
 * Confidence from agreement: the model answers again, with chance, and the confidence is how far these answers say what
 * the answer says. The research code's `us_oe`, after Kuhn et al. 2023 (arXiv 2302.09664).
 */
import {
  checkOptions,
  encodePrompt,
  generateAnswers,
  type Generation,
  type Label,
  type LanguageModel,
  type Method,
  type MethodContext,
  type Prompt,
  type PromptStyle,
  promptText,
  type Score,
  UserError,
} from "../../core/mod.ts";
import { checkUntrained } from "./untrained.ts";

/** How much each sample counts. */
export const SAMPLING_CONFIDENCES = ["counting", "likelihood"] as const;

/** Options of {@linkcode sampling}; the defaults are the research code's. */
export interface SamplingOptions {
  /** Answers that are sampled for each question. */
  readonly samples: number;
  /** Divides the logits of what is drawn. */
  readonly temperature: number;
  /** Mass of the most probable tokens that are drawn from. */
  readonly topP: number;
  /** Tokens of a sampled answer at most; 0 for the prompt style's own. */
  readonly sampleTokens: number;
  /** `counting`: each sample the same; `likelihood`: by the geometric mean of its tokens' probabilities. */
  readonly confidence: typeof SAMPLING_CONFIDENCES[number];
}

/** The share of sampled answers that say the same as the answer, as the labeler decides. */
export const sampling: Method<SamplingOptions> = {
  kind: "method",
  name: "sampling",
  version: 2,
  description: "The share of sampled answers that say the same as the answer",
  defaults: { samples: 10, temperature: 1, topP: 0.95, sampleTokens: 0, confidence: "counting" },
  help: {
    samples: "answers sampled for each question",
    temperature: "divides the logits of what is drawn",
    topP: "mass of the most probable tokens drawn from",
    sampleTokens: "tokens of a sample at most; 0: the style's own",
    confidence: SAMPLING_CONFIDENCES.join(", "),
  },
  check,
  async *predict(model, rows, context) {
    check(context.options);
    await checkUntrained(sampling.name, context.checkpoint);
    const { style } = context;
    if (!style) {
      throw new UserError({
        kind: "usage",
        what: 'Method "sampling" has the model answer again, and needs the style of the prompts',
        where: "predict",
        fix: "give --prompt-style, or in a program a style in its context",
      });
    }
    const { options: { samples }, progress } = context;
    const drawn = rows.map((): Sample[] => []), scores: (Score | undefined)[] = [];
    let next = 0;
    for await (const { index, answer, meanLogprob } of sample(model, rows, style, context)) {
      const row = Math.floor(index / samples);
      drawn[row].push({ answer: answer.output, likelihood: Math.exp(meanLogprob) });
      if (drawn[row].length < samples) continue;
      scores[row] = await agreement(rows[row], drawn[row], context);
      while (scores[next] !== undefined) {
        yield scores[next++]!;
        progress.update(next, rows.length);
      }
    }
  },
};

function check(options: SamplingOptions): void {
  const { samples, temperature, topP, sampleTokens, confidence } = options;
  checkOptions(sampling, options, [
    ["samples", Number.isInteger(samples) && samples >= 1, "a whole number from 1"],
    ["temperature", temperature > 0, "a number above 0"],
    ["topP", topP > 0 && topP <= 1, "a number above 0, up to 1"],
    ["sampleTokens", Number.isInteger(sampleTokens) && sampleTokens >= 0, "a whole number from 0"],
    ["confidence", SAMPLING_CONFIDENCES.includes(confidence), `one of ${SAMPLING_CONFIDENCES.join(", ")}`],
  ]);
}

interface Sample {
  readonly answer: string;
  /** Geometric mean of its tokens' probabilities. */
  readonly likelihood: number;
}

/** All samples of the first question, of the second, and so on; they come as they are finished. */
function sample(
  model: LanguageModel,
  rows: readonly Generation[],
  style: PromptStyle,
  { options, rng, batchSize, chat }: MethodContext<SamplingOptions>,
) {
  const { samples, temperature, topP, sampleTokens } = options;
  const encoded = new Map<Prompt, readonly number[]>();
  const encode = (prompt: Prompt, limit: number) =>
    encoded.getOrInsertComputed(
      prompt,
      () => encodePrompt(model.tokenizer, prompt, { chat, limit }),
    );
  return generateAnswers(model, rows.flatMap((row) => Array<Prompt>(samples).fill(row)), style, {
    encode,
    batchSize,
    temperature,
    topP,
    maxNewTokens: sampleTokens || style.maxNewTokens,
    seed: rng.split("samples").integer(2 ** 32 - 1),
  });
}

/**
 * The share of samples that say the same as the answer, each by its weight. Those about which the labeler is undecided
 * are left out; with none left there is no confidence.
 */
async function agreement(
  row: Generation,
  samples: readonly Sample[],
  { options: { confidence }, label }: MethodContext<SamplingOptions>,
): Promise<Score> {
  const same = (answer: string): Promise<Label> | Label => {
    // The labeler is asked about what it could find to be otherwise.
    if (answer === row.output) return 1;
    // Every text contains the empty one, and says something else.
    if (answer === "" || row.output === "") return 0;
    return label?.({ question: promptText(row), target: row.output, answer, twoAnswers: true }) ?? 0;
  };
  // Each text is decided about once: a labeler may be asked over a network, and be paid.
  const texts = [...new Set(samples.map(({ answer }) => answer))];
  const labels = new Map(
    await Promise.all(texts.map(async (text): Promise<[string, Label]> => [text, await same(text)])),
  );
  let agreed = 0, all = 0;
  for (const { answer, likelihood } of samples) {
    const verdict = labels.get(answer)!;
    if (verdict === null) continue;
    const weight = confidence === "counting" ? 1 : likelihood;
    all += weight;
    agreed += verdict * weight;
  }
  return all > 0 ? agreed / all : null;
}
