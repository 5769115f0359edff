/**
 * The plugins that come with the project, in the order users see them.
 *
 * @module
 */
import type { Plugin } from "../core/mod.ts";
import { facts } from "./datasets/facts.ts";
import { questionDataset, seedDataset } from "./datasets/spec.ts";
import { specs } from "./datasets/hub/mod.ts";
import { evaluation } from "./datasets/evaluation.ts";
import { mmlu, mmluAll } from "./datasets/mmlu.ts";
import { mixtures } from "./datasets/mixtures.ts";
import { mmluPro, mmluProAll } from "./datasets/mmlu_pro.ts";
import { modisteMmlu, modisteMmluAll } from "./datasets/modiste.ts";
import { offline, offlineParts, offlineTasks } from "./datasets/offline.ts";
import { tables } from "./datasets/table.ts";
import { mmluLogits, offlineLogits } from "./datasets/stored_logits.ts";
import { choiceLetter } from "./labelers/choice_letter.ts";
import { exactMatch } from "./labelers/exact_match.ts";
import { fuzzy } from "./labelers/fuzzy.ts";
import { local } from "./labelers/local.ts";
import { numeric } from "./labelers/numeric.ts";
import { multi } from "./labelers/multi.ts";
import { substring } from "./labelers/substring.ts";
import { tokenF1 } from "./labelers/token_f1.ts";
import { logits } from "./methods/logits.ts";
import { loraProbe } from "./methods/lora_probe.ts";
import { loraPrompt } from "./methods/lora_prompt.ts";
import { queryLora } from "./methods/query_lora.ts";
import { metrics } from "./metrics/mod.ts";
import { probe } from "./methods/probe.ts";
import { sampling } from "./methods/sampling.ts";
import { verbalized } from "./methods/verbalized.ts";
import { zeroShot } from "./methods/zero_shot.ts";
import { llama } from "./models/llama.ts";
import { mistral } from "./models/mistral.ts";
import { mixtral } from "./models/mixtral.ts";
import { openai } from "./models/openai.ts";
import { qwen2 } from "./models/qwen2.ts";
import { choice } from "./prompt_styles/choice.ts";
import { oe } from "./prompt_styles/oe.ts";

/** Every built-in plugin. */
export const builtins: readonly Plugin[] = [
  facts,
  offline,
  mmlu,
  mmluAll,
  mmluPro,
  mmluProAll,
  evaluation,
  ...specs.map(questionDataset),
  ...specs.map(seedDataset),
  ...mixtures,
  ...offlineParts,
  ...offlineTasks,
  modisteMmlu,
  modisteMmluAll,
  offlineLogits,
  ...mmluLogits,
  ...tables,
  oe,
  choice,
  substring,
  exactMatch,
  tokenF1,
  numeric,
  choiceLetter,
  fuzzy,
  local,
  multi,
  zeroShot,
  logits,
  sampling,
  verbalized,
  loraPrompt,
  queryLora,
  probe,
  loraProbe,
  ...metrics,
  llama,
  mistral,
  mixtral,
  qwen2,
  openai,
];

export { readTable, tableFormat } from "./datasets/tables/mod.ts";
export { choiceLogits } from "./methods/choice_logits.ts";
export { defaultMetrics } from "./metrics/mod.ts";
