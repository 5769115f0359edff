/** What a matrix does: each stage by the function of its own task. */
import { dirname, join } from "node:path";
import {
  createRng,
  dataError,
  type Estimate,
  type MatrixCell,
  readJson,
  readRows,
  RunFolder,
  type Split,
  splitName,
  type StoredRow,
  type Undefined,
  writeJsonAtomic,
  writeRows,
} from "../core/mod.ts";
import { calibrationTune, TUNE_FLAGS } from "./calibration_tune.ts";
import { announceSkip } from "./_common.ts";
import type { TokenCount } from "./_counting_model.ts";
import { EVALUATE_FLAGS } from "./_evaluation.ts";
import { evaluate } from "./evaluate.ts";
import { defaultsOf } from "./_flags.ts";
import { generateLabels, generateOutputs, LABEL_FLAGS, OUTPUT_FLAGS } from "./generate.ts";
import { datasetOf, type MatrixFile } from "./_matrix_file.ts";
import {
  type AnswersStage,
  type EvaluateStage,
  fingerprint,
  type FractionStage,
  metricsOf,
  type Stage,
  STAGE_FILE,
  type TrainStage,
} from "./_matrix_plan.ts";
import type { Session } from "./_session.ts";

/** What a cell came to. */
export interface CellResult {
  readonly cell: MatrixCell;
  /** Folder of the evaluation, within that of the matrix. */
  readonly path: string;
  /** Folder of the answers that were judged, likewise. */
  readonly answers: string;
  readonly n: number;
  readonly undecided: number;
  readonly unscored: number;
  readonly metrics: Readonly<Record<string, Estimate | Undefined>>;
  /** Wall time of the training; null without one. That of its last part, if it was interrupted. */
  readonly trainSeconds: number | null;
  /** Tokens for the confidence alone, a question; null where evaluations of an earlier version did not count them. */
  readonly tokens: TokenCount | null;
}

/** Runs the stages of one matrix. */
export class MatrixStages {
  readonly #session: Session;
  readonly #file: MatrixFile;
  readonly #logDir: string;
  readonly #dataDir?: string;

  constructor(session: Session, file: MatrixFile, logDir: string, dataDir?: string) {
    this.#session = session;
    this.#file = file;
    this.#logDir = logDir;
    this.#dataDir = dataDir;
  }

