import { join } from "node:path";
import {
  createRng,
  type Label,
  type Labeled,
  loraPrompt,
  type LoraPromptOptions,
  type Split,
  type TrainingContext,
} from "@credence/credence";
import type { RecordingModel } from "./_recording_model.ts";

/** An answer to a made-up question. */
export function row(split: Split, index: number, label: Label): Labeled {
  return {
    id: `${split}/${index}`,
    split,
    prompt: "",
    context: `Question: number ${index}?`,
    targetPrompt: "\nAnswer:",
    target: `the right ${index}`,
    output: label === 1 ? `good ${index}` : `bad ${index}`,
    label,
  };
}

/** Rows of which every second is right. */
export const rows = (split: Split, count: number) =>
  Array.from({ length: count }, (_, index) => row(split, index, index % 2 as 0 | 1));

export type Values = Readonly<Record<string, number>>;

export interface Training extends Partial<Pick<TrainingContext, "batchSize" | "maxSteps">> {
  readonly options?: Partial<LoraPromptOptions>;
  readonly seed?: number;
  readonly train?: readonly Labeled[];
  readonly validation?: readonly Labeled[];
  readonly log?: (step: number, values: Values) => void;
  readonly warn?: (text: string) => void;
}

/** Trains in a folder; ten steps of four rows, unless told otherwise. */
export function train(folder: string, model: RecordingModel, given: Training = {}): Promise<string> {
  return loraPrompt.train(
    model,
    { train: given.train ?? rows("train", 12), validation: given.validation ?? rows("validation", 6) },
    {
      options: { ...loraPrompt.defaults, lr: 0.5, ...given.options },
      rng: createRng(given.seed ?? 1),
      batchSize: given.batchSize ?? 4,
      maxSteps: given.maxSteps ?? 10,
      progress: { update() {} },
      log: given.log ?? (() => {}),
      warn: given.warn,
      folder,
    },
  );
}

export const idsOf = (model: RecordingModel) => model.batches.flat().map(({ id }) => id);

export const namesIn = async (folder: string) =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

export const adapterOf = (checkpoint: string) => Deno.readTextFile(join(checkpoint, "fake_adapter.json"));
