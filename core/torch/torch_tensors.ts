import { dataError } from "../files.ts";
import { TorchFile, TorchTensor, type TorchValue } from "./torch_file.ts";

/** A tensor of a file, with its values. */
export interface StoredTensor {
  /** Extent of each dimension; none for a single value. */
  readonly shape: readonly number[];
  /** Row by row. */
  readonly values: Float64Array<ArrayBuffer>;
}

/**
 * The tensors of a small file that `torch.save` wrote, by name; those of a dictionary within a dictionary are called
 * `outer/inner`. Nothing of the file is run.
 *
 * @throws {UserError} of kind `data`, naming the file, if it is damaged or holds anything else
 */
export async function readTorchTensors(path: string): Promise<ReadonlyMap<string, StoredTensor>> {
  using file = await TorchFile.open(path);
  const tensors = new Map<string, StoredTensor>();
  const add = async (value: TorchValue, name: string): Promise<void> => {
    if (value instanceof TorchTensor) {
      tensors.set(name, { shape: value.shape, values: await file.values(value) });
    } else if (value instanceof Map) {
      for (const [key, inner] of value) await add(inner, name === "" ? String(key) : `${name}/${key}`);
    } else {
      throw dataError(
        `${name === "" ? "It" : `"${name}"`} is no tensor and no dictionary`,
        path,
        "save a dictionary of tensors with torch.save",
      );
    }
  };
  await add(file.value, "");
  return tensors;
}
