import { join } from "node:path";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { dataError, exists, fileError, readText } from "../core/files.ts";
import type { Tokenizer } from "../core/types.ts";
import { type ChatTemplate, compileChatTemplate } from "./chat_template.ts";
import { readConfigFile } from "./config_file.ts";
import { tokenizerOfSentencePiece, tokenText } from "./sentencepiece.ts";
import { decoderOf } from "./tokenizer_decoder.ts";
import { type AddedToken, isTokenId, supportedTokenizer, type TokenizerFile } from "./tokenizer_file.ts";

type Config = Readonly<Record<string, unknown>>;

/**
 * Opens the tokenizer of a checkpoint folder: `tokenizer.json`, or a SentencePiece model, `tokenizer.model`.
 *
 * What stands around a text is what the `tokenizer.json` says, as in transformers; `add_bos_token` in
 * `tokenizer_config.json` counts only for a SentencePiece model.
 */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  const config = await readOptional(join(folder, "tokenizer_config.json"));
  const { file, path } = await readTokenizerFile(folder, config);
  const decode = decoding(file, path);
  const tokenizer = library(file, path);
  const stopTokens = await stopTokensOf(folder, file, config);
  const encode: Tokenizer["encode"] = (text, { specialTokens = true } = {}) =>
    // A lone surrogate is no character; the reference could not be given one.
    tokenizer.encode(text.toWellFormed(), { add_special_tokens: specialTokens }).ids;
  const render = await chatTemplateOf(folder, config);
  return {
    encode,
    decode,
    ...render && {
      // The template has written the special tokens.
      chat: (messages, options) => encode(render(messages, options), { specialTokens: false }),
    },
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
    vocabulary: file.tokens.length,
    stopTokens,
  };
}

/** Where a folder's tokenizer is, or should be: a `tokenizer.json` goes before a SentencePiece model. */
export async function tokenizerPath(folder: string): Promise<string> {
  const [path, modelPath] = ["tokenizer.json", "tokenizer.model"].map((name) => join(folder, name));
  return !await exists(path) && await exists(modelPath) ? modelPath : path;
}

/** The `tokenizer.json` of a folder, or what its SentencePiece model stands for; and the file it is from. */
async function readTokenizerFile(
  folder: string,
  config: Config,
): Promise<{ file: TokenizerFile; path: string }> {
  const path = await tokenizerPath(folder);
  if (path.endsWith(".json")) {
    const value = await readConfigFile(path);
    return { file: supportedTokenizer(value, tokensBeside(config), path), path };
  }
  const value = tokenizerOfSentencePiece(await readBytes(path), config, path);
  const beside = tokensBeside(config, await readOptional(join(folder, "added_tokens.json")));
  return { file: supportedTokenizer(value, beside, path), path };
}

/** Added tokens that stand not in the tokenizer's file but beside it: `added_tokens_decoder`, `added_tokens.json`. */
function tokensBeside({ added_tokens_decoder: decoder }: Config, ids: Config = {}): Partial<AddedToken>[] {
  return [
    ...Object.entries(decoder ?? {}).map(([id, token]) => ({ ...token, id: Number(id) })),
    ...Object.entries(ids).map(([content, id]) => ({ content, id: id as number, special: false })),
  ];
}

/** The library that splits a text into tokens. */
function library(file: TokenizerFile, path: string): HfTokenizer {
  try {
    const tokenizer = new HfTokenizer(file, {});
    // Some of what it does not understand it finds only when it is used.
    if (!tokenizer.encode("a b").ids.every(isTokenId)) {
      throw new Error("it begins texts with an unknown token");
    }
    return tokenizer;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw dataError(`Not a usable tokenizer: ${reason}`, path, "download or save the tokenizer again", error);
  }
}

/** How ids become text. `clean_up_tokenization_spaces` is not heeded, as in transformers: it eats blanks of a BPE. */
function decoding(file: TokenizerFile, path: string): Tokenizer["decode"] {
  const { tokens } = file;
  const decode = decoderOf(file.decoder, path);
  const special = new Set(file.added_tokens.filter(({ special }) => special).map(({ id }) => id));
  return (ids) =>
    decode(ids.filter((id) => tokens[id] !== undefined && !special.has(id)).map((id) => tokens[id]));
}

/** The chat template: a file of its own before an entry of `tokenizer_config.json`; read when first used. */
async function chatTemplateOf(folder: string, config: Config): Promise<ChatTemplate | undefined> {
  const path = join(folder, "chat_template.jinja");
  if (await exists(path)) return lazily(await readText(path), config, path);
  const configPath = join(folder, "tokenizer_config.json");
  const { chat_template: template } = config;
  if (template === undefined || template === null) return undefined;
  const source = Array.isArray(template)
    ? template.find((entry) => entry?.name === "default")?.template
    : template;
  if (typeof source !== "string") {
    throw dataError(
      "chat_template is neither a text nor a list with a template named default",
      configPath,
      "repair it, or leave it out",
    );
  }
  return lazily(source, config, configPath);
}

/** A template that is read when it is first used, so that a model with one we cannot read is of use without chats. */
function lazily(source: string, config: Config, path: string): ChatTemplate {
  let template: ChatTemplate | undefined;
  return (...chat) => (template ??= compileChatTemplate(source, specialTexts(config), path))(...chat);
}

/** Texts of the special tokens that a configuration names, by their names. */
function specialTexts(config: Config): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const name of ["bos", "eos", "unk", "pad", "sep", "cls", "mask"].map((kind) => `${kind}_token`)) {
    const text = tokenText(config[name]);
    if (text !== undefined) texts[name] = text;
  }
  return texts;
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw fileError(error, "read", path);
  }
}

async function readOptional(path: string): Promise<Config> {
  return await exists(path) ? await readConfigFile(path) : {};
}

/** End-of-sequence ids: `generation_config.json` first, then `config.json`, then the tokenizer's `eos_token`. */
async function stopTokensOf(
  folder: string,
  { tokens }: TokenizerFile,
  tokenizerConfig: Config,
): Promise<readonly number[]> {
  for (const name of ["generation_config.json", "config.json"]) {
    const path = join(folder, name);
    const { eos_token_id: eos } = await readOptional(path);
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
  const text = tokenText(tokenizerConfig.eos_token);
  const id = text === undefined ? -1 : tokens.indexOf(text);
  return id < 0 ? [] : [id];
}
