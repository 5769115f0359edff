/**
 * What `torch.save` writes since torch 1.6: a zip archive of a pickle and of the bytes of its tensors.
 *
 * Only what a state dictionary needs is understood, and nothing of a file is ever run: see `pickle.ts`.
 */
import { dataError } from "../files.ts";
import { PickleGlobal, type PickleRules, type PickleValue, readPickle } from "./pickle.ts";
import { type ByteSource, readZipDirectory, type ZipRecord } from "./zip_file.ts";

/** An element type by the name of torch's storage class, and its size in bytes. */
const STORAGES = {
  FloatStorage: ["float32", 4],
  HalfStorage: ["float16", 2],
  BFloat16Storage: ["bfloat16", 2],
  DoubleStorage: ["float64", 8],
  LongStorage: ["int64", 8],
  IntStorage: ["int32", 4],
  ShortStorage: ["int16", 2],
  CharStorage: ["int8", 1],
  ByteStorage: ["uint8", 1],
  BoolStorage: ["bool", 1],
} as const satisfies Readonly<Record<string, readonly [string, number]>>;

/** An element type by torch's name. */
export type TorchType = typeof STORAGES[keyof typeof STORAGES][0];

/** A tensor in a file: a view of a storage, which several may share. */
export class TorchTensor {
  readonly dtype: TorchType;
  readonly shape: readonly number[];
  /** Values from one index of each dimension to the next. */
  readonly strides: readonly number[];
  /** The first value, counted in values from the start of the storage. */
  readonly offset: number;
  /** Where the storage's bytes lie in the file. */
  readonly storage: ZipRecord;

  constructor({ dtype, shape, strides, offset, storage }: TorchTensor) {
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.storage = storage;
  }
}

/** What a file holds. */
export type TorchValue = PickleValue<TorchTensor | Storage>;

class Storage {
  readonly record: ZipRecord;
  readonly dtype: TorchType;
  readonly valueBytes: number;

  constructor(record: ZipRecord, dtype: TorchType, valueBytes: number) {
    this.record = record;
    this.dtype = dtype;
    this.valueBytes = valueBytes;
  }
}

/** The names that a pickled state dictionary calls. */
const FUNCTIONS: ReadonlySet<string> = new Set([
  "collections.OrderedDict",
  "torch.Size",
  "torch._utils._rebuild_parameter",
  "torch._utils._rebuild_tensor_v2",
]);

/** The pickle itself is small: names, shapes, and where the values lie. */
const MAX_PICKLE_BYTES = 100_000_000;

/** An open file of torch's. */
export class TorchFile implements Disposable {
  readonly path: string;
  /** What was saved, tensors as {@linkcode TorchTensor}. */
  readonly value: TorchValue;
  readonly #source: ByteSource & Partial<Disposable>;
  readonly #littleEndian: boolean;

  private constructor(path: string, source: ByteSource, contents: Contents) {
    this.path = path;
    this.#source = source;
    this.value = contents.value;
    this.#littleEndian = contents.littleEndian;
  }

  /**
   * Opens a file and reads all but its values.
   *
   * @throws {UserError} of kind `data`, naming the file, for all that is not understood
   */
  static async open(path: string): Promise<TorchFile> {
    const source = await FileSource.open(path);
    try {
      return await TorchFile.read(path, source);
    } catch (error) {
      source[Symbol.dispose]();
      throw error;
    }
  }

  /** Reads from somewhere else than a file; `path` names it in errors. */
  static async read(path: string, source: ByteSource): Promise<TorchFile> {
    return new TorchFile(path, source, await readContents(path, source));
  }

