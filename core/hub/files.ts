/**
 * Which files of a repository make a model or an adapter: never the same weights twice, and never pickled weights. The
 * one pickle is a temperature of a few bytes, which is read without running it.
 */

const MODEL_FILES: ReadonlySet<string> = new Set([
  "adapter_config.json",
  "adapter_model.safetensors",
  "chat_template.jinja",
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "model.safetensors.index.json",
  "special_tokens_map.json",
  "temperature_model.pt",
  "temperature_model.safetensors",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
]);

const SHARD = /^model-\d{5}-of-\d{5}\.safetensors$/;

/** Whether a file is one of those that a model or an adapter is opened from. */
export function isModelFile(path: string): boolean {
  return MODEL_FILES.has(path) || SHARD.test(path);
}
