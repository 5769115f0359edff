/**
 * The safetensors format: an 8-byte length, a JSON header, and the tensors' bytes one behind the other.
 * https://github.com/huggingface/safetensors#format
 *
 * Reading is strict, because a header that lies about its offsets would have one tensor read another's bytes.
 */
import { dataError, writeFileAtomic } from "../core/files.ts";

/** Element types that are understood, by their safetensors name, with their size in bytes. */
const SAFETENSORS_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;

/** An element type by its safetensors name. */
export type SafetensorsType = keyof typeof SAFETENSORS_BYTES;

/** Where a tensor lies in its file, and what it is. */
export interface TensorEntry {
  readonly name: string;
  /** As in the file; perhaps one that is not understood. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte, from the start of the file. */
  readonly start: number;
  readonly bytes: number;
}

/** The limit that the reference implementation sets. */
const MAX_HEADER_BYTES = 100_000_000;

/** Sizes of all types of the format, so that the offsets of tensors nobody reads are checked too. */
const ALL_BYTES: Readonly<Record<string, number>> = {
  ...SAFETENSORS_BYTES,
  F64: 8,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
};

/** An open safetensors file. */
export class SafetensorsFile implements Disposable {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile, header: Header) {
    this.path = path;
    this.#file = file;
    this.tensors = header.tensors;
    this.metadata = header.metadata;
  }

  /** Opens a file and reads its header. @throws {UserError} of kind `data` if the header breaks a rule */
  static async open(path: string): Promise<SafetensorsFile> {
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path);
    } catch (error) {
      throw dataError(`Cannot open ${path}`, path, "check that the file exists and may be read", error);
    }
    try {
      return new SafetensorsFile(path, file, await readHeader(path, file));
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** The bytes of a tensor in pieces that each fill the buffer, but for the last. */
  async *chunks(
    entry: TensorEntry,
    buffer: Uint8Array<ArrayBuffer> = new Uint8Array(Math.min(1 << 24, entry.bytes)),
  ): AsyncIterable<Uint8Array<ArrayBuffer>> {
    for (let done = 0; done < entry.bytes;) {
      const piece = buffer.subarray(0, Math.min(buffer.length, entry.bytes - done));
      await this.#read(entry.start + done, piece);
      yield piece;
      done += piece.length;
    }
  }

  /** All bytes of a tensor. */
  async bytes(entry: TensorEntry): Promise<Uint8Array<ArrayBuffer>> {
    const all = new Uint8Array(entry.bytes);
    await this.#read(entry.start, all);
    return all;
  }

  async #read(start: number, target: Uint8Array<ArrayBuffer>): Promise<void> {
    // Someone else may have read from the file since.
    await this.#file.seek(start, Deno.SeekMode.Start);
    await readExactly(this.#file, target, this.path);
  }

  /**
   * The values of a tensor as f32; exact, as f16 and bf16 are subsets of it.
   *
   * @throws {UserError} of kind `data` if the tensor is of another type
   */
  async values(entry: TensorEntry): Promise<Float32Array<ArrayBuffer>> {
    const { name, dtype } = entry;
    if (!Object.hasOwn(SAFETENSORS_BYTES, dtype)) {
      throw dataError(
        `Tensor "${name}" is of type ${dtype}`,
        this.path,
        `convert it to one of ${Object.keys(SAFETENSORS_BYTES).join(", ")}`,
      );
    }
    return toF32(await this.bytes(entry), dtype as SafetensorsType);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** A tensor to be written. */
export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/** Writes `f32` tensors, sorted by name, whole or not at all. */
export async function writeSafetensors(
  path: string,
  tensors: readonly NamedTensor[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const sorted = tensors.toSorted((a, b) => a.name < b.name ? -1 : 1);
  let offset = 0;
  const header: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {};
  for (const { name, shape, values } of sorted) {
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset += values.byteLength] };
  }
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(
    json + " ".repeat((8 - new TextEncoder().encode(json).length % 8) % 8),
  );
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  await writeFileAtomic(
    path,
    (async function* () {
      yield length;
      yield text;
      for (const { values } of sorted) {
        yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      }
    })(),
  );
}

/** Decodes all bytes of a buffer to f32. */
function toF32({ buffer }: Uint8Array<ArrayBuffer>, dtype: SafetensorsType): Float32Array<ArrayBuffer> {
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F16") return Float32Array.from(new Float16Array(buffer));
  return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (half) => half << 16).buffer);
}

