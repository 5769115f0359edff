/**
 * Reads a SentencePiece model (`tokenizer.model`), and says in the form of a `tokenizer.json` what it does.
 *
 * The file is a protocol buffer; of its fields only those that give ids are read (sentencepiece_model.proto). The
 * translation is the one of transformers' converter for Llama, whose results the Hub's files are.
 */
import { dataError } from "../core/files.ts";
import type { AddedToken, BpeModel, Component } from "./tokenizer_file.ts";

/** A model of 256,000 pieces has 4 MB; ways to cut a piece in two grow with its length. */
const LIMITS = { bytes: 2 ** 26, pieceLength: 128 };

/** What a piece is for. */
const NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4;

/** Byte-pair encoding, as `trainer_spec.model_type` says it. */
const BPE = 2;

/** A piece of text with its id's place in the file. */
interface Piece {
  readonly text: string;
  /** The higher, the sooner it is made of two. */
  readonly score: number;
  readonly type: number;
}

/** What is read of a model. */
interface SentencePieceModel {
  readonly pieces: readonly Piece[];
  readonly byteFallback: boolean;
  readonly unknown: string;
  /** Whether a text gets a blank before it. */
  readonly prefix: boolean;
}

/** What a `tokenizer_config.json` may say about such a model. */
export interface SentencePieceConfig {
  /** Whether a blank goes before each stretch between special tokens, or only before the first; the former if absent. */
  readonly legacy?: unknown;
  readonly add_prefix_space?: unknown;
  readonly add_bos_token?: unknown;
  readonly add_eos_token?: unknown;
  readonly bos_token?: unknown;
  readonly eos_token?: unknown;
}

/**
 * The `tokenizer.json` that a SentencePiece model stands for.
 *
 * @throws {UserError} of kind `data` if it is not one, or not of byte pairs, or normalises texts
 */
export function tokenizerOfSentencePiece(
  file: Uint8Array,
  config: SentencePieceConfig,
  path: string,
): Record<string, unknown> {
  const model = readModel(file, path);
  const prefix = model.prefix && config.add_prefix_space !== false;
  const legacy = config.legacy !== false;
  const scheme = prefix ? "first" : "never";
  return {
    added_tokens: addedTokens(model.pieces),
    normalizer: legacy
      ? {
        type: "Sequence",
        normalizers: [...prefix ? [{ type: "Prepend", prepend: "▁" }] : [], replace(" ", "▁")],
      }
      : null,
    pre_tokenizer: legacy
      ? null
      : { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false },
    post_processor: postProcessor(model.pieces, config),
    decoder: decoder(prefix),
    model: bpeModel(model, path),
  };
}

/** The text of a token in a configuration: a string, or an object that has it as its content. */
export function tokenText(value: unknown): string | undefined {
  const text = typeof value === "object" && value !== null ? (value as { content?: unknown }).content : value;
  return typeof text === "string" ? text : undefined;
}

function replace(from: string, to: string): Component {
  return { type: "Replace", pattern: { String: from }, content: to };
}

function addedTokens(pieces: readonly Piece[]): AddedToken[] {
  return pieces.flatMap(({ text, type }, id) =>
    [UNKNOWN, CONTROL, USER_DEFINED].includes(type)
      ? [{ id, content: text, special: type !== USER_DEFINED, normalized: false }]
      : []
  );
}

function decoder(prefix: boolean): Component {
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    type: "Sequence",
    decoders: [replace("▁", " "), { type: "ByteFallback" }, { type: "Fuse" }, ...prefix ? [strip] : []],
  };
}

/** What stands around a text: a beginning unless the configuration says no, an end if it says so. */
function postProcessor(pieces: readonly Piece[], config: SentencePieceConfig): Component {
  const special = (token: unknown, otherwise: string) => {
    const content = tokenText(token) ?? otherwise;
    return pieces.some(({ text }) => text === content) ? [{ SpecialToken: { id: content, type_id: 0 } }] : [];
  };
  return {
    type: "TemplateProcessing",
    single: [
      ...config.add_bos_token !== false ? special(config.bos_token, "<s>") : [],
      { Sequence: { id: "A", type_id: 0 } },
      ...config.add_eos_token === true ? special(config.eos_token, "</s>") : [],
    ],
  };
}

function bpeModel({ pieces, byteFallback, unknown }: SentencePieceModel, path: string): BpeModel {
  const vocab = new Map(pieces.map(({ text }, id) => [text, id]));
  if (vocab.size < pieces.length) throw refusal("it has a piece twice", path);
  return {
    type: "BPE",
    unk_token: unknown,
    fuse_unk: true,
    byte_fallback: byteFallback,
    vocab: Object.fromEntries(vocab),
    merges: mergesOf(pieces, vocab),
  };
}

