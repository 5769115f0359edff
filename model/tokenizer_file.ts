/**
 * What of a `tokenizer.json` is implemented, and how the library is made to read it as the reference does.
 *
 * The reference is the `tokenizers` library in Rust, which transformers uses. Where the JavaScript library means
 * something else by a field, the field is said in another way here; where it would overlook one, the file is refused.
 */
import { dataError } from "../core/files.ts";
import type { UserError } from "../core/errors.ts";

/** One step of a pipeline: a normaliser, a splitter, a decoder. */
export interface Component {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** A token that is found in a text before anything else happens to it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly [field: string]: unknown;
}

/** Byte-pair encoding. */
export interface BpeModel extends Component {
  /** Ids by token. */
  readonly vocab: Readonly<Record<string, number>>;
  /** The two parts of a token, the pair to be joined first standing first: `"a b"` or `["a", "b"]`. */
  readonly merges: readonly (string | readonly [string, string])[];
}

/** A `tokenizer.json`. */
export interface TokenizerFile {
  readonly model: BpeModel;
  readonly added_tokens: readonly AddedToken[];
  /** All tokens by their ids, with holes where an id has none. */
  readonly tokens: readonly string[];
  readonly normalizer: Component | null;
  readonly pre_tokenizer: Component | null;
  readonly post_processor: Component | null;
  readonly decoder: Component | null;
}

/** Normalisers that the library applies as the reference does. */
const NORMALIZERS = ["NFC", "NFD", "NFKC", "NFKD", "Prepend", "Replace"];

/** What puts special tokens around a text; `ByteLevel` only moves offsets. */
const POST_PROCESSORS = ["ByteLevel", "TemplateProcessing"];

/** How GPT-2 splits a text, as `ByteLevel` does on its own; the library's copy takes U+FEFF for a blank. */
const BYTE_LEVEL_SPLIT = String
  .raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/**
 * A parsed `tokenizer.json` as the library is to read it.
 *
 * @param beside added tokens from other files; those of the tokenizer's own file stand before them
 * @throws {UserError} of kind `data` if it is not sound, or asks for what is not implemented, naming it
 */
export function supportedTokenizer(
  file: Readonly<Record<string, unknown>>,
  beside: readonly Partial<AddedToken>[],
  path: string,
): TokenizerFile {
  const model = checkModel(file.model, path);
  const added = checkAddedTokens(file.added_tokens ?? [], beside, model, path);
  const tokens = tokensById(model, added, path);
  return {
    model,
    added_tokens: added,
    tokens,
    normalizer: checked("normalizer", file.normalizer, NORMALIZERS, path),
    pre_tokenizer: preTokenizer(file.pre_tokenizer, model, path),
    post_processor: postProcessor(file.post_processor, tokens, path),
    decoder: asComponent("decoder", file.decoder, path),
  };
}

/** Whether a value can be a token's id; no tokenizer has 2^24 tokens. */
export function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 24;
}

/** The refusal of a field that means something we do not do. */
export function notImplemented(field: string, value: unknown, path: string): UserError {
  return dataError(
    `${field} is ${JSON.stringify(value)}, which is not implemented`,
    path,
    "use a model of a family that the documentation lists",
  );
}

