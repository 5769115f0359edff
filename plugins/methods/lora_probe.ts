/**
 * LoRA+Probe (arXiv 2406.08391): a classifier on the last hidden state of a model whose adapter is trained with it. The
 * adapter's folder is PEFT's; the classifier lies beside it.
 */
import type {
  Labeled,
  LanguageModel,
  TrainableMethod,
  TrainingContext,
  TrainingExample,
  TrainingRows,
} from "../../core/mod.ts";
import {
  ADAPTER_TRAINING,
  ADAPTER_TRAINING_HELP,
  type AdapterTrainingOptions,
  checkTrainingOptions,
} from "./adapter_options.ts";
import { checkClasses, decided, trainAdapter, VALIDATION_ROWS, withinLength } from "./adapter_training.ts";
import {
  CLASS_HELP,
  HEADS,
  type Position,
  POSITIONS,
  predictClass,
  shapeOf,
  spanOf,
  writeFeatures,
} from "./class_features.ts";

/** Options of {@linkcode loraProbe}; the defaults are the paper's recipe. */
export interface LoraProbeOptions extends AdapterTrainingOptions {
  /** `answer` and `question`: the last token; `answer-mean`: the mean over the answer; `query`: the question's last. */
  readonly position: Position;
  /** `mlp`, of widths 256, 128 and 64, or `linear`. */
  readonly head: keyof typeof HEADS;
}

/** Only the last layer has the whole adapter below it. */
const LAYERS = [-1];

/** The method of the paper. */
export const loraProbe: TrainableMethod<LoraProbeOptions> = {
  kind: "method",
  name: "lora-probe",
  version: 1,
  description: "LoRA+Probe: a classifier on hidden states, and an adapter that is trained with it",
  defaults: { ...ADAPTER_TRAINING, position: "answer", head: "mlp" },
  help: { ...ADAPTER_TRAINING_HELP, ...CLASS_HELP },
  check,
  train,
  predict: (model, rows, context) => predictClass(loraProbe.name, model, rows, context),
};

function check(options: LoraProbeOptions): void {
  const { position, head } = options;
  checkTrainingOptions(loraProbe.name, options, [
    ["position", POSITIONS.includes(position), `one of ${POSITIONS.join(", ")}`],
    ["head", Object.hasOwn(HEADS, head), `one of ${Object.keys(HEADS).join(", ")}`],
  ]);
}

async function train(
  model: LanguageModel,
  rows: TrainingRows,
  context: TrainingContext<LoraProbeOptions>,
): Promise<string> {
  const { options } = context, { position, head } = options;
  check(options);
  const trainRows = decided(rows.train);
  const exampleOf = (row: Labeled, id: number): TrainingExample => {
    const { tokens, first, end } = spanOf(model, row, position);
    const loss = { kind: "class", branch: 0, first, end, label: row.label!, weight: 1 } as const;
    return { id, prefix: tokens, branches: [[]], losses: [loss] };
  };
  const examples = withinLength(trainRows.map(exampleOf), "train", context);
  checkClasses(examples.map(({ id }) => trainRows[id]));
  const validation = withinLength(
    decided(rows.validation).slice(0, VALIDATION_ROWS)
      .map((row, index) => exampleOf(row, trainRows.length + index)),
    "validation",
    context,
  );
  const classifier = {
    shape: shapeOf(model, LAYERS.length, head),
    describe: (folder: string) => writeFeatures(folder, model, { layers: LAYERS, position }),
  };
  const ids = trainRows.map(({ id }) => id);
  return await trainAdapter(model, { examples, validation, ids, klDecay: 0, classifier }, context);
}