/** All ways to make a piece of two others: that of the best piece first, then the earliest, then the earliest parts. */
function mergesOf(pieces: readonly Piece[], ids: ReadonlyMap<string, number>): [string, string][] {
  const normal = (text: string) => {
    const id = ids.get(text);
    return id !== undefined && pieces[id].type === NORMAL ? id : undefined;
  };
  const ways: { readonly whole: number; readonly left: number; readonly right: number }[] = [];
  for (const [whole, { text, type }] of pieces.entries()) {
    if (type !== NORMAL) continue;
    for (let cut = 0; (cut += text.codePointAt(cut)! > 0xffff ? 2 : 1) < text.length;) {
      const left = normal(text.slice(0, cut)), right = normal(text.slice(cut));
      if (left !== undefined && right !== undefined) ways.push({ whole, left, right });
    }
  }
  ways.sort((a, b) =>
    pieces[b.whole].score - pieces[a.whole].score || a.whole - b.whole || a.left - b.left || a.right - b.right
  );
  return ways.map(({ left, right }) => [pieces[left].text, pieces[right].text]);
}

function refusal(what: string, path: string): Error {
  return dataError(`Not a usable SentencePiece model: ${what}`, path, "download or save the tokenizer again");
}

function readModel(file: Uint8Array, path: string): SentencePieceModel {
  if (file.length > LIMITS.bytes) throw refusal(`it has ${file.length} bytes`, path);
  const pieces: Piece[] = [];
  let trainer: Fields = new Map(), normalizer: Fields = new Map();
  for (const { number, value } of fieldsOf(file, path)) {
    if (!(value instanceof Uint8Array)) continue;
    if (number === 1) pieces.push(readPiece(value, path));
    else if (number === 2) trainer = lastOfEach(value, path);
    else if (number === 3) normalizer = lastOfEach(value, path);
  }
  if (pieces.length === 0) throw refusal("it has no pieces", path);
  const type = trainer.get(3) ?? 1;
  if (type !== BPE) throw unsupported("trainer_spec.model_type", type === 1 ? "UNIGRAM" : type, path);
  if (lengthOf(normalizer.get(2)) > 0) throw unsupported("normalizer_spec.precompiled_charsmap", "…", path);
  if (normalizer.get(4) !== 0) throw unsupported("normalizer_spec.remove_extra_whitespaces", true, path);
  if (normalizer.get(5) === 0) throw unsupported("normalizer_spec.escape_whitespaces", false, path);
  if (trainer.get(24) === 1) throw unsupported("trainer_spec.treat_whitespace_as_suffix", true, path);
  return {
    pieces,
    byteFallback: trainer.get(35) === 1,
    unknown: pieces.find(({ type }) => type === UNKNOWN)?.text ?? "<unk>",
    prefix: normalizer.get(3) !== 0,
  };
}

function unsupported(field: string, value: unknown, path: string): Error {
  return dataError(
    `${field} is ${JSON.stringify(value)}, which is not implemented`,
    path,
    "use a model with a tokenizer.json, or one whose SentencePiece model is BPE without normalisation",
  );
}

function lengthOf(value: Value | undefined): number {
  return value instanceof Uint8Array ? value.length : 0;
}

function readPiece(message: Uint8Array, path: string): Piece {
  const fields = lastOfEach(message, path);
  const text = textOf(fields.get(1), path), type = fields.get(3) ?? NORMAL, score = fields.get(2) ?? 0;
  if (text === "") throw refusal("a piece is empty", path);
  if (typeof type !== "number" || typeof score !== "number" || Number.isNaN(score)) {
    throw refusal(`the piece ${JSON.stringify(text)} has no sound type or score`, path);
  }
  if (type === NORMAL && text.length > LIMITS.pieceLength) {
    throw refusal(`a piece has ${text.length} characters`, path);
  }
  return { text, score, type };
}

function textOf(value: Value | undefined, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value as Uint8Array);
  } catch {
    throw refusal("a piece is not UTF-8 text", path);
  }
}

/** A number, or the bytes of a text or of a message. */
type Value = number | Uint8Array;

/** Values by the number of their field. */
type Fields = Map<number, Value>;

function lastOfEach(message: Uint8Array, path: string): Fields {
  return new Map(Array.from(fieldsOf(message, path), ({ number, value }) => [number, value]));
}

/** The fields of a protocol buffer's message, in order; never looks beyond its end. */
function* fieldsOf(message: Uint8Array, path: string): Generator<{ number: number; value: Value }> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const take = (count: number): number => {
    if (count > message.length - at) throw refusal(`it ends within a field of ${count} bytes`, path);
    return (at += count) - count;
  };
  const varint = (): number => {
    let value = 0;
    for (let place = 0; place < 10; place++) {
      const byte = message[take(1)];
      value += (byte & 0x7f) * 2 ** (7 * place);
      if (byte < 0x80) return value;
    }
    throw refusal("a number has more than ten bytes", path);
  };
  while (at < message.length) {
    const key = varint(), number = Math.floor(key / 8), wire = key % 8;
    if (wire === 0) yield { number, value: varint() };
    else if (wire === 1) yield { number, value: view.getFloat64(take(8), true) };
    else if (wire === 2) {
      const length = varint(), start = take(length);
      yield { number, value: message.subarray(start, start + length) };
    } else if (wire === 5) yield { number, value: view.getFloat32(take(4), true) };
    else throw refusal(`a field has the wire type ${wire}`, path);
  }
}
