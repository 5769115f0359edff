/**
 * Which files of a repository make a model or an adapter: never the same weights twice, and never pickled weights. The
 * pickles there are, a temperature of a few bytes and a classifier, are read without running them.
 */

/** The weights in one file, or what says in which of several each tensor is; where there are both, this is read. */
const WHOLE = "model.safetensors", INDEX = "model.safetensors.index.json";

const MODEL_FILES: ReadonlySet<string> = new Set([
  "adapter_config.json",
  "adapter_model.safetensors",
  "added_tokens.json",
  "calibrator.json",
  "chat_template.jinja",
  "classifier_config.json",
  "classifier_model.bin",
  "classifier_model.safetensors",
  "config.json",
  "generation_config.json",
  "method_config.json",
  INDEX,
  "special_tokens_map.json",
  "temperature_model.pt",
  "temperature_model.safetensors",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
]);

const SHARD = /^model-\d+-of-\d+\.safetensors$/;

/** Whether a file is one of those that a model or an adapter is opened from, given what else there is. */
export function isModelFile(path: string, all: readonly string[]): boolean {
  if (path === WHOLE) return !all.includes(INDEX);
  return MODEL_FILES.has(path) || SHARD.test(path) && all.includes(INDEX);
}
