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
  UserError,
} from "../core/mod.ts";
import { TUNE_FLAGS } from "./calibration_tune.ts";
import { EVALUATE_FLAGS } from "./evaluate.ts";
import type { FlagSet, FlagValues } from "./_flags.ts";
import { LABEL_FLAGS, OUTPUT_FLAGS } from "./generate.ts";
import { JsonPlace } from "./_json_place.ts";
import { findWithMembers } from "./_labeler.ts";
import { optionFlags, optionsOf } from "./_options.ts";
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
  /** Flags that name a model, by its name in the file. */
  readonly models: Readonly<Record<string, { readonly "model-name": string; readonly dtype: string }>>;
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
/** Answers come from their own stage. */
const EVALUATE: FlagSet = without(
  EVALUATE_FLAGS,
  "seed",
  "limit",
  "strategy",
  "eval-kshot",
  "max-new-tokens",
);

/** Reads and checks a matrix file. @throws {UserError} that names the value, its place and the nearest allowed */
export async function readMatrixFile(session: Session, path: string): Promise<MatrixFile> {
  const root = new JsonPlace(path, "", parse(path, await readText(path)));
  root.keys(["name", "models", "answers", "methods", "metrics", "peers", "grids"]);
  const name = root.get("name").text();
  if (!/^[\w.-]+$/.test(name)) throw root.get("name").wrong("use letters, digits, dots and dashes");
  const labeler = readLabeler(session, root.optional("answers")?.optional("strategy"));
  const labelerFlags = optionFlags(labeler);
  const answers = root.optional("answers")?.flags({ ...labelerFlags, ...LABELS, ...OUTPUTS }) ?? {};
  const models = await root.get("models").map((node, name) => readModel(session, node, name));
  const methods = await root.get("methods").map((node, name) => readMethod(session, node, name));
  const metrics =
    root.optional("metrics")?.list((node) =>
      node.oneOf(session.registry.list("metric").map(({ plugin }) => plugin.name))
    ) ?? METRICS;
  const grids = root.get("grids").list((node) => readGrid(session, node, models, Object.keys(methods)));
  const folder = path.replace(/[^/\\]*$/, "");
  const peers = root.optional("peers")?.list((node) => `${folder}${node.text()}`) ?? [];
  return {
    name,
    answers: {
      outputs: pick(answers, OUTPUTS),
      labels: pick(answers, LABELS),
      labelerOptions: optionsOf(labeler, pick(answers, without(labelerFlags, ...Object.keys(OUTPUTS)))),
    },
    models,
    methods,
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

async function readModel(session: Session, node: JsonPlace, called: string) {
  if (called === SAME) throw node.wrong(`choose another name than "${SAME}", which stands for the judge`);
  const flags = node.flags(MODEL_FLAGS);
  const name = node.get("model-name").text(), aliases = session.modelAliases();
  if (!session.remoteModel(name) && !aliases.includes(name) && !isHubName(name) && !await exists(name)) {
    throw node.get("model-name").unknown("model", aliases, "an alias, hf:owner/name, or a folder");
  }
  return { "model-name": name, "dtype": String(flags.dtype ?? MODEL_FLAGS.dtype.default) };
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
  const splits = node.optional("evaluate")?.optional("splits");
  if (splits?.text().includes(",")) throw splits.wrong("name one split: each cell is one evaluation");
  if (train?.value === false || !method.train && !train) return { plugin, evaluate };
  // What is fitted to a method without training is fitted to the options that it is evaluated with.
  if (!method.train) {
    const fitted = readOptions(train, method, TRAIN, false);
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

function readTraining(node: JsonPlace | undefined, method: Method): MatrixMethod["train"] {
  return readOptions(node, method, TRAIN, true);
}

/** Flags of a task, and the options of a method among them. */
function readOptions(node: JsonPlace | undefined, method: Method, flags: FlagSet, own: boolean) {
  const values = node?.flags({ ...(own ? optionFlags(method) : {}), ...flags }) ?? {};
  const chosen = Object.entries(values).filter(([name]) => !Object.hasOwn(flags, name));
  const options = optionsOf(method, Object.fromEntries(chosen));
  resolveOptions(method, options);
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
  allModels: Readonly<Record<string, { readonly "model-name": string }>>,
  methods: readonly string[],
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
    "method": names("method", methods),
    "model": node.get("model").values((value) => {
      const name = value.oneOf(models);
      if (!session.remoteModel(allModels[name]["model-name"])) return name;
      throw value.wrong("it gives answers and nothing else: name it in train-answers or eval-answers");
    }),
    "dataset": node.get("dataset").values((value) => readDataset(session, value, "train")),
    "eval-dataset":
      node.optional("eval-dataset")?.values((value) =>
        value.value === SAME ? SAME : readDataset(session, value, "eval")
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

function readDataset(session: Session, node: JsonPlace, use: "train" | "eval"): string {
  const text = node.text(), { name, argument } = splitName(text);
  const all: readonly Dataset[] = session.registry.list("dataset").map(({ plugin }) => plugin);
  const plugin = all.find((dataset) => dataset.name === name);
  if (!plugin) throw node.unknown("dataset", all.map(({ name }) => name));
  if ((plugin.argument === undefined) !== (argument === "")) {
    throw node.wrong(
      plugin.argument === undefined ? `use "${name}"` : `add behind a colon: ${plugin.argument}`,
    );
  }
  if (use === "train" && plugin.expand) {
    throw node.wrong("name one of its members: a collection is for evaluation");
  }
  return text;
}

const pick = (values: FlagValues, flags: FlagSet): FlagValues =>
  Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(flags, name)));