  /** Does what a stage has not done yet. */
  async run(stage: Stage): Promise<void> {
    using run = await RunFolder.open(this.#path(stage));
    switch (stage.kind) {
      case "answers":
        await this.#answer(stage, run);
        break;
      case "fraction":
        await this.#take(stage, run);
        break;
      case "train":
        await this.#train(stage, run);
        break;
      case "evaluate":
        await this.#evaluate(stage, run);
    }
    const done = { stage: stage.kind, fingerprint: fingerprint(this.#session, this.#file, stage) };
    await writeJsonAtomic(run.file(STAGE_FILE), done);
  }

  /** What a finished evaluation says. */
  async result(cell: MatrixCell, stage: EvaluateStage): Promise<CellResult> {
    using run = await RunFolder.open(this.#path(stage));
    const name = `metrics/offline:${this.#labels(stage.answers)}/${stage.split}`;
    const written = Object.keys(run.record(name)?.outputs ?? {}).find((path) =>
      path.endsWith("metrics.json")
    );
    if (written === undefined) {
      throw dataError("There is no evaluation", run.path, "run deno task matrix again");
    }
    const file = await readJson(run.file(written)) as
      & Pick<
        CellResult,
        "n" | "undecided" | "unscored" | "metrics"
      >
      & { readonly tokensPerQuestion?: TokenCount };
    let trainSeconds: number | null = null;
    if (stage.trained) {
      using trained = await RunFolder.open(this.#path(stage.trained));
      trainSeconds = trained.record("train")?.seconds ?? null;
    }
    const { n, undecided, unscored = 0, metrics, tokensPerQuestion = null } = file;
    // Another model's KV cache is of no use to the judge.
    const foreign = cell.evaluation.answers !== cell.model;
    const tokens = tokensPerQuestion && { ...tokensPerQuestion, ...(foreign ? { kept: 0 } : {}) };
    return {
      cell,
      path: stage.path,
      answers: stage.answers.path,
      n,
      undecided,
      unscored,
      metrics,
      trainSeconds,
      tokens,
    };
  }

  /** SHA-256 of the labelled answers of a finished stage, by split. */
  async labels(stage: AnswersStage): Promise<Record<string, string>> {
    using run = await RunFolder.open(this.#path(stage));
    const hashes = stage.splits.map((split) => [
      split,
      run.record(`labels/${split}`)?.outputs[join("labels", split, "0.csv")] ?? "",
    ]);
    return Object.fromEntries(hashes);
  }

  #path({ path }: Stage): string {
    return join(this.#logDir, path);
  }

  #labels(stage: AnswersStage | FractionStage): string {
    return join(this.#path(stage), "labels");
  }

  #model(name: string) {
    const { "model-name": model, dtype } = this.#file.models[name];
    return { "model-name": model, dtype, "data-dir": this.#dataDir, "plugin": [] };
  }

  /** The labeler of all answers, by which methods also compare answers. */
  #labeler() {
    const { labels: { strategy = LABEL_FLAGS.strategy.default }, labelerOptions } = this.#file.answers;
    return { strategy: String(strategy), labelerOptions };
  }

  async #answer(stage: AnswersStage, run: RunFolder): Promise<void> {
    const { answers, style } = stage.of, { outputs, labels, labelerOptions } = this.#file.answers;
    const { dataset, options } = datasetOf(this.#file, stage.of.dataset);
    const { evalKshot = 0 } = this.#session.registry.get("dataset", splitName(dataset).name).plugin;
    const common = {
      ...this.#model(answers),
      "prompt-style": style,
      "log-dir": run.path,
      "splits": stage.splits.join(","),
    };
    this.#keepOnly(answers);
    await generateOutputs(
      this.#session,
      { ...defaultsOf(OUTPUT_FLAGS), kshot: evalKshot, ...outputs, ...common, dataset },
      run,
      "redo",
      options,
      this.#file.models[answers].options,
    );
    const written = `offline:${run.file("outputs")}`;
    await generateLabels(
      this.#session,
      { ...defaultsOf(LABEL_FLAGS), ...labels, ...common, dataset: written },
      run,
      "redo",
      labelerOptions,
    );
  }

  async #take({ of, fraction, seed }: FractionStage, run: RunFolder): Promise<void> {
    using source = await RunFolder.open(this.#path(of));
    for (const split of ["train", "validation"] as const) {
      const from = join("labels", split, "0.csv"), name = `labels/${split}`;
      const hash = source.record(name)?.outputs[from] ?? "";
      const to = run.file(from);
      const outcome = await run.stage(name, {
        inputs: { labels: hash, fraction, seed },
        whenChanged: "redo",
        work: async () => {
          await writeRows(to, takeFraction(await answered(source.file(from), split), split, fraction, seed));
          return [to];
        },
      });
      if (outcome.skipped) announceSkip(name);
    }
  }

  async #train({ data, method, model, seed, style }: TrainStage, run: RunFolder): Promise<void> {
    const { flags, options } = method.train!, { strategy, labelerOptions } = this.#labeler();
    this.#keepOnly(model);
    await calibrationTune(
      this.#session,
      {
        ...defaultsOf(TUNE_FLAGS),
        ...flags,
        ...this.#model(model),
        seed,
        "dataset": `offline:${this.#labels(data)}`,
        "prompt-style": style,
        "method": method.plugin,
        strategy,
        "log-dir": run.path,
      },
      options,
      run,
      "redo",
      labelerOptions,
    );
  }

  async #evaluate({ answers, method, model, seed, split, trained }: EvaluateStage, run: RunFolder) {
    let checkpoint: string | undefined;
    if (trained) {
      using folder = await RunFolder.open(this.#path(trained));
      const record = folder.record("train") ?? folder.record("scale-temp");
      const [file] = Object.keys(record!.outputs);
      checkpoint = folder.file(dirname(file));
    }
    this.#keepOnly(model);
    const { strategy, labelerOptions } = this.#labeler();
    await evaluate(
      this.#session,
      {
        ...defaultsOf(EVALUATE_FLAGS),
        ...method.evaluate.flags,
        ...this.#model(model),
        seed,
        "splits": split,
        "dataset": `offline:${this.#labels(answers)}`,
        "prompt-style": answers.of.style,
        "method": method.plugin,
        "query-peft-dir": checkpoint,
        "metric": metricsOf(this.#session, this.#file),
        "log-dir": run.path,
      },
      run,
      "redo",
      { method: method.evaluate.options, labeler: labelerOptions, strategy },
    );
  }

  #keepOnly(name: string): void {
    const { "model-name": model, dtype } = this.#file.models[name];
    this.#session.keepOnly(model, dtype as Parameters<Session["keepOnly"]>[1]);
  }
}

/**
 * A share of the rows, drawn without replacement, in their own order; at least one. A smaller share of the same seed is
 * part of a larger one.
 */
export function takeFraction<T>(rows: readonly T[], name: string, fraction: number, seed: number): T[] {
  const count = Math.max(1, Math.round(fraction * rows.length));
  const order = createRng(seed).split("fraction").split(name).permutation(rows.length);
  return order.slice(0, count).sort((a, b) => a - b).map((index) => rows[index]);
}

/** Labelled answers; the stage that wrote them has made sure that they are. */
async function answered(path: string, split: Split): Promise<(StoredRow & { output: string })[]> {
  const rows = await readRows(path, split);
  return rows.map((row) => ({ ...row, output: row.output! }));
}