  /**
   * The values of a tensor, row by row.
   *
   * @throws {UserError} of kind `data` for a whole number that a double does not hold
   */
  async values(tensor: TorchTensor): Promise<Float64Array<ArrayBuffer>> {
    const { dtype, shape, strides, offset, storage } = tensor;
    const bytes = bytesOf(dtype);
    const count = shape.reduce((product, extent) => product * extent, 1);
    const values = new Float64Array(count);
    if (count === 0) return values;
    const span = shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis], 1);
    const raw = await this.#source.read(storage.start + offset * bytes, span * bytes);
    const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
    const read = READERS[dtype];
    const index = shape.map(() => 0);
    let at = 0;
    for (let item = 0; item < count; item++) {
      values[item] = read(view, at * bytes, this.#littleEndian);
      if (dtype === "int64" && !Number.isSafeInteger(values[item])) {
        throw dataError("A whole number is beyond 2⁵³", this.path, "save it as a smaller type");
      }
      // Counts up like the odometer of a car, the last axis first.
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        at += strides[axis];
        if (++index[axis] < shape[axis]) break;
        at -= index[axis] * strides[axis];
        index[axis] = 0;
      }
    }
    return values;
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]?.();
  }
}

interface Contents {
  readonly value: TorchValue;
  readonly littleEndian: boolean;
}

async function readContents(path: string, source: ByteSource): Promise<Contents> {
  const refuse = (what: string, fix = "download the file again, or save a state_dict() with torch.save") =>
    dataError(`Not a file that can be read from torch.save: ${what}`, path, fix);
  await checkBeginning(source, refuse);
  const records = await readZipDirectory(source, refuse);
  const pickles = [...records.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) throw refuse(`it has ${pickles.length} records called data.pkl`);
  const folder = pickles[0].slice(0, -"data.pkl".length);
  const read = async (record: ZipRecord) => await source.read(record.start, record.bytes);
  const order = records.get(`${folder}byteorder`);
  const byteOrder = order && order.bytes <= 16
    ? new TextDecoder().decode(await read(order))
    : order && "unknown";
  if (byteOrder !== undefined && byteOrder !== "little" && byteOrder !== "big") {
    throw refuse(`its byteorder is ${JSON.stringify(byteOrder)}`);
  }
  const pickle = records.get(pickles[0])!;
  if (pickle.bytes > MAX_PICKLE_BYTES) throw refuse(`its pickle takes ${pickle.bytes} bytes`);
  const value = readPickle(await read(pickle), rulesFor(records, folder, refuse));
  return { value, littleEndian: byteOrder !== "big" };
}

type Refuse = (what: string, fix?: string) => Error;

/** Tells apart, by how they begin, what people mistake for such a file. */
async function checkBeginning(source: ByteSource, refuse: Refuse): Promise<void> {
  const first = await source.read(0, Math.min(64, source.size));
  const startsWith = (...bytes: number[]) => bytes.every((byte, index) => first[index] === byte);
  if (startsWith(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19)) {
    throw refuse(
      "it has the format from before torch 1.6",
      "save it again with a newer torch: torch.save(torch.load(path, weights_only=True), path)",
    );
  }
  if (startsWith(0x80)) {
    throw refuse("it is a bare pickle", "save it with torch.save, as a dictionary of tensors");
  }
  if (new TextDecoder().decode(first).startsWith("version https://git-lfs")) {
    throw refuse("it only points to a file in Git LFS", 'fetch the file itself with "git lfs pull"');
  }
}

/** What the pickle of a state dictionary may name, and what that means here. */
function rulesFor(
  records: ReadonlyMap<string, ZipRecord>,
  folder: string,
  refuse: Refuse,
): PickleRules<TorchTensor | Storage> {
  return {
    refuse,
    allows: (name) => FUNCTIONS.has(name) || Object.hasOwn(STORAGES, name.replace(/^torch\./, "")),
    persistent: (id) => storageOf(id, records, folder, refuse),
    call(name, args) {
      switch (name) {
        case "collections.OrderedDict":
          if (args.length === 0) return new Map();
          break;
        case "torch.Size":
          if (args.length === 1 && Array.isArray(args[0])) return args[0];
          break;
        case "torch._utils._rebuild_parameter":
          if (args.length === 3 && args[0] instanceof TorchTensor) return args[0];
          break;
        case "torch._utils._rebuild_tensor_v2":
          return tensorOf(args, refuse);
      }
      throw refuse(`it calls ${name} with what that does not take`);
    },
  };
}

