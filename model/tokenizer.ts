import { join } from "node:path";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { dataError, exists } from "../core/files.ts";
import type { Tokenizer } from "../core/types.ts";
import { readConfigFile } from "./config_file.ts";

/** Opens the tokenizer of a checkpoint folder. */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const path = join(folder, "tokenizer.json");
  const tokenizerJson = await readConfigFile(path);
  const configPath = join(folder, "tokenizer_config.json");
  const config = await exists(configPath) ? await readConfigFile(configPath) : {};
  let tokenizer: HfTokenizer, vocabulary: number;
  try {
    vocabulary = vocabularyOf(tokenizerJson as unknown as TokenizerFile);
    tokenizer = new HfTokenizer(tokenizerJson, config);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(`Not a usable tokenizer: ${reason}`, path, "download or save the tokenizer again", error);
  }
  const stopTokens = await stopTokensOf(folder, tokenizer, config);
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

/** The parts of a `tokenizer.json` that give ids, if it is sound. */
interface TokenizerFile {
  /** Ids by token; in a Unigram model, tokens in order of their ids. */
  readonly model: { readonly vocab: Readonly<Record<string, unknown>> | readonly unknown[] };
  readonly added_tokens: readonly { readonly id: unknown }[];
}

/** One more than the largest id. Checked here because the library takes any id, and lists all up to the largest. */
function vocabularyOf({ model: { vocab }, added_tokens: added }: TokenizerFile): number {
  const ids = [...Array.isArray(vocab) ? vocab.keys() : Object.values(vocab), ...added.map(({ id }) => id)];
  return ids.reduce<number>((most, id) => {
    if (!isTokenId(id)) throw new RangeError(`a token has the id ${JSON.stringify(id)}`);
    return Math.max(most, id + 1);
  }, 0);
}

/** Whether a value can be a token's id; no tokenizer has 2^24 tokens. */
function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 24;
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
    const { eos_token_id: eos } = await readConfigFile(path);
    if (eos === undefined || eos === null) continue;
    const ids = Array.isArray(eos) ? eos : [eos];
    if (!ids.every(isTokenId)) {
      throw dataError(
        `"eos_token_id" is ${JSON.stringify(eos)}`,
        path,
        "it must be a token id, or a list of them",
      );
    }
    return ids;
  }
  const eos = tokenizerConfig.eos_token;
  const text = typeof eos === "object" && eos !== null ? (eos as { content?: unknown }).content : eos;
  const id = typeof text === "string" ? tokenizer.token_to_id(text) : undefined;
  return id === undefined ? [] : [id];
}