interface Header {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

async function readHeader(path: string, file: Deno.FsFile): Promise<Header> {
  const { size, isFile } = await file.stat();
  const refuse = (what: string) =>
    dataError(`Not a valid safetensors file: ${what}`, path, "download or save the file again");
  if (!isFile) throw refuse("it is a folder or a device");
  if (size < 8) throw refuse(`it has ${size} bytes, too few for a header length`);
  const prefix = new Uint8Array(8);
  await readExactly(file, prefix, path);
  const headerBytes = new DataView(prefix.buffer).getBigUint64(0, true);
  if (headerBytes > BigInt(Math.min(MAX_HEADER_BYTES, size - 8))) {
    throw refuse(`its header claims ${headerBytes} bytes, but the file has ${size}`);
  }
  const raw = new Uint8Array(Number(headerBytes));
  await readExactly(file, raw, path);
  const header = parseHeader(raw, refuse);
  const dataStart = 8 + raw.length;
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__").map(([name, value]) =>
    parseEntry(name, value, dataStart, refuse)
  );
  checkLayout(entries, dataStart, size, refuse);
  return {
    tensors: new Map(entries.map((entry) => [entry.name, entry])),
    metadata: parseMetadata(header.__metadata__ ?? {}, refuse),
  };
}

type Refuse = (what: string) => Error;

function parseHeader(raw: Uint8Array, refuse: Refuse): Record<string, unknown> {
  let text: string, header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(raw);
    header = JSON.parse(text);
  } catch {
    throw refuse("its header is not JSON");
  }
  if (!text.startsWith("{")) throw refuse("its header is not a JSON object");
  const twice = duplicateKey(text);
  if (twice !== undefined) throw refuse(`its header names "${twice}" twice`);
  return header as Record<string, unknown>;
}

/**
 * The first top-level key that stands twice in a valid JSON object: JSON.parse would silently keep the last.
 *
 * A loop, not a regular expression, whose stack a string of 10 MB overflows.
 */
function duplicateKey(json: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0, before = "";
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else if (char === '"') {
      const start = at;
      while (json[++at] !== '"') if (json[at] === "\\") at++;
      if (depth !== 1 || before === ":") continue;
      const key = JSON.parse(json.slice(start, at + 1)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
    if (char > " ") before = char;
  }
  return undefined;
}

function parseMetadata(value: unknown, refuse: Refuse): Readonly<Record<string, string>> {
  const fits = typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.values(value).every((text) => typeof text === "string");
  if (!fits) throw refuse("its __metadata__ is not an object of strings");
  return value as Readonly<Record<string, string>>;
}

function parseEntry(name: string, value: unknown, dataStart: number, refuse: Refuse): TensorEntry {
  const { dtype, shape, data_offsets } = (value ?? {}) as Record<string, unknown>;
  const whole = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0);
  if (typeof dtype !== "string" || !whole(shape) || !whole(data_offsets) || data_offsets.length !== 2) {
    throw refuse(`tensor "${name}" has no valid dtype, shape and data_offsets`);
  }
  if (!Object.hasOwn(ALL_BYTES, dtype)) {
    throw refuse(`tensor "${name}" is of the unknown type "${dtype}"`);
  }
  const [begin, end] = data_offsets;
  const bytes = shape.reduce((product, extent) => product * extent, ALL_BYTES[dtype]);
  if (end - begin !== bytes) {
    throw refuse(
      `tensor "${name}" has ${end - begin} bytes, but ${dtype} [${shape.join(", ")}] takes ${bytes}`,
    );
  }
  return { name, dtype, shape, start: dataStart + begin, bytes };
}

/** Tensors must cover the file from header to end, in some order, without holes or overlaps. */
function checkLayout(entries: readonly TensorEntry[], dataStart: number, size: number, refuse: Refuse): void {
  let position = dataStart;
  for (const { name, start, bytes } of entries.toSorted((a, b) => a.start - b.start || a.bytes - b.bytes)) {
    if (start !== position) throw refuse(`tensor "${name}" starts at byte ${start}, not at ${position}`);
    position += bytes;
  }
  if (position !== size) throw refuse(`its tensors end at byte ${position}, but the file has ${size}`);
}

async function readExactly(file: Deno.FsFile, target: Uint8Array<ArrayBuffer>, path: string): Promise<void> {
  for (let done = 0; done < target.length;) {
    const read = await file.read(target.subarray(done));
    if (read === null) {
      throw dataError(
        `The file ended ${target.length - done} bytes early`,
        path,
        "download or save the file again",
      );
    }
    done += read;
  }
}
