/** The file that `deno task matrix` reads: what it may say, and where it is wrong. */
import {
  type Dataset,
  exists,
  isHubName,
  type Labeler,
  type MatrixAxes,
  type Method,
  readText,
  resolveOptions,
  SAME,
  splitName,
  SPLITS,
  UserError,
} from "../core/mod.ts";
import { chooseCalibrator } from "./_calibrate.ts";
import { FIT_FLAGS, TUNE_FLAGS } from "./calibration_tune.ts";
import { chooseChat, chooseDtype } from "./_common.ts";
import { EVALUATE_FLAGS } from "./_evaluation.ts";
import type { FlagSet, FlagValues } from "./_flags.ts";
import { LABEL_FLAGS, OUTPUT_FLAGS } from "./generate.ts";
import { JsonPlace } from "./_json_place.ts";
import { findWithMembers } from "./_labeler.ts";
import { optionFlags, optionsOf } from "./_options.ts";
import { checkScale } from "./_scale.ts";
import type { Session } from "./_session.ts";

/** How a method is trained and evaluated. */
export interface MatrixMethod {
  /** Name of the plugin. */
  readonly plugin: string;
  /** Absent where it is evaluated untrained. */
  readonly train?: {
    /** Flags of calibration-tune. */
    readonly flags: FlagValues;
    /** Options of the method. */
    readonly options: Readonly<Record<string, unknown>>;
  };
  readonly evaluate: {
    /** Flags of evaluate. */
    readonly flags: FlagValues;
    /** Options of a method that does not train. */
    readonly options: Readonly<Record<string, unknown>>;
  };
}

/** What a model's name in the file stands for, as on a command line. */
export interface MatrixModel {
  readonly "model-name": string;
  readonly dtype: string;
  /** Flags of a model behind an API; absent without any. */
  readonly options?: FlagValues;
}

/** What a dataset's name in the file stands for. */
export interface MatrixDataset {
  /** As in `--dataset`. */
  readonly dataset: string;
  /** Options of its plugin. */
  readonly options: FlagValues;
}

/** One grid of the file. */
export interface MatrixGrid {
  readonly title: string;
  readonly axes: MatrixAxes;
}

/** What a matrix file says, checked and with its defaults filled in. */
export interface MatrixFile {
  /** Of the folder in runs/, and of the place in a page that is written. */
  readonly name: string;
  /** Flags of `generate`: how every dataset is answered and labelled. */
  readonly answers: {
    readonly outputs: FlagValues;
    readonly labels: FlagValues;
    readonly labelerOptions: FlagValues;
  };
  readonly models: Readonly<Record<string, MatrixModel>>;
  /** Datasets with options, by their names in the file; perhaps none. */
  readonly datasets: Readonly<Record<string, MatrixDataset>>;
  readonly methods: Readonly<Record<string, MatrixMethod>>;
  /** Metrics of the tables. */
  readonly metrics: readonly string[];
  /** Recorded results of another implementation, relative to the working folder; perhaps none. */
  readonly peers: readonly string[];
  readonly grids: readonly MatrixGrid[];
}

const METRICS = ["accuracy", "auroc", "ece", "brier"];

/** What the matrix itself sets for each stage. */
const SET_BY_MATRIX = [
  "dataset",
  "prompt-style",
  "log-dir",
  "data-dir",
  "model-name",
  "dtype",
  "plugin",
  "method",
  "query-peft-dir",
];

const without = (flags: FlagSet, ...names: string[]): FlagSet =>
  Object.fromEntries(
    Object.entries(flags).filter(([name]) => !SET_BY_MATRIX.includes(name) && !names.includes(name)),
  );

