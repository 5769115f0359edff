/** A tensor as it lies in a safetensors file. */
export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Runs with a temporary folder, and removes it. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs with a file of these contents. */
export async function withFile(
  contents: Uint8Array<ArrayBuffer>,
  work: (path: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/model.safetensors`;
    await Deno.writeFile(path, contents);
    await work(path);
  });
}

/** A safetensors file with a header, which may be no JSON and may lie about its length. */
export function safetensorsFile(
  header: string | Uint8Array | object,
  data: Uint8Array = new Uint8Array(),
  claimed?: bigint,
): Uint8Array<ArrayBuffer> {
  const text = header instanceof Uint8Array
    ? header
    : new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}

/** All tensors of a sound file. */
export async function readRaw(path: string): Promise<Map<string, RawTensor>> {
  const file = await Deno.readFile(path);
  const dataStart = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, dataStart)));
  const tensors = new Map<string, RawTensor>();
  delete header.__metadata__;
  for (const [name, { dtype, shape, data_offsets: [start, end] }] of Object.entries<RawEntry>(header)) {
    tensors.set(name, { dtype, shape, bytes: file.slice(dataStart + start, dataStart + end) });
  }
  return tensors;
}

interface RawEntry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

/** Writes tensors one behind the other. */
export async function writeRaw(path: string, tensors: ReadonlyMap<string, RawTensor>): Promise<void> {
  let end = 0;
  const header: Record<string, RawEntry> = {};
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape: [...shape], data_offsets: [end, end += bytes.length] };
  }
  const data = new Uint8Array(end);
  for (const [name, { bytes }] of tensors) data.set(bytes, header[name].data_offsets[0]);
  await Deno.writeFile(path, safetensorsFile(header, data));
}

/** Rewrites a file with its tensors changed. */
export async function editTensors(
  path: string,
  edit: (tensors: Map<string, RawTensor>) => void,
): Promise<void> {
  const tensors = await readRaw(path);
  edit(tensors);
  await writeRaw(path, tensors);
}

/** Rewrites a JSON file with its value changed. */
export async function editJson<T = Record<string, unknown>>(
  path: string,
  edit: (value: T) => void,
): Promise<void> {
  const value = JSON.parse(await Deno.readTextFile(path));
  edit(value);
  await Deno.writeTextFile(path, JSON.stringify(value));
}

/** What stands in `model.safetensors.index.json`. */
export interface Index {
  metadata?: Record<string, unknown>;
  weight_map: Record<string, string>;
}

/** Splits a folder's `model.safetensors` into `one.safetensors`, with its first five tensors, and `two.safetensors`. */
export async function shard(folder: string): Promise<void> {
  const all = [...await readRaw(`${folder}/model.safetensors`)];
  await Deno.remove(`${folder}/model.safetensors`);
  await writeRaw(`${folder}/one.safetensors`, new Map(all.slice(0, 5)));
  await writeRaw(`${folder}/two.safetensors`, new Map(all.slice(5)));
  const index: Index = {
    metadata: { total_size: all.reduce((sum, [, { bytes }]) => sum + bytes.length, 0) },
    weight_map: Object.fromEntries(
      all.map(([name], at) => [name, at < 5 ? "one.safetensors" : "two.safetensors"]),
    ),
  };
  await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, JSON.stringify(index));
}

/** Rewrites the index that {@linkcode shard} wrote. */
export async function editIndex(folder: string, edit: (index: Index) => void): Promise<void> {
  await editJson<Index>(`${folder}/model.safetensors.index.json`, edit);
}
