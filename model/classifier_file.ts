/** A classifier on hidden states in a file, with the research code's names: `classifier_model.bin` or `.safetensors`. */
import { join } from "node:path";
import { dataError, exists } from "../core/files.ts";
import { writeSafetensors } from "./safetensors.ts";
import { type StateTensor, withStateFile } from "./state_file.ts";

/** One linear layer: `y = x Wᵀ + bias`. */
export interface ClassifierLayer {
  /** Its number among the classifier's modules, those without weights counted too: `0`, `2`, `4`, … */
  readonly name: string;
  /** Values it takes. */
  readonly inputs: number;
  /** Values it gives. */
  readonly outputs: number;
  /** `[outputs, inputs]`, row by row. */
  readonly weight: Float32Array<ArrayBuffer>;
  /** `[outputs]`; zeros if the layer has none. */
  readonly bias: Float32Array<ArrayBuffer>;
}

/** Linear layers with ReLU between them; the last gives the logits of "wrong" and "correct". */
export interface Classifier {
  /** From hidden state to logits. */
  readonly layers: readonly ClassifierLayer[];
  /** What the logits are divided by; 1 if none was fitted. */
  readonly temperature: number;
}

/** Logits of "wrong" and "correct". */
const CLASSES = 2;

/** Files that may hold the classifier of a checkpoint, the first that is there counting; the first is the one written. */
export const CLASSIFIER_FILES = ["classifier_model.safetensors", "classifier_model.bin"] as const;

/** Path of the classifier in a checkpoint, if it has one. */
export async function findClassifier(folder: string): Promise<string | undefined> {
  for (const name of CLASSIFIER_FILES) {
    const path = join(folder, name);
    if (await exists(path)) return path;
  }
  return undefined;
}

/**
 * Reads a classifier that the research code trained: linear layers at the even places of a sequence, ReLU between
 * them. With a temperature behind it all keys begin with `0.`, and there is `1.log_temperature`.
 *
 * @param path as in `classifier_model.bin`; one that ends in `.safetensors` is read as such
 * @throws {UserError} of kind `data`, naming the file, for anything else, such as a pickle that calls a function
 */
export async function readClassifier(path: string): Promise<Classifier> {
  return await withStateFile(path, async (tensors) => {
    const refuse: Refuse = (what) =>
      dataError(`Not a classifier: ${what}`, path, "use the classifier_model.bin that training wrote");
    const scaled = tensors.get("1.log_temperature");
    const prefix = tensors.has("0.0.weight") ? "0." : "";
    const rest = new Map(tensors);
    rest.delete("1.log_temperature");
    const layers: ClassifierLayer[] = [];
    for (let index = 0; rest.has(`${prefix}${index}.weight`); index += 2) {
      const name = `${prefix}${index}`;
      layers.push(
        await readLayer(String(index), take(rest, `${name}.weight`)!, take(rest, `${name}.bias`), refuse),
      );
    }
    const [extra] = rest.keys();
    if (extra !== undefined) throw refuse(`tensor "${extra}" has no place in it`);
    checkChain(layers, refuse);
    const temperature = scaled ? Math.exp(await one(scaled)) : 1;
    if (!(temperature > 0 && temperature < Infinity)) {
      throw refuse('there is no usable "1.log_temperature" of one value');
    }
    return { layers, temperature };
  });
}

/** Writes a classifier, with the names of `nn.Sequential`, so that torch reads it with `load_state_dict`. */
export async function writeClassifier(path: string, layers: readonly ClassifierLayer[]): Promise<void> {
  await writeSafetensors(
    path,
    layers.flatMap(({ name, inputs, outputs, weight, bias }) => [
      { name: `${name}.weight`, shape: [outputs, inputs], values: weight },
      { name: `${name}.bias`, shape: [outputs], values: bias },
    ]),
  );
}

type Refuse = (what: string) => Error;

function take(tensors: Map<string, StateTensor>, name: string): StateTensor | undefined {
  const tensor = tensors.get(name);
  tensors.delete(name);
  return tensor;
}

/** The only value of a tensor, or NaN. */
async function one(tensor: StateTensor): Promise<number> {
  return tensor.shape.every((extent) => extent === 1) ? (await tensor.values())[0] : NaN;
}

async function readLayer(
  name: string,
  weight: StateTensor,
  bias: StateTensor | undefined,
  refuse: Refuse,
): Promise<ClassifierLayer> {
  const [outputs, inputs] = weight.shape;
  if (weight.shape.length !== 2 || outputs === 0 || inputs === 0) {
    throw refuse(`"${name}.weight" has shape [${weight.shape.join(", ")}]`);
  }
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== outputs)) {
    throw refuse(
      `"${name}.bias" has shape [${bias.shape.join(", ")}], but the weight [${outputs}, ${inputs}]`,
    );
  }
  return {
    name,
    inputs,
    outputs,
    weight: await weight.values(),
    bias: bias ? await bias.values() : new Float32Array(outputs),
  };
}

/** Every layer takes what the one before it gives, and the last gives two logits. */
function checkChain(layers: readonly ClassifierLayer[], refuse: Refuse): void {
  if (layers.length === 0) throw refuse("it has no layers");
  layers.forEach(({ name, inputs }, index) => {
    const before = layers[index - 1];
    if (before && before.outputs !== inputs) {
      throw refuse(
        `layer "${name}" takes ${inputs} values, but layer "${before.name}" gives ${before.outputs}`,
      );
    }
  });
  const { outputs } = layers.at(-1)!;
  if (outputs !== CLASSES) throw refuse(`it gives ${outputs} logits, not ${CLASSES}`);
}
