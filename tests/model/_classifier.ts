import type { ClassifierShape, OptimizerOptions, TrainingExample } from "../../core/types.ts";
import type { ClassifierLayer } from "../../model/classifier_file.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";

/** What torch, transformers and PEFT gave: see tests/golden/README.md. */
export interface GoldenClassifier {
  readonly hidden: Readonly<
    Record<
      string,
      readonly {
        readonly tokens: number[];
        readonly first: number;
        readonly end: number;
        readonly layers: number[][];
        readonly layers_adapter: number[][];
      }[]
    >
  >;
  readonly features: GoldenSteps & {
    readonly labels: (0 | 1)[];
    readonly batch: number;
    readonly logits: number[][];
  };
  readonly lora: Readonly<Record<string, GoldenSteps & { readonly examples: readonly TrainingExample[] }>>;
}

interface GoldenSteps {
  readonly optimizer: OptimizerOptions;
  readonly learning_rate: number;
  /** Loss and gradient norm of each step. */
  readonly losses: readonly [number, number][];
}

/** Path of a recorded file. */
export function classifierPath(...parts: string[]): string {
  return [new URL("../golden/classifier", import.meta.url).pathname, ...parts].join("/");
}

/** The recorded numbers. */
export async function readGoldenClassifier(): Promise<GoldenClassifier> {
  return JSON.parse(await Deno.readTextFile(classifierPath("expected.json")));
}

/** All tensors of a file. */
export async function readTensors(path: string): Promise<Map<string, Float32Array<ArrayBuffer>>> {
  using file = await SafetensorsFile.open(path);
  const tensors = new Map<string, Float32Array<ArrayBuffer>>();
  for (const [name, entry] of file.tensors) tensors.set(name, await file.values(entry));
  return tensors;
}

/** The layers of a classifier in its flat vector of values: where each begins, and its outputs in memory. */
export function flatLayers({ inputs, hidden }: ClassifierShape) {
  const widths = [inputs, ...hidden, 4];
  let first = 0;
  const place = (count: number) => {
    const start = first;
    first = Math.ceil((first + count) / 64) * 64;
    return start;
  };
  return widths.slice(1).map((outputs, index) => ({
    name: String(2 * index),
    inputs: widths[index],
    outputs: index === hidden.length ? 2 : outputs,
    weightFirst: place(outputs * widths[index]),
    biasFirst: place(outputs),
  }));
}

/** The layers that lie in a flat vector: of values, or of their gradient. */
export function layersOf(shape: ClassifierShape, values: Float32Array<ArrayBuffer>): ClassifierLayer[] {
  return flatLayers(shape).map(({ name, inputs, outputs, weightFirst, biasFirst }) => ({
    name,
    inputs,
    outputs,
    weight: values.slice(weightFirst, weightFirst + outputs * inputs),
    bias: values.slice(biasFirst, biasFirst + outputs),
  }));
}
