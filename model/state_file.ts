/** Small files of named tensors, in safetensors or in torch's own format: temperatures and classifiers. */
import { dataError } from "../core/files.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { TorchFile, TorchTensor } from "../core/torch/torch_file.ts";

/** A tensor of a small file, its values read when they are wanted. */
export interface StateTensor {
  readonly shape: readonly number[];
  /** Row by row. */
  values(): Promise<Float32Array<ArrayBuffer>>;
}

/**
 * Runs with the tensors of a file by name: of safetensors if its name ends so, else of what `torch.save` wrote.
 *
 * @throws {UserError} of kind `data`, naming the file, if it is damaged or not a dictionary of tensors
 */
export async function withStateFile<T>(
  path: string,
  work: (tensors: ReadonlyMap<string, StateTensor>) => Promise<T>,
): Promise<T> {
  if (path.endsWith(".safetensors")) {
    using file = await SafetensorsFile.open(path);
    return await work(
      new Map([...file.tensors].map(([name, entry]) => [
        name,
        { shape: entry.shape, values: () => file.values(entry) },
      ])),
    );
  }
  using file = await TorchFile.open(path);
  if (!(file.value instanceof Map)) throw notState(path, "no dictionary");
  const tensors = new Map<string, StateTensor>();
  for (const [name, tensor] of file.value) {
    if (typeof name !== "string") throw notState(path, "a key that is no name");
    if (!(tensor instanceof TorchTensor)) throw notState(path, `"${name}", which is no tensor`);
    tensors.set(name, {
      shape: tensor.shape,
      values: async () => Float32Array.from(await file.values(tensor)),
    });
  }
  return await work(tensors);
}

function notState(path: string, holds: string): Error {
  return dataError(
    `Not a dictionary of tensors: it holds ${holds}`,
    path,
    "save a module's state_dict() with torch.save",
  );
}
