/** The stages that the cells of a matrix need, each once, and where in the run folder they lie. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  canonical,
  exists,
  expandMatrix,
  type Json,
  type MatrixAnswers,
  type MatrixCell,
  type MatrixTraining,
  readJson,
  splitName,
  UserError,
} from "../core/mod.ts";
import { datasetOf, type MatrixDataset, type MatrixFile, type MatrixMethod } from "./_matrix_file.ts";
import { chooseMetrics } from "./_metrics.ts";
import type { Session } from "./_session.ts";

/** Answers and labels, for all cells that need them. */
export interface AnswersStage extends StageBase {
  readonly kind: "answers";
  readonly of: MatrixAnswers;
  readonly splits: readonly string[];
}

/** A share of the labelled answers. */
export interface FractionStage extends StageBase {
  readonly kind: "fraction";
  readonly of: AnswersStage;
  readonly fraction: number;
  readonly seed: number;
}

/** A trained method. */
export interface TrainStage extends StageBase {
  readonly kind: "train";
  readonly model: string;
  readonly method: MatrixMethod;
  readonly seed: number;
  readonly data: AnswersStage | FractionStage;
  readonly style: string;
}

/** An evaluation. */
export interface EvaluateStage extends StageBase {
  readonly kind: "evaluate";
  readonly model: string;
  readonly method: MatrixMethod;
  readonly seed: number;
  readonly trained?: TrainStage;
  readonly answers: AnswersStage;
  readonly split: string;
}

/** A step of the matrix, with a folder of its own. */
export type Stage = AnswersStage | FractionStage | TrainStage | EvaluateStage;

interface StageBase {
  /** Its folder within that of the matrix; also what users see of it. */
  readonly path: string;
}

/** A cell with the stage that evaluates it. */
export interface PlannedCell {
  readonly cell: MatrixCell;
  /** The collection that its dataset was named by. */
  readonly collection?: string;
  readonly stage: EvaluateStage;
}

/** What has to be done for a matrix, and in which order. */
export interface MatrixPlan {
  readonly stages: readonly Stage[];
  readonly grids: readonly { readonly title: string; readonly cells: readonly PlannedCell[] }[];
}

/** Where a stage stands. */
export type StageState = "done" | "to do" | "started" | "changed";

/** Expands the grids of a file into stages. A collection of datasets becomes its members. */
export async function planMatrix(session: Session, file: MatrixFile, dataDir?: string): Promise<MatrixPlan> {
  const builder = new Builder(file);
  const grids: MatrixPlan["grids"][number][] = [];
  for (const { title, axes } of file.grids) {
    const cells: PlannedCell[] = [];
    for (const name of axes["eval-dataset"]) {
      const collection = await members(session, datasetOf(file, name), dataDir);
      const own = { ...axes, "eval-dataset": collection ?? [name] };
      for (const cell of expandMatrix(own, (method) => file.methods[method].train !== undefined)) {
        cells.push({ cell, stage: builder.evaluate(cell), ...(collection ? { collection: name } : {}) });
      }
    }
    grids.push({ title, cells });
  }
  return { stages: builder.stages(), grids };
}

/** What a collection of datasets stands for; nothing for a dataset. */
async function members(
  session: Session,
  { dataset }: MatrixDataset,
  dataDir?: string,
): Promise<readonly string[] | undefined> {
  const { name, argument } = splitName(dataset);
  const plugin = session.registry.list("dataset").find(({ plugin }) => plugin.name === name)?.plugin;
  return await plugin?.expand?.({ argument, options: plugin.defaults, dataDir });
}

/** Makes each stage once. */
class Builder {
  readonly #file: MatrixFile;
  readonly #stages = new Map<string, Stage>();
  readonly #splits = new Map<string, Set<string>>();
  readonly #names = new Map<string, string>();

  constructor(file: MatrixFile) {
    this.#file = file;
  }

  /** Answers first; then model by model, so that one at a time is open. */
  stages(): readonly Stage[] {
    const stages = [...this.#stages.values()];
    const order = Object.keys(this.#file.models);
    const rank = (stage: Stage) =>
      stage.kind === "answers"
        ? order.indexOf(stage.of.answers) / order.length
        : stage.kind === "fraction"
        ? 1
        : 2 + order.indexOf(stage.model);
    return stages.map((stage, index) => ({ stage, index }))
      .toSorted((a, b) => rank(a.stage) - rank(b.stage) || a.index - b.index)
      .map(({ stage }) => stage);
  }

  evaluate({ method: name, model, seed, training, evaluation }: MatrixCell): EvaluateStage {
    const method = this.#file.methods[name];
    const split = String(method.evaluate.flags.splits ?? "test");
    const trained = training && this.#train(name, model, seed, training);
    const answers = this.#answers(evaluation, [split]);
    const source = training ? this.#trainedOn(model, training, seed) : `untrained-seed${seed}`;
    const path = join(
      "evaluate",
      this.#folder(name),
      this.#folder(model),
      source,
      this.#about(model, evaluation),
    );
    return this.#once(path, () => ({ kind: "evaluate", path, model, method, seed, trained, answers, split }));
  }

  #train(name: string, model: string, seed: number, training: MatrixTraining): TrainStage {
    const { fraction, style } = training;
    const answers = this.#answers(training, ["train", "validation"]);
    const data = fraction === 1 ? answers : this.#fraction(answers, fraction, seed);
    const method = this.#file.methods[name];
    const path = join(
      "train",
      this.#folder(name),
      this.#folder(model),
      this.#trainedOn(model, training, seed),
    );
    return this.#once(path, () => ({ kind: "train", path, model, method, seed, data, style }));
  }

  #fraction(of: AnswersStage, fraction: number, seed: number): FractionStage {
    const path = of.path.replace(/^answers/, "fractions") + `-${percent(fraction)}-seed${seed}`;
    return this.#once(path, () => ({ kind: "fraction", path, of, fraction, seed }));
  }

