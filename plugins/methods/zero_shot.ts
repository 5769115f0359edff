/** Zero-shot: the untuned model is asked whether its answer is correct. The research code calls it `base`. */
import { checkOptions, type Method } from "../../core/mod.ts";
import { predictQuery, QUERY_DEFAULTS, QUERY_HELP, queryLimits, type QueryMethodOptions } from "./query.ts";
import { checkUntrained } from "./untrained.ts";

/** {@linkcode loraPrompt}'s question, without an adapter and without training. */
export const zeroShot: Method<QueryMethodOptions> = {
  kind: "method",
  name: "zero-shot",
  version: 1,
  description: "Zero-shot: the untuned model says whether the proposed answer is correct",
  defaults: QUERY_DEFAULTS,
  help: QUERY_HELP,
  check: (options) => checkOptions(zeroShot, options, queryLimits(options)),
  async *predict(model, rows, context) {
    await checkUntrained(zeroShot.name, context.checkpoint);
    yield* predictQuery(model, rows, { ...context, checkpoint: undefined });
  },
};
