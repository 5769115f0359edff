import type { Adapter, StepResult, Trainer, TrainingExample } from "@credence/credence";
import { FakeModel, type FakeModelOptions } from "@credence/credence/testing";

/** What happens to a step's losses on their way back to the method. */
type Tamper = (step: number, losses: StepResult) => StepResult;

/** A fake model that writes down what its trainers are given. */
export class RecordingModel extends FakeModel {
  /** Examples of each step taken, whichever trainer took it. */
  readonly batches: (readonly TrainingExample[])[] = [];
  /** Micro-batches of each step. */
  readonly microBatches: number[] = [];
  /** What each trainer measures divergences from. */
  readonly references: (Adapter | undefined)[] = [];
  /** Examples looked at without a step. */
  readonly evaluated: TrainingExample[] = [];
  readonly #tamper: Tamper;
  readonly #tamperEvaluation: (losses: StepResult) => StepResult;

  constructor(
    options: FakeModelOptions = {},
    tamper: Tamper = (_, losses) => losses,
    tamperEvaluation: (losses: StepResult) => StepResult = (losses) => losses,
  ) {
    super({ evidence: (text) => text.includes("good") ? 1 : -1, ...options });
    this.#tamper = tamper;
    this.#tamperEvaluation = tamperEvaluation;
  }

  override createTrainer(...given: Parameters<FakeModel["createTrainer"]>): Trainer {
    this.references.push(given[3]?.reference);
    const trainer = super.createTrainer(...given);
    const { batches, evaluated, microBatches: counts } = this,
      tamper = this.#tamper,
      tamperEvaluation = this.#tamperEvaluation;
    return {
      get step() {
        return trainer.step;
      },
      async train(microBatches, learningRate) {
        batches.push(microBatches.flat());
        counts.push(microBatches.length);
        return tamper(trainer.step + 1, await trainer.train(microBatches, learningRate));
      },
      async evaluate(examples) {
        evaluated.push(...examples);
        return tamperEvaluation(await trainer.evaluate(examples));
      },
      save: (folder) => trainer.save(folder),
      load: (folder) => trainer.load(folder),
      free: () => trainer.free(),
    };
  }
}
