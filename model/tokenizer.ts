import { join } from "node:path";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { dataError, exists, readJson } from "../core/files.ts";
import type { Tokenizer } from "../core/types.ts";

/** Opens the tokenizer of a checkpoint folder. */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const path = join(folder, "tokenizer.json");
  const tokenizerJson = await readJson(path) as object;
  const configPath = join(folder, "tokenizer_config.json");
  const config = await exists(configPath) ? await readJson(configPath) as Record<string, unknown> : {};
  let tokenizer: HfTokenizer;
  try {
    tokenizer = new HfTokenizer(tokenizerJson, config);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(`Not a usable tokenizer: ${reason}`, path, "download or save the tokenizer again", error);
  }
  const stopTokens = await stopTokensOf(folder, tokenizer, config);
  const vocabulary = 1 + tokenizer.get_vocab().values().reduce((largest, id) => Math.max(largest, id), -1);
  const encode = (text: string): number[] => tokenizer.encode(text).ids;
  // The library refuses to decode nothing.
  const decode = (ids: readonly number[]): string =>
    ids.length === 0 ? "" : tokenizer.decode([...ids], { skip_special_tokens: true });
  return {
    encode,
    decode,
    answerToken(text) {
      const ids = encode(text);
      if (ids.length === 0 || decode(ids.slice(-1)).trim() !== text) {
        throw dataError(
          `"${text}" is not a single token`,
          path,
          "use a model whose tokenizer has it as one token",
        );
      }
      return ids[ids.length - 1];
    },
    vocabulary,
    stopTokens,
  };
}

/** End-of-sequence ids: `generation_config.json` first, then `config.json`, then the tokenizer's `eos_token`. */
async function stopTokensOf(
  folder: string,
  tokenizer: HfTokenizer,
  tokenizerConfig: Record<string, unknown>,
): Promise<readonly number[]> {
  for (const name of ["generation_config.json", "config.json"]) {
    const path = join(folder, name);
    if (!await exists(path)) continue;
    const { eos_token_id: eos } = await readJson(path) as { eos_token_id?: number | number[] | null };
    if (eos !== undefined && eos !== null) return Array.isArray(eos) ? eos : [eos];
  }
  const eos = tokenizerConfig.eos_token;
  const text = typeof eos === "object" && eos !== null ? (eos as { content?: unknown }).content : eos;
  const id = typeof text === "string" ? tokenizer.token_to_id(text) : undefined;
  return id === undefined ? [] : [id];
}