const MODEL_FLAGS: FlagSet = {
  "model-name": OUTPUT_FLAGS["model-name"],
  "dtype": OUTPUT_FLAGS["dtype"],
};
const OUTPUTS: FlagSet = without(OUTPUT_FLAGS, "splits");
const LABELS: FlagSet = without(LABEL_FLAGS, "splits", "seed");
const TRAIN: FlagSet = without(TUNE_FLAGS, "seed", "limit", "resume");
const FIT: FlagSet = without(FIT_FLAGS, "seed", "limit");
/** Answers and labels come from their own stage, methods and metrics from their own place in the file. */
const EVALUATE: FlagSet = without(
  EVALUATE_FLAGS,
  "seed",
  "limit",
  "strategy",
  "eval-kshot",
  "max-new-tokens",
  "shuffle-choices",
  "mode",
  "metric",
);

/** Reads and checks a matrix file. @throws {UserError} that names the value, its place and the nearest allowed */
export async function readMatrixFile(session: Session, path: string): Promise<MatrixFile> {
  const root = new JsonPlace(path, "", parse(path, await readText(path)));
  root.keys(["name", "models", "datasets", "answers", "methods", "metrics", "peers", "grids"]);
  const name = root.get("name").text();
  if (!/^[\w.-]+$/.test(name)) throw root.get("name").wrong("use letters, digits, dots and dashes");
  const labeler = readLabeler(session, root.optional("answers")?.optional("strategy"));
  const labelerFlags = optionFlags(labeler);
  const answersPlace = root.optional("answers");
  const answers = answersPlace?.flags({ ...labelerFlags, ...LABELS, ...OUTPUTS }) ?? {};
  const labelerOptions = optionsOf(labeler, pick(answers, without(labelerFlags, ...Object.keys(OUTPUTS))));
  answersPlace?.checked(() => resolveOptions(labeler, labelerOptions));
  checkChat(answersPlace);
  const models = await root.get("models").map((node, name) => readModel(session, node, name));
  const datasets =
    await root.optional("datasets")?.map((node, name) => readNamedDataset(session, node, name)) ?? {};
  const methods = await root.get("methods").map((node, name) => readMethod(session, node, name));
  const metrics =
    root.optional("metrics")?.list((node) =>
      node.oneOf(session.registry.list("metric").map(({ plugin }) => plugin.name))
    ) ?? METRICS;
  const names = { models, datasets, methods };
  const grids = root.get("grids").list((node) => readGrid(session, node, names));
  const folder = path.replace(/[^/\\]*$/, "");
  const peers = root.optional("peers")?.list((node) => `${folder}${node.text()}`) ?? [];
  return {
    name,
    answers: {
      outputs: pick(answers, OUTPUTS),
      labels: pick(answers, LABELS),
      labelerOptions,
    },
    ...names,
    metrics,
    peers,
    grids,
  };
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const fix = "repair the file";
    throw new UserError({ kind: "usage", what: `Not valid JSON: ${reason}`, where: path, fix, cause: error });
  }
}

async function readModel(session: Session, node: JsonPlace, called: string): Promise<MatrixModel> {
  if (called === SAME) throw node.wrong(`choose another name than "${SAME}", which stands for the judge`);
  const name = node.get("model-name").text(), aliases = session.modelAliases();
  const remote = session.remoteModel(name);
  if (!remote && !aliases.includes(name) && !isHubName(name) && !await exists(name)) {
    throw node.get("model-name").unknown("model", aliases, "an alias, hf:owner/name, or a folder");
  }
  const own = optionFlags(remote?.plugin), flags = node.flags({ ...own, ...MODEL_FLAGS });
  const options = pick(flags, own);
  if (remote) node.checked(() => resolveOptions(remote.plugin, optionsOf(remote.plugin, options)));
  node.optional("dtype")?.checked(() => chooseDtype(String(flags.dtype)));
  return {
    "model-name": name,
    "dtype": String(flags.dtype ?? MODEL_FLAGS.dtype.default),
    ...(Object.keys(options).length > 0 && { options }),
  };
}