  #answers(of: MatrixAnswers, splits: readonly string[]): AnswersStage {
    const path = join("answers", this.#folder(of.answers), this.#folder(of.dataset), of.style);
    const wanted = this.#splits.get(path) ?? new Set();
    this.#splits.set(path, wanted);
    for (const split of splits) wanted.add(split);
    return this.#once(path, () => ({
      kind: "answers",
      path,
      of,
      get splits() {
        return ["train", "validation", "test"].filter((split) => wanted.has(split));
      },
    }));
  }

  /** As in `facts-oe-100pct-seed137`; the model that answered is named where it is not the judge. */
  #trainedOn(model: string, training: MatrixTraining, seed: number): string {
    return `${this.#about(model, training)}-${percent(training.fraction)}-seed${seed}`;
  }

  #about(model: string, { answers, dataset, style }: MatrixAnswers): string {
    const by = answers === model ? "" : `-by-${this.#folder(answers)}`;
    return `${this.#folder(dataset)}-${style}${by}`;
  }

  /** A name as a folder's; two names that would share one are refused. */
  #folder(name: string): string {
    // A name such as ".." or "" would lead elsewhere.
    const folder = name.replace(/[^\w.-]+/g, "_").replace(/^\.*$/, "_");
    const taken = this.#names.get(folder) ?? name;
    this.#names.set(folder, taken);
    if (taken === name) return folder;
    throw new UserError({
      kind: "usage",
      what: `"${taken}" and "${name}" would share the folder ${folder}`,
      where: this.#file.name,
      fix: "give one of them another name",
    });
  }

  #once<S extends Stage>(path: string, make: () => S): S {
    const stage = this.#stages.get(path) ?? make();
    this.#stages.set(path, stage);
    return stage as S;
  }
}

/** `1pct`, `0.5pct`, `100pct`. */
export function percent(fraction: number): string {
  return `${Number((100 * fraction).toPrecision(6))}pct`;
}

/** Stages that must be done before this one. */
export function needs(stage: Stage): readonly Stage[] {
  switch (stage.kind) {
    case "answers":
      return [];
    case "fraction":
      return [stage.of];
    case "train":
      return [stage.data];
    case "evaluate":
      return stage.trained ? [stage.trained, stage.answers] : [stage.answers];
  }
}

/** Everything in the file that decides what a stage makes, and what it is made from, as one short text. */
export function fingerprint(session: Session, file: MatrixFile, stage: Stage): string {
  const plugin = (kind: "method" | "prompt-style", name: string) =>
    session.describe(session.registry.get(kind, name).plugin);
  const own = (): Json => {
    switch (stage.kind) {
      case "answers": {
        const { answers: { outputs, labels, labelerOptions }, models } = file;
        const { answers, style } = stage.of, { dataset, options } = datasetOf(file, stage.of.dataset);
        const flags = {
          outputs: outputs as Json,
          labels: labels as Json,
          ...(Object.keys(labelerOptions).length > 0 && { labelerOptions }),
          ...(Object.keys(options).length > 0 && { datasetOptions: options }),
          model: models[answers] as unknown as Json,
        };
        return { ...flags, dataset, style: plugin("prompt-style", style), splits: stage.splits };
      }
      case "fraction":
        return { fraction: stage.fraction, seed: stage.seed };
      case "train":
      case "evaluate": {
        const { method, model, seed } = stage;
        const settings = stage.kind === "train" ? method.train as Json : method.evaluate as Json;
        return {
          method: plugin("method", method.plugin),
          settings,
          model: file.models[model] as unknown as Json,
          seed,
          ...(stage.kind === "evaluate" && { metrics: metricsOf(session, file) }),
        };
      }
    }
  };
  const before = needs(stage).map((needed) => fingerprint(session, file, needed));
  return createHash("sha256").update(canonical([stage.kind, own(), before])).digest("hex").slice(0, 16);
}

/** Names of the metrics that evaluations compute: the usual ones, and those of the tables. */
export function metricsOf(session: Session, { metrics }: Pick<MatrixFile, "metrics">): readonly string[] {
  return [...new Set([...chooseMetrics(session, []).map(({ name }) => name), ...metrics])];
}

/** Name of the file that says what a finished stage was made of. */
export const STAGE_FILE = "stage.json";

/** Where a stage stands: what its folder says it was made of, and whether what it wrote is there. */
export async function stageState(logDir: string, stage: Stage, fingerprint: string): Promise<StageState> {
  const folder = join(logDir, stage.path), manifest = join(folder, "run.json");
  if (!await exists(join(folder, STAGE_FILE))) return await exists(folder) ? "started" : "to do";
  const stored = await readJson(join(folder, STAGE_FILE)) as { fingerprint?: string };
  if (stored.fingerprint !== fingerprint) return "changed";
  if (!await exists(manifest)) return "started";
  const { stages } = await readJson(manifest) as {
    stages: Record<string, { outputs: Record<string, string> }>;
  };
  for (const { outputs } of Object.values(stages)) {
    for (const path of Object.keys(outputs)) if (!await exists(join(folder, path))) return "started";
  }
  return "done";
}
