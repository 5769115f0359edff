import {
  createRng,
  type Labeled,
  type Method,
  type TrainableMethod,
  type TrainingContext,
} from "@credence/credence";
import { FakeModel, type FakeModelOptions } from "@credence/credence/testing";
import { rows, type Values } from "./_training.ts";

/** A fake model that counts the texts whose hidden states it was asked for. */
export class CountingModel extends FakeModel {
  /** Texts up to the end of each span, and from its beginning. */
  readonly read: (readonly [text: string, span: string])[] = [];
  /** Layers of each call. */
  readonly layers: (readonly number[])[] = [];

  constructor(options: FakeModelOptions = {}) {
    super({ evidence: (text) => text.includes("good") ? 1 : -1, ...options });
  }

  override hiddenStates(...[spans, options]: Parameters<FakeModel["hiddenStates"]>) {
    this.layers.push(options.layers);
    for (const { tokens, first, end } of spans) {
      this.read.push([
        this.tokenizer.decode(tokens.slice(0, end)),
        this.tokenizer.decode(tokens.slice(first, end)),
      ]);
    }
    return super.hiddenStates(spans, options);
  }
}

interface Given<O> extends Partial<Pick<TrainingContext, "batchSize" | "maxSteps" | "signal">> {
  readonly options?: Partial<O>;
  readonly seed?: number;
  readonly train?: readonly Labeled[];
  readonly validation?: readonly Labeled[];
  readonly log?: (step: number, values: Values) => void;
  readonly warn?: (text: string) => void;
}

/** Trains a method; ten steps of four rows, unless told otherwise. */
export function trainWith<O extends object>(
  method: TrainableMethod<O>,
  folder: string,
  model: FakeModel,
  given: Given<O> = {},
): Promise<string> {
  return method.train(
    model,
    { train: given.train ?? rows("train", 12), validation: given.validation ?? rows("validation", 6) },
    {
      options: { ...method.defaults, lr: 0.5, ...given.options },
      rng: createRng(given.seed ?? 1),
      batchSize: given.batchSize ?? 4,
      maxSteps: given.maxSteps ?? 10,
      progress: { update() {} },
      log: given.log ?? (() => {}),
      signal: given.signal,
      warn: given.warn,
      folder,
    },
  );
}

/** Scores of the test rows. */
export function scoresOf<O extends object>(method: Method<O>, model: FakeModel, checkpoint?: string) {
  return Array.fromAsync(method.predict(model, rows("test", 6), {
    options: method.defaults,
    rng: createRng(1),
    batchSize: 4,
    progress: { update() {} },
    checkpoint,
  }));
}
