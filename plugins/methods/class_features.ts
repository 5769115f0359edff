/** What methods with a classifier have in common: which hidden state they read, and how a checkpoint says so. */
import { join } from "node:path";
import {
  answeredText,
  type BaseModel,
  checkBaseModel,
  type ClassifierShape,
  dataError,
  encodeWithin,
  exists,
  type Generation,
  type LanguageModel,
  type MethodContext,
  promptText,
  queryText,
  readJson,
  type TokenSpan,
  UserError,
  writeJsonAtomic,
} from "../../core/mod.ts";

/** Where in the text the hidden state is read. */
export const POSITIONS = ["answer", "answer-mean", "question", "query"] as const;

/** One of {@linkcode POSITIONS}. */
export type Position = typeof POSITIONS[number];

/** Widths of the hidden layers of each kind of classifier; the first is the research code's. */
export const HEADS: Readonly<Record<"mlp" | "linear", readonly number[]>> = {
  mlp: [256, 128, 64],
  linear: [],
};

/** What the options of all methods with a classifier do, for `--help`. */
export const CLASS_HELP = {
  position: `where: ${POSITIONS.join(", ")}`,
  head: `classifier: ${Object.keys(HEADS).join(", ")}`,
} as const;

/** What a classifier reads. */
export interface ClassFeatures {
  /** Numbered as {@linkcode LanguageModel.hiddenStates} takes them; one behind the other. */
  readonly layers: readonly number[];
  /** Where in the text. */
  readonly position: Position;
}

/** Beside the classifier: what it reads. The research code's checkpoints have none, and read what stands here. */
const CONFIG_FILE = "classifier_config.json";
const SEED_FEATURES: ClassFeatures = { layers: [-1], position: "answer" };

/** Rows whose hidden states are computed at once: no gradients are kept, so more fit than in a training step. */
export const STATE_ROWS = 32;

/** Rows that are classified at once. */
const CLASS_ROWS = 1024;

/** The tokens of a row that a classifier reads. */
export function spanOf(model: LanguageModel, row: Generation, position: Position): TokenSpan {
  const encode = (text: string) => encodeWithin(model.tokenizer, text, model.contextLength, row.id);
  const text = position === "question"
    ? promptText(row)
    : position === "query"
    ? queryText(row)
    : answeredText(row, row.output);
  const tokens = encode(text), end = tokens.length;
  if (end === 0) {
    throw dataError(
      "The text has no tokens",
      `row ${row.id}`,
      "leave the row out: there is nothing to read",
    );
  }
  // The answer's tokens are those by which the text grew; an empty answer has none, and its prompt's last one is read.
  const first = position === "answer-mean" ? Math.min(encode(promptText(row)).length, end - 1) : end - 1;
  return { tokens, first, end };
}

/** Layers from an option, where they are texts. @throws {UserError} of kind `usage` for what is no whole number */
export function parseLayers(method: string, layers: readonly string[]): number[] {
  return layers.map((text) => {
    if (/^-?\d+$/.test(text)) return Number(text);
    throw new UserError({
      kind: "usage",
      what: `Option "layers" has ${JSON.stringify(text)}`,
      where: `options of method "${method}"`,
      fix: "give whole numbers, as in -1 for the last layer, or 4,8,12",
    });
  });
}

/** The shape of a classifier on so many layers. */
export function shapeOf(model: LanguageModel, layers: number, head: keyof typeof HEADS): ClassifierShape {
  return { inputs: layers * model.width, hidden: HEADS[head] };
}

/** Writes what a classifier reads, and the model it is for, into its checkpoint. */
export async function writeFeatures(
  folder: string,
  { name, fingerprint }: LanguageModel,
  features: ClassFeatures,
): Promise<void> {
  await writeJsonAtomic(join(folder, CONFIG_FILE), {
    base_model_name_or_path: name,
    ...(fingerprint !== undefined && { base_model_fingerprint: fingerprint }),
    ...features,
  });
}

/**
 * Asks the classifier of a checkpoint, with the adapter beside it if there is one.
 *
 * @throws {UserError} of kind `usage` without a checkpoint, `data` for one of another model or another kind
 */
export async function* predictClass(
  method: string,
  model: LanguageModel,
  rows: readonly Generation[],
  { checkpoint, progress, batchSize }: MethodContext & { readonly checkpoint?: string },
): AsyncIterable<readonly [number, number]> {
  if (checkpoint === undefined) {
    throw new UserError({
      kind: "usage",
      what: `Method "${method}" has no classifier before it is trained`,
      where: `--method=${method}`,
      fix: "give the checkpoint of deno task classifier-tune with --query-peft-dir",
    });
  }
  const { features, base } = await readFeatures(checkpoint);
  checkBaseModel(model, base, "classifier", checkpoint);
  const classifier = await model.loadClassifier(checkpoint);
  const hasAdapter = await exists(join(checkpoint, "adapter_config.json"));
  const adapter = hasAdapter ? await model.loadAdapter(checkpoint) : undefined;
  try {
    const { layers, position } = features;
    checkWidth(model, classifier.shape, layers, checkpoint, base.name);
    const spans = rows.map((row) => spanOf(model, row, position));
    let done = 0, states: Float32Array<ArrayBuffer>[] = [];
    for await (const state of model.hiddenStates(spans, { layers, batchSize, adapter })) {
      progress.update(++done, rows.length);
      states.push(state);
      if (states.length < CLASS_ROWS && done < rows.length) continue;
      yield* await classifier.logits(states);
      states = [];
    }
  } finally {
    classifier.free();
    adapter?.free();
  }
}

/** Refuses a classifier that was trained on the hidden states of another model. */
function checkWidth(
  model: LanguageModel,
  { inputs }: ClassifierShape,
  layers: readonly number[],
  checkpoint: string,
  base: string | undefined,
): void {
  if (inputs === layers.length * model.width) return;
  const count = layers.length === 1 ? "one layer" : `${layers.length} layers`;
  throw dataError(
    `The classifier takes ${inputs} values, but ${count} of ${model.name} give ${
      layers.length * model.width
    }`,
    checkpoint,
    base === undefined
      ? "use the model that it was trained on"
      : `use the model that it was trained on: ${base}`,
  );
}

async function readFeatures(
  folder: string,
): Promise<{ readonly features: ClassFeatures; readonly base: BaseModel }> {
  const path = join(folder, CONFIG_FILE);
  if (!await exists(path)) return { features: SEED_FEATURES, base: {} };
  const config = await readJson(path) as
    | Partial<ClassFeatures> & { base_model_name_or_path?: unknown; base_model_fingerprint?: unknown }
    | null;
  const layers = config?.layers, position = POSITIONS.find((name) => name === config?.position);
  if (!Array.isArray(layers) || layers.length === 0 || !layers.every(Number.isInteger) || !position) {
    throw dataError(
      'It has no "layers", whole numbers, and "position"',
      path,
      "use a checkpoint that deno task classifier-tune wrote",
    );
  }
  const text = (value: unknown) => typeof value === "string" ? value : undefined;
  const base = {
    name: text(config?.base_model_name_or_path),
    fingerprint: text(config?.base_model_fingerprint),
  };
  return { features: { layers, position }, base };
}
