/** `model.safetensors.index.json`: which of several files holds each tensor of a checkpoint. */
import { basename } from "node:path";
import { dataError } from "../core/files.ts";
import { readConfigFile } from "./config_file.ts";
import type { SafetensorsFile } from "./safetensors.ts";

/** What an index says. */
export interface ShardIndex {
  readonly path: string;
  /** Names of the files, in the index's folder, in the order in which they first stand there. */
  readonly files: readonly string[];
  /** Name of the file of each tensor. */
  readonly fileOf: ReadonlyMap<string, string>;
  /** Bytes of all tensors, if the index says. */
  readonly totalSize?: number;
}

/** A name without a folder, a drive or a stream in it: whatever it is, it lies beside the index. */
const FILE_NAME = /^[^/\\:\0]+\.safetensors$/;

/** Reads an index. @throws {UserError} if it names anything but safetensors files of its own folder */
export async function readShardIndex(path: string): Promise<ShardIndex> {
  const { weight_map: map, metadata } = await readConfigFile(path);
  const refuse = (what: string) => dataError(what, path, AGAIN);
  const entries = typeof map === "object" && map !== null && !Array.isArray(map) ? Object.entries(map) : [];
  if (entries.length === 0) throw refuse("The index names no files");
  for (const [, name] of entries) {
    if (typeof name !== "string" || !FILE_NAME.test(name)) {
      throw refuse(`The index names the file ${JSON.stringify(name)}, which is none of its own folder`);
    }
  }
  const fileOf = new Map(entries as [string, string][]);
  const { total_size: totalSize } = (metadata ?? {}) as Record<string, unknown>;
  if (totalSize === undefined) return { path, files: [...new Set(fileOf.values())], fileOf };
  if (!Number.isSafeInteger(totalSize) || (totalSize as number) < 0) {
    throw refuse(`The index gives ${JSON.stringify(totalSize)} for total_size, which is no number of bytes`);
  }
  return { path, files: [...new Set(fileOf.values())], fileOf, totalSize: totalSize as number };
}

const AGAIN = "download the index and all its files again, of one revision";

/**
 * Refuses files that are not those the index was written for: with other tensors, or with tensors of another size,
 * as when some of them are of another revision.
 *
 * @param files in the order of `index.files`
 * @param ignored tensors that may be there although the index does not know them
 */
export function checkShards(index: ShardIndex, files: readonly SafetensorsFile[], ignored: RegExp): void {
  const byName = new Map(files.map((file, at) => [index.files[at], file]));
  for (const [tensor, name] of index.fileOf) {
    const file = byName.get(name)!;
    if (file.tensors.has(tensor)) continue;
    const other = files.find(({ tensors }) => tensors.has(tensor));
    const elsewhere = other ? `it is in ${basename(other.path)}` : "it is missing there";
    throw dataError(`The index says that ${name} holds "${tensor}", but ${elsewhere}`, file.path, AGAIN);
  }
  let bytes = 0;
  for (const [name, file] of byName) {
    for (const tensor of file.tensors.values()) {
      const wanted = index.fileOf.get(tensor.name);
      if (wanted === name) bytes += tensor.bytes;
      else if (wanted !== undefined || !ignored.test(tensor.name)) {
        const what = wanted === undefined ? "which the index does not know" : `which belongs in ${wanted}`;
        throw dataError(`${name} holds "${tensor.name}", ${what}`, file.path, AGAIN);
      }
    }
  }
  if (index.totalSize === undefined || index.totalSize === bytes) return;
  throw dataError(
    `The index says that all tensors take ${index.totalSize} bytes, but those in its files take ${bytes}`,
    index.path,
    `${AGAIN}; if it was published so, set metadata.total_size to ${bytes}`,
  );
}
