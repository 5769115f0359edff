/**
 * The zip archives that `torch.save` writes: records one behind the other, uncompressed, and a directory at the end.
 *
 * Reading is strict. Only the directory is believed, and what two readers could understand in two ways is refused:
 * names that stand there twice, records that overlap, bytes behind the end, a name other than at the record itself.
 */

/** Random access to the bytes of a file. */
export interface ByteSource {
  readonly size: number;
  /** Exactly so many bytes; both are within the file. */
  read(start: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** Where a record's bytes lie in the file. */
export interface ZipRecord {
  readonly name: string;
  readonly start: number;
  readonly bytes: number;
}

/** Makes the error for an archive that breaks a rule. */
export type RefuseArchive = (what: string) => Error;

const LOCAL = 0x04034b50,
  DIRECTORY = 0x02014b50,
  END = 0x06054b50,
  END64 = 0x06064b50,
  LOCATOR64 = 0x07064b50;
const LOCAL_BYTES = 30, DIRECTORY_BYTES = 46, END_BYTES = 22, END64_BYTES = 56, LOCATOR64_BYTES = 20;
/** Some ten thousand records; state dictionaries have some hundred. */
const MAX_DIRECTORY_BYTES = 1 << 22;
const ENCRYPTED = 1;
const UNKNOWN_32 = 0xffffffff, UNKNOWN_16 = 0xffff;

/** The records of an archive by name. */
export async function readZipDirectory(
  source: ByteSource,
  refuse: RefuseArchive,
): Promise<ReadonlyMap<string, ZipRecord>> {
  const { entries, start, bytes } = await findDirectory(source, refuse);
  if (bytes > MAX_DIRECTORY_BYTES) throw refuse(`its directory takes ${bytes} bytes`);
  const directory = new View(await source.read(start, bytes));
  const records = new Map<string, ZipRecord>();
  let at = 0;
  for (let entry = 0; entry < entries; entry++) {
    const header = readHeader(directory, at, refuse);
    at += header.length;
    if (records.has(header.name)) throw refuse(`"${header.name}" stands in its directory twice`);
    records.set(header.name, await locate(source, header, start, refuse));
  }
  if (at !== bytes) throw refuse("its directory has bytes left over");
  let end = 0;
  for (const record of [...records.values()].sort((a, b) => a.start - b.start || a.bytes - b.bytes)) {
    if (record.start < end) throw refuse(`"${record.name}" overlaps the record before it`);
    end = record.start + record.bytes;
  }
  return records;
}

/** What the end of the archive says of its directory. */
async function findDirectory(source: ByteSource, refuse: RefuseArchive) {
  if (source.size < END_BYTES) throw refuse(`it has ${source.size} bytes`);
  // torch writes no comment, so nothing is searched for: the end record ends the file.
  const first = source.size - END_BYTES;
  const end = new View(await source.read(first, END_BYTES));
  if (end.u32(0) !== END || end.u16(20) !== 0) throw refuse("it does not end with a zip directory");
  if (end.u16(4) !== 0 || end.u16(6) !== 0 || end.u16(8) !== end.u16(10)) {
    throw refuse("it is one of several volumes");
  }
  const found = { entries: end.u16(10), bytes: end.u32(12), start: end.u32(16), end: first };
  const tail = await directory64(source, first, refuse);
  if (tail) {
    const matches = (small: number, unknown: number, large: number) => small === unknown || small === large;
    if (
      !matches(found.entries, UNKNOWN_16, tail.entries) || !matches(found.bytes, UNKNOWN_32, tail.bytes) ||
      !matches(found.start, UNKNOWN_32, tail.start)
    ) throw refuse("its two end records disagree");
  }
  const { entries, bytes, start, end: limit } = tail ?? found;
  if (start + bytes !== limit) throw refuse("its directory does not lie in front of its end");
  return { entries, bytes, start };
}

/** The larger end record, for archives beyond 4 GiB, if there is one. */
async function directory64(source: ByteSource, end: number, refuse: RefuseArchive) {
  if (end < LOCATOR64_BYTES + END64_BYTES) return undefined;
  const locator = new View(await source.read(end - LOCATOR64_BYTES, LOCATOR64_BYTES));
  if (locator.u32(0) !== LOCATOR64) return undefined;
  const first = locator.u64(8, refuse);
  if (first + END64_BYTES !== end - LOCATOR64_BYTES) throw refuse("its zip64 end record is not at its place");
  const record = new View(await source.read(first, END64_BYTES));
  if (record.u32(0) !== END64 || record.u64(4, refuse) !== END64_BYTES - 12) {
    throw refuse("its zip64 end record is damaged");
  }
  if (record.u32(16) !== 0 || record.u32(20) !== 0 || record.u64(24, refuse) !== record.u64(32, refuse)) {
    throw refuse("it is one of several volumes");
  }
  return {
    entries: record.u64(32, refuse),
    bytes: record.u64(40, refuse),
    start: record.u64(48, refuse),
    end: first,
  };
}

interface Header {
  readonly name: string;
  /** Of the record's local header. */
  readonly start: number;
  readonly bytes: number;
  /** Of this entry in the directory. */
  readonly length: number;
}

function readHeader(directory: View, at: number, refuse: RefuseArchive): Header {
  if (at + DIRECTORY_BYTES > directory.length || directory.u32(at) !== DIRECTORY) {
    throw refuse("its directory ends early");
  }
  const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => directory.u16(at + offset));
  const length = DIRECTORY_BYTES + nameBytes + extraBytes + commentBytes;
  if (at + length > directory.length) throw refuse("its directory ends early");
  const name = directory.text(at + DIRECTORY_BYTES, nameBytes, refuse);
  if (directory.u16(at + 8) & ENCRYPTED) throw refuse(`"${name}" is encrypted`);
  if (directory.u16(at + 10) !== 0) throw refuse(`"${name}" is compressed, which torch.save never does`);
  const sizes = {
    stored: directory.u32(at + 20),
    bytes: directory.u32(at + 24),
    start: directory.u32(at + 42),
  };
  const { stored, bytes, start } = extended(
    directory,
    at + DIRECTORY_BYTES + nameBytes,
    extraBytes,
    sizes,
    name,
    refuse,
  );
  if (stored !== bytes) throw refuse(`"${name}" takes ${stored} bytes but is said to have ${bytes}`);
  return { name, start, bytes, length };
}

/** Sizes of an entry, those that 32 bits do not hold from its zip64 field. */
function extended(
  directory: View,
  first: number,
  length: number,
  sizes: { readonly stored: number; readonly bytes: number; readonly start: number },
  name: string,
  refuse: RefuseArchive,
) {
  const result = { ...sizes };
  const order = ["bytes", "stored", "start"] as const;
  for (let at = first; at + 4 <= first + length;) {
    const kind = directory.u16(at), size = directory.u16(at + 2);
    if (at + 4 + size > first + length) throw refuse(`"${name}" has a damaged extra field`);
    if (kind === 1) {
      let field = at + 4;
      for (const key of order) {
        if (sizes[key] !== UNKNOWN_32) continue;
        if (field + 8 > at + 4 + size) throw refuse(`"${name}" has a damaged zip64 field`);
        result[key] = directory.u64(field, refuse);
        field += 8;
      }
      return result;
    }
    at += 4 + size;
  }
  if (order.some((key) => sizes[key] === UNKNOWN_32)) throw refuse(`"${name}" lacks its zip64 field`);
  return result;
}

/** Where a record's bytes begin: behind its local header, whose extra field has a length of its own. */
async function locate(
  source: ByteSource,
  { name, start, bytes }: Header,
  limit: number,
  refuse: RefuseArchive,
): Promise<ZipRecord> {
  const outside = () => refuse(`"${name}" lies outside the file`);
  if (start + LOCAL_BYTES > limit) throw outside();
  const header = new View(await source.read(start, LOCAL_BYTES));
  if (header.u32(0) !== LOCAL) throw refuse(`"${name}" does not begin with a header`);
  const nameBytes = header.u16(26);
  const first = start + LOCAL_BYTES + nameBytes + header.u16(28);
  if (first + bytes > limit) throw outside();
  const local = new View(await source.read(start + LOCAL_BYTES, nameBytes));
  if (local.text(0, nameBytes, refuse) !== name) {
    throw refuse(`"${name}" has another name at the record itself`);
  }
  return { name, start: first, bytes };
}

/** Little-endian numbers and text in some bytes. */
class View {
  readonly length: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  u64(at: number, refuse: RefuseArchive): number {
    const value = this.#view.getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse(`it claims ${value} bytes`);
    return Number(value);
  }

  text(at: number, length: number, refuse: RefuseArchive): string {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(this.#bytes.subarray(at, at + length));
    } catch {
      throw refuse("it has a name that is not UTF-8");
    }
  }
}