function unsound(what: string, path: string): UserError {
  return dataError(`Not a usable tokenizer: ${what}`, path, "download or save the tokenizer again");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkModel(value: unknown, path: string): BpeModel {
  if (!isRecord(value)) throw unsound("it has no model", path);
  const { vocab, merges, type = "BPE" } = value;
  if (type !== "BPE") throw notImplemented("model.type", type, path);
  if (!isRecord(vocab)) throw unsound("its model has no vocabulary", path);
  if (!Array.isArray(merges)) throw unsound("its model has no merges", path);
  for (const field of ["dropout", "continuing_subword_prefix", "end_of_word_suffix"]) {
    if (value[field]) throw notImplemented(`model.${field}`, value[field], path);
  }
  for (const [token, id] of Object.entries(vocab)) {
    if (!isTokenId(id)) {
      throw unsound(`the token ${JSON.stringify(token)} has the id ${JSON.stringify(id)}`, path);
    }
  }
  for (const merge of merges) {
    const parts: readonly unknown[] = typeof merge === "string"
      ? merge.split(" ")
      : Array.isArray(merge)
      ? merge
      : [];
    const known = parts.length === 2 &&
      [...parts, parts.join("")].every((part) => typeof part === "string" && Object.hasOwn(vocab, part));
    if (!known) throw unsound(`the merge ${JSON.stringify(merge)} is not of two tokens to a third`, path);
  }
  return { ...value, type, vocab: vocab as Record<string, number>, merges };
}

function checkAddedTokens(
  own: unknown,
  beside: readonly Partial<AddedToken>[],
  { vocab }: BpeModel,
  path: string,
): AddedToken[] {
  if (!Array.isArray(own)) throw unsound("its added_tokens are no list", path);
  const tokens = new Map<string, AddedToken>();
  for (const token of [...own, ...beside]) {
    if (
      !isRecord(token) || typeof token.content !== "string" || token.content === "" || !isTokenId(token.id)
    ) {
      throw unsound(`the added token ${JSON.stringify(token)} has no content or no id`, path);
    }
    const { content, single_word: word } = token;
    if (word) throw notImplemented(`single_word of ${JSON.stringify(content)}`, word, path);
    const id = tokens.get(content)?.id ?? (Object.hasOwn(vocab, content) ? vocab[content] : token.id);
    if (id !== token.id) throw unsound(`${JSON.stringify(content)} has the ids ${id} and ${token.id}`, path);
    if (!tokens.has(content)) tokens.set(content, { ...token, id, content, special: token.special === true });
  }
  return [...tokens.values()];
}

function tokensById({ vocab }: BpeModel, added: readonly AddedToken[], path: string): string[] {
  const tokens: string[] = [];
  for (
    const [token, id] of [
      ...Object.entries(vocab),
      ...added.map(({ content, id }) => [content, id] as const),
    ]
  ) {
    const other = tokens[id] ?? token;
    if (other !== token) {
      throw unsound(`${JSON.stringify(other)} and ${JSON.stringify(token)} have the id ${id}`, path);
    }
    tokens[id] = token;
  }
  return tokens;
}

/** A component whose type, or the types of whose parts, are among the known ones. */
function checked(field: string, value: unknown, known: readonly string[], path: string): Component | null {
  const component = asComponent(field, value, path);
  if (component?.type === "Sequence") {
    const parts = component.normalizers ?? component.processors;
    if (!Array.isArray(parts)) throw unsound(`the ${field} is a sequence of nothing`, path);
    parts.forEach((part) => checked(field, part, known, path));
  } else if (component && !known.includes(component.type)) {
    throw notImplemented(`${field}.type`, component.type, path);
  }
  return component;
}

/** What stands around a text; the library would put the unknown token where it does not know one. */
function postProcessor(value: unknown, tokens: readonly string[], path: string): Component | null {
  const component = checked("post_processor", value, POST_PROCESSORS, path);
  const parts = (component?.processors ?? [component]) as readonly (Component | null)[];
  for (const part of parts) {
    if (part?.type !== "TemplateProcessing") continue;
    if (!Array.isArray(part.single)) throw unsound("the post_processor is a template of nothing", path);
    for (const piece of part.single) {
      const token = piece?.SpecialToken;
      if (token && !tokens.includes(token.id)) {
        throw unsound(`it begins or ends texts with the unknown token ${JSON.stringify(token.id)}`, path);
      }
    }
  }
  return component;
}

function asComponent(field: string, value: unknown, path: string): Component | null {
  if (value === undefined || value === null) return null;
  if (!isRecord(value) || typeof value.type !== "string") throw unsound(`the ${field} has no type`, path);
  return value as Component;
}

function preTokenizer(value: unknown, model: BpeModel, path: string): Component | null {
  const parts = splitters(asComponent("pre_tokenizer", value, path), path);
  // One long piece would take n log n, and never be found in the library's cache of pieces.
  const whole = parts.every(({ type }) => type === "Metaspace");
  if (whole && mayCutBeforeBlanks(model)) parts.push(everything("▁+[^▁]*|[^▁]+"));
  return parts.length === 0 ? null : { type: "Sequence", pretokenizers: parts };
}

/** The steps that split a text, said so that the library does what the reference does. */
function splitters(component: Component | null, path: string): Component[] {
  switch (component?.type) {
    case undefined:
      return [];
    case "Sequence":
      if (!Array.isArray(component!.pretokenizers)) {
        throw unsound("the pre_tokenizer is a sequence of nothing", path);
      }
      return component!.pretokenizers.flatMap((part) =>
        splitters(asComponent("pre_tokenizer", part, path), path)
      );
    case "ByteLevel":
      return byteLevel(component!);
    case "Digits":
      // The library's knows only 0 to 9; the reference's also ٣, ² and Ⅷ.
      return [isolated(component!.individual_digits ? String.raw`\p{N}` : String.raw`\p{N}+`)];
    case "Metaspace":
      return metaspace(component!, path);
    case "Split":
      return [split(component!, path)];
    default:
      throw notImplemented("pre_tokenizer.type", component!.type, path);
  }
}

function isolated(regex: string): Component {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false };
}

function byteLevel({ add_prefix_space: prefix = true, use_regex: splits = true }: Component): Component[] {
  return [
    ...prefix ? [{ type: "Replace", pattern: { Regex: String.raw`\A(?! )` }, content: " " }] : [],
    ...splits ? [isolated(BYTE_LEVEL_SPLIT)] : [],
    { type: "ByteLevel", add_prefix_space: false, use_regex: false },
  ];
}

function metaspace(component: Component, path: string): Component[] {
  const { replacement = "▁", prepend_scheme, add_prefix_space, split = true } = component;
  if (replacement !== "▁") throw notImplemented("pre_tokenizer.replacement", replacement, path);
  // Files from before `prepend_scheme` have `add_prefix_space`; the library overlooks it, and `split`.
  const scheme = prepend_scheme ?? (add_prefix_space === false ? "never" : "always");
  const step = { type: "Metaspace", replacement, prepend_scheme: scheme, split: false };
  return split ? [step, everything("▁[^▁]*|[^▁]+")] : [step];
}

/** The library heeds no other behaviours. */
function split(component: Component, path: string): Component {
  const behavior = String(component.behavior).toLowerCase();
  const does = component.invert ? behavior === "removed" : ["isolated", "removed"].includes(behavior);
  if (!does) throw notImplemented("pre_tokenizer.behavior", component.behavior, path);
  return component;
}

/** A splitter into what an expression matches, which leaves nothing out. */
function everything(regex: string): Component {
  return { type: "Split", pattern: { Regex: regex }, behavior: "Removed", invert: true };
}

/** Whether no token has a blank behind something else: then none can arise across a cut that is made there. */
function mayCutBeforeBlanks({ vocab }: BpeModel): boolean {
  return !Object.keys(vocab).some((token) => /[^▁]▁/u.test(token));
}