function readNamedDataset(session: Session, node: JsonPlace, called: string): MatrixDataset {
  if (called === SAME) {
    throw node.wrong(`choose another name than "${SAME}", which stands for the other side`);
  }
  const { text, plugin } = readDataset(session, node.get("dataset"));
  const own = optionFlags(plugin), flags = node.flags({ ...own, dataset: OUTPUT_FLAGS.dataset });
  const options = optionsOf(plugin, pick(flags, own));
  node.checked(() => resolveOptions(plugin, options));
  return { dataset: text, options };
}

function readLabeler(session: Session, node: JsonPlace | undefined): Labeler {
  const text = node?.text() ?? LABEL_FLAGS.strategy.default;
  const known = session.registry.list("labeler").map(({ plugin }) => plugin.name);
  if (known.includes(splitName(text.replace(/^fuzzy_/, "fuzzy:")).name)) {
    return findWithMembers(session, text).plugin;
  }
  throw node!.unknown("labeler", known);
}

function readMethod(session: Session, node: JsonPlace, name: string): MatrixMethod {
  node.keys(["method", "train", "evaluate"]);
  const known = session.registry.list("method").map(({ plugin }) => plugin.name);
  const named = node.optional("method");
  if (!named && !known.includes(name)) throw node.misnamed("method", known, name);
  const plugin = named?.oneOf(known) ?? name;
  const method = session.registry.get("method", plugin).plugin;
  const train = node.optional("train");
  const evaluate = readOptions(node.optional("evaluate"), method, EVALUATE, method.train === undefined);
  const asked = node.optional("evaluate");
  asked?.optional("splits")?.oneOf(SPLITS);
  checkChat(asked);
  checkCalibration(node, plugin);
  if (train?.value === false || !method.train && !train) return { plugin, evaluate };
  // What is fitted to a method without training is fitted to the options that it is evaluated with.
  if (!method.train) {
    const fitted = readOptions(train, method, FIT, false);
    if (fitted.flags["scale-temp"] !== true) {
      throw train!.wrong(
        `leave it out: "${plugin}" needs no training; or calibrate it, with "scale-temp": true`,
      );
    }
    const { chat } = evaluate.flags;
    const flags = { ...fitted.flags, ...(chat !== undefined && { chat }) };
    return { plugin, train: { flags, options: evaluate.options }, evaluate };
  }
  return { plugin, train: readTraining(train, method), evaluate };
}

/** Refuses a `chat` that is none. */
function checkChat(node: JsonPlace | undefined): void {
  const chat = node?.optional("chat");
  chat?.checked(() => chooseChat(chat.text()));
}

/** Refuses a calibrator that is none, or that nothing is fitted for, before hours of training. */
function checkCalibration(node: JsonPlace, plugin: string): void {
  const train = node.optional("train"),
    fits = train?.value !== false && train?.optional("scale-temp")?.value === true;
  const kind = train?.value === false ? undefined : train?.optional("calibrator");
  kind?.checked(() => chooseCalibrator(kind.text(), fits));
  const scale = node.optional("evaluate")?.optional("scale-temp");
  scale?.checked(() => checkScale(scale.text(), plugin, true));
  if (scale && !fits) throw scale.wrong('fit what it applies: say "scale-temp": true in "train"');
}

function readTraining(node: JsonPlace | undefined, method: Method): MatrixMethod["train"] {
  return readOptions(node, method, TRAIN, true);
}

/** Flags of a task, and the options of a method among them. */
function readOptions(node: JsonPlace | undefined, method: Method, flags: FlagSet, own: boolean) {
  const values = node?.flags({ ...(own ? optionFlags(method) : {}), ...flags }) ?? {};
  const chosen = Object.entries(values).filter(([name]) => !Object.hasOwn(flags, name));
  const options = optionsOf(method, Object.fromEntries(chosen));
  node?.checked(() => resolveOptions(method, options));
  return { flags: pick(values, flags), options };
}

/** Axes whose values are names of the file, and what they take if they are left out. */
const AXES = [
  "method",
  "model",
  "dataset",
  "eval-dataset",
  "train-style",
  "eval-style",
  "train-answers",
] as const;

