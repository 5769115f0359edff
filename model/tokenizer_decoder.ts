/**
 * From tokens back to text.
 *
 * Our own, because the library's decoders lose U+FEFF, count the bytes of a broken character otherwise than the
 * reference does, and look through all added tokens for each token.
 */
import { type Component, notImplemented } from "./tokenizer_file.ts";

/** One step from tokens to text. */
type Step = (tokens: readonly string[]) => readonly string[];

/**
 * What turns tokens into text, as a `tokenizer.json` describes it.
 *
 * @throws {UserError} of kind `data` for a step that is not implemented
 */
export function decoderOf(decoder: Component | null, path: string): (tokens: readonly string[]) => string {
  // Without a decoder the reference puts a blank between tokens.
  if (decoder === null) return (tokens) => tokens.join(" ");
  const step = stepOf(decoder, path);
  return (tokens) => step(tokens).join("");
}

function stepOf(decoder: Component, path: string): Step {
  switch (decoder?.type) {
    case "Sequence": {
      if (!Array.isArray(decoder.decoders)) throw notImplemented("decoder.decoders", decoder.decoders, path);
      const steps = decoder.decoders.map((part) => stepOf(part, path));
      return (tokens) => steps.reduce((rest, step) => step(rest), tokens);
    }
    case "ByteLevel":
      return (tokens) => [lossyText(tokens.flatMap(bytesOf))];
    case "ByteFallback":
      return byteFallback;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Replace": {
      const text = (decoder.pattern as { readonly String?: unknown } | undefined)?.String;
      if (typeof text !== "string") throw notImplemented("decoder.pattern", decoder.pattern, path);
      return (tokens) => tokens.map((token) => token.replaceAll(text, () => String(decoder.content)));
    }
    case "Strip":
      return strip(String(decoder.content), Number(decoder.start), Number(decoder.stop));
    case "Metaspace":
      return metaspace(String(decoder.replacement ?? "▁"), decoder.prepend_scheme !== "never");
    default:
      throw notImplemented("decoder.type", decoder?.type, path);
  }
}

/** Runs of tokens such as `<0xE2>` become text, or one replacement character a byte if they are not UTF-8. */
const byteFallback: Step = (tokens) => {
  const texts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) texts.push(textOf(bytes) ?? "\ufffd".repeat(bytes.length));
    bytes = [];
  };
  for (const token of tokens) {
    if (/^<0x[0-9A-Fa-f]{2}>$/.test(token)) bytes.push(parseInt(token.slice(3, 5), 16));
    else {
      flush();
      texts.push(token);
    }
  }
  flush();
  return texts;
};

/** Takes a character off both ends of each token, so often at most. */
function strip(character: string, start: number, stop: number): Step {
  return (tokens) =>
    tokens.map((token) => {
      let first = 0, last = token.length;
      while (first < start && token[first] === character) first++;
      while (token.length - last < stop && last > first && token[last - 1] === character) last--;
      return token.slice(first, last);
    });
}

/** A blank for each mark, but none for those of the first token if a text is given one. */
function metaspace(mark: string, prepended: boolean): Step {
  return (tokens) =>
    tokens.map((token, index) => token.replaceAll(mark, index === 0 && prepended ? "" : " "));
}

/** Bytes by the character that stands for each in a byte-level vocabulary: printable ones for themselves. */
const BYTES: ReadonlyMap<string, number> = byteCharacters();

function byteCharacters(): Map<string, number> {
  const bytes = new Map<string, number>();
  let unprintable = 0;
  for (let byte = 0; byte < 256; byte++) {
    const printable = byte > 0x20 && byte < 0x7f || byte > 0xa0 && byte !== 0xad;
    bytes.set(String.fromCharCode(printable ? byte : 0x100 + unprintable++), byte);
  }
  return bytes;
}

/** The bytes that a token of a byte-level vocabulary stands for; an added token may be plain text. */
function bytesOf(token: string): readonly number[] {
  const bytes = Array.from(token, (character) => BYTES.get(character));
  return bytes.includes(undefined) ? [...new TextEncoder().encode(token)] : bytes as number[];
}

function lossyText(bytes: readonly number[]): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** The text of bytes, or nothing if they are not UTF-8. */
function textOf(bytes: readonly number[]): string | undefined {
  try {
    return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}