function storageOf(
  id: TorchValue,
  records: ReadonlyMap<string, ZipRecord>,
  folder: string,
  refuse: Refuse,
): Storage {
  const [word, kind, key, , count] = Array.isArray(id) && id.length === 5 ? id as readonly TorchValue[] : [];
  const type = kind instanceof PickleGlobal ? kind.name.replace(/^torch\./, "") : "";
  if (word !== "storage" || !Object.hasOwn(STORAGES, type) || typeof key !== "string" || !isCount(count)) {
    throw refuse("it names something outside that is no storage");
  }
  const record = records.get(`${folder}data/${key}`);
  if (!record) throw refuse(`its storage ${JSON.stringify(key.slice(0, 40))} is missing`);
  const [dtype, bytes] = STORAGES[type as keyof typeof STORAGES];
  if (record.bytes !== count * bytes) {
    throw refuse(
      `its storage "${key}" has ${record.bytes} bytes, but ${count} values of ${dtype} take ${count * bytes}`,
    );
  }
  return new Storage(record, dtype, bytes);
}

/** A tensor from the arguments of torch's `_rebuild_tensor_v2`; a view that leaves its storage is refused. */
function tensorOf(args: readonly TorchValue[], refuse: Refuse): TorchTensor {
  const [storage, offset, shape, strides] = args;
  if (
    args.length < 6 || args.length > 7 || !(storage instanceof Storage) || !isCount(offset) ||
    !isCounts(shape) ||
    !isCounts(strides) || shape.length !== strides.length
  ) throw refuse("it has a tensor without a valid storage, offset, shape and strides");
  const { record, dtype, valueBytes } = storage;
  const available = record.bytes / valueBytes;
  const count = shape.reduce((product, extent) => product * extent, 1);
  const last = shape.reduce((sum, extent, axis) => sum + (extent - 1) * strides[axis], offset);
  const described = `a tensor of shape [${shape.join(", ")}]`;
  if (count > 0 && !(last < available)) throw refuse(`${described} reaches beyond its storage`);
  // A view that repeats values could claim any number of them.
  if (!(count <= available)) {
    throw refuse(
      `${described} has more values than its storage`,
      "save a copy of the tensor: tensor.clone()",
    );
  }
  return new TorchTensor({ dtype, shape, strides, offset, storage: record });
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount);

function bytesOf(dtype: TorchType): number {
  return Object.values(STORAGES).find(([name]) => name === dtype)![1];
}

const READERS: Readonly<Record<TorchType, (view: DataView, at: number, little: boolean) => number>> = {
  float32: (view, at, little) => view.getFloat32(at, little),
  float16: (view, at, little) => view.getFloat16(at, little),
  bfloat16: (view, at, little) => {
    BITS[0] = view.getUint16(at, little) << 16;
    return AS_FLOAT[0];
  },
  float64: (view, at, little) => view.getFloat64(at, little),
  int64: (view, at, little) => Number(view.getBigInt64(at, little)),
  int32: (view, at, little) => view.getInt32(at, little),
  int16: (view, at, little) => view.getInt16(at, little),
  int8: (view, at) => view.getInt8(at),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => view.getUint8(at) === 0 ? 0 : 1,
};

const BITS = new Uint32Array(1), AS_FLOAT = new Float32Array(BITS.buffer);

/** A file of the file system. */
class FileSource implements ByteSource, Disposable {
  readonly size: number;
  readonly #path: string;
  readonly #file: Deno.FsFile;

  private constructor(path: string, file: Deno.FsFile, size: number) {
    this.#path = path;
    this.#file = file;
    this.size = size;
  }

  static async open(path: string): Promise<FileSource> {
    let file: Deno.FsFile;
    try {
      file = await Deno.open(path);
    } catch (error) {
      throw dataError(`Cannot open ${path}`, path, "check that the file exists and may be read", error);
    }
    const { size, isFile } = await file.stat();
    if (isFile) return new FileSource(path, file, size);
    file.close();
    throw dataError(`${path} is a folder or a device`, path, "name a file");
  }

  async read(start: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    await this.#file.seek(start, Deno.SeekMode.Start);
    for (let done = 0; done < length;) {
      const read = await this.#file.read(bytes.subarray(done));
      if (read === null) {
        throw dataError(
          `The file ended ${length - done} bytes early`,
          this.#path,
          "download or save the file again",
        );
      }
      done += read;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