function readGrid(
  session: Session,
  node: JsonPlace,
  { models: allModels, datasets, methods }: Pick<MatrixFile, "models" | "datasets" | "methods">,
): MatrixGrid {
  const models = Object.keys(allModels);
  node.keys(["title", ...AXES, "eval-answers", "fraction", "seed"]);
  const styles = session.registry.list("prompt-style").map(({ plugin }) => plugin.name);
  if (!node.optional("train-style") && !node.optional("eval-style")) throw node.missing("train-style");
  const names = (axis: string, allowed: readonly string[]) =>
    node.get(axis).values((value) => value.oneOf(allowed));
  const orSame = (axis: string, allowed: readonly string[]) =>
    node.optional(axis) ? names(axis, [...allowed, SAME]) : [SAME];
  const axes: MatrixAxes = {
    "method": names("method", Object.keys(methods)),
    "model": node.get("model").values((value) => {
      const name = value.oneOf(models);
      if (!session.remoteModel(allModels[name]["model-name"])) return name;
      throw value.wrong("it gives answers and nothing else: name it in train-answers or eval-answers");
    }),
    "dataset": node.get("dataset").values((value) => readAxis(session, value, datasets, "train")),
    "eval-dataset":
      node.optional("eval-dataset")?.values((value) =>
        value.value === SAME ? SAME : readAxis(session, value, datasets, "eval")
      ) ?? [SAME],
    "train-style": orSame("train-style", styles),
    "eval-style": orSame("eval-style", styles),
    "train-answers": orSame("train-answers", models),
    "eval-answers": orSame("eval-answers", models),
    "fraction":
      node.optional("fraction")?.values((value) => value.number("a number above 0, at most 1", isShare)) ??
        [1],
    "seed": node.optional("seed")?.values((value) => value.number("a whole number from 0", isCount)) ??
      [OUTPUT_FLAGS.seed.default],
  };
  for (const axis of ["train-style", "eval-style"] as const) {
    const other = axis === "train-style" ? "eval-style" : "train-style";
    if (axes[axis].includes(SAME) && axes[other].includes(SAME)) {
      throw node.get(node.optional(axis) ? axis : other).wrong(
        `name the styles: both sides cannot be "${SAME}"`,
      );
    }
  }
  return { title: node.get("title").text(), axes };
}

const isShare = (value: number) => value > 0 && value <= 1;
const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;

/** A dataset of a grid: a name of the file, or as typed. */
function readAxis(
  session: Session,
  node: JsonPlace,
  named: MatrixFile["datasets"],
  use: "train" | "eval",
): string {
  const text = node.text(), own = Object.hasOwn(named, text) ? named[text] : undefined;
  const { plugin } = own
    ? session.registry.get("dataset", splitName(own.dataset).name)
    : readDataset(session, node, Object.keys(named));
  if (use === "train" && plugin.expand) {
    throw node.wrong("name one of its members: a collection is for evaluation");
  }
  return text;
}

/** A dataset as typed, and its plugin. */
function readDataset(
  session: Session,
  node: JsonPlace,
  others: readonly string[] = [],
): { readonly text: string; readonly plugin: Dataset } {
  const text = node.text(), { name, argument } = splitName(text);
  const all: readonly Dataset[] = session.registry.list("dataset").map(({ plugin }) => plugin);
  const plugin = all.find((dataset) => dataset.name === name);
  if (!plugin) throw node.unknown("dataset", [...others, ...all.map(({ name }) => name)]);
  if ((plugin.argument === undefined) !== (argument === "")) {
    throw node.wrong(
      plugin.argument === undefined ? `use "${name}"` : `add behind a colon: ${plugin.argument}`,
    );
  }
  return { text, plugin };
}

/** What a dataset of a grid stands for. */
export function datasetOf({ datasets }: Pick<MatrixFile, "datasets">, name: string): MatrixDataset {
  return Object.hasOwn(datasets, name) ? datasets[name] : { dataset: name, options: {} };
}

const pick = (values: FlagValues, flags: FlagSet): FlagValues =>
  Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(flags, name)));
