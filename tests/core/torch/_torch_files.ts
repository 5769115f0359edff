import { type TorchFile, TorchTensor, type TorchValue } from "../../../core/torch/torch_file.ts";
import type { ByteSource } from "../../../core/torch/zip_file.ts";

/** Path of a file that torch wrote: see tests/golden/README.md. */
export function torchPath(name: string): string {
  return new URL(`../../golden/torch_files/${name}`, import.meta.url).pathname;
}

/** A value as record_torch_files.py describes it. */
export type Described =
  | null
  | boolean
  | number
  | string
  | readonly Described[]
  | { readonly dictionary: readonly (readonly [Described, Described])[] }
  | { readonly tensor: string; readonly shape: readonly number[]; readonly values: readonly number[] };

/** What the files hold. */
export const expectedFiles: Readonly<Record<string, Described>> = JSON.parse(
  await Deno.readTextFile(torchPath("expected.json")),
);

/** Bytes in memory as a file. */
export function memorySource(bytes: Uint8Array<ArrayBuffer>): ByteSource {
  return {
    size: bytes.length,
    read: (start, length) => {
      const end = start + length;
      if (!(start >= 0 && length >= 0 && end <= bytes.length)) {
        throw new RangeError(`read of ${start} to ${end}, but there are ${bytes.length} bytes`);
      }
      return Promise.resolve(bytes.slice(start, end));
    },
  };
}

/** All that a file holds, with the values of its tensors; nothing may lie within itself. */
export async function describe(file: TorchFile, value: TorchValue = file.value): Promise<Described> {
  if (value instanceof TorchTensor) {
    return { tensor: value.dtype, shape: value.shape, values: [...await file.values(value)] };
  }
  if (value instanceof Map) {
    const dictionary: [Described, Described][] = [];
    for (const [key, item] of value) dictionary.push([await describe(file, key), await describe(file, item)]);
    return { dictionary };
  }
  if (Array.isArray(value)) {
    const items: Described[] = [];
    for (const item of value) items.push(await describe(file, item));
    return items;
  }
  return value as Described;
}

/** Every tensor of a file, each once, however it lies in itself. */
export function tensorsOf(value: TorchValue): TorchTensor[] {
  const seen = new Set<TorchValue>();
  const queue: TorchValue[] = [value];
  for (const next of queue) {
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    if (Array.isArray(next)) queue.push(...next);
    else if (next instanceof Map) queue.push(...next.keys(), ...next.values());
  }
  return [...seen].filter((item) => item instanceof TorchTensor);
}

/** A zip archive of records, uncompressed; the zip64 form is what archives beyond 4 GiB need. */
export function zipOf(
  records: readonly (readonly [name: string, data: Uint8Array])[],
  { zip64 = false, edit = {} }: { zip64?: boolean; edit?: ZipEdit } = {},
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [], directory: Uint8Array[] = [];
  let at = 0;
  const add = (...bytes: Uint8Array[]) => bytes.forEach((part) => (parts.push(part), at += part.length));
  for (const [name, data] of records) {
    const start = at, text = new TextEncoder().encode(name);
    const localText = new TextEncoder().encode(edit.localName ?? name);
    add(fields([4, 0x04034b50], [2, 20], [2, 0], [2, 0], [4, 0], [4, 0], [4, data.length], [4, data.length]));
    add(fields([2, localText.length], [2, 0]), localText, data);
    const size = (value: number) => zip64 ? 0xffffffff : value;
    const extra = zip64
      ? fields([2, 1], [2, edit.extraBytes ?? 24], [8, data.length], [8, data.length], [8, start])
      : new Uint8Array();
    directory.push(
      fields([4, 0x02014b50], [2, 20], [2, 20], [2, edit.flags ?? 0], [2, 0], [4, 0], [4, 0]),
      fields([4, size(edit.stored ?? data.length)], [4, size(data.length)]),
      fields([2, text.length], [2, extra.length], [2, 0], [2, 0], [2, 0], [4, 0]),
      fields([4, size(edit.start ?? start)]),
      text,
      extra,
    );
  }
  const start = at, entries = edit.entries ?? records.length;
  add(...directory);
  const bytes = at - start, record = at;
  if (zip64) {
    add(fields([4, 0x06064b50], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, entries], [8, entries]));
    add(fields([8, bytes], [8, edit.directoryStart ?? start], [4, 0x07064b50], [4, 0], [8, record], [4, 1]));
  }
  add(fields([4, 0x06054b50], [2, 0], [2, 0], [2, entries], [2, entries], [4, edit.directoryBytes ?? bytes]));
  add(
    fields([4, edit.smallStart ?? (zip64 ? 0xffffffff : edit.directoryStart ?? start)], [
      2,
      edit.comment ?? 0,
    ]),
  );
  const file = new Uint8Array(at);
  let offset = 0;
  for (const part of parts) {
    file.set(part, offset);
    offset += part.length;
  }
  return file;
}

/** Lies in an archive. */
export interface ZipEdit {
  readonly localName?: string;
  readonly flags?: number;
  readonly stored?: number;
  readonly start?: number;
  readonly extraBytes?: number;
  readonly entries?: number;
  readonly directoryBytes?: number;
  readonly directoryStart?: number;
  readonly smallStart?: number;
  readonly comment?: number;
}

function fields(...parts: [bytes: number, value: number][]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, [bytes]) => sum + bytes, 0));
  const view = new DataView(result.buffer);
  let at = 0;
  for (const [bytes, value] of parts) {
    if (bytes === 2) view.setUint16(at, value, true);
    else if (bytes === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += bytes;
  }
  return result;
}
