import { join, relative } from "node:path";
import { dataError, exists, hashFile, readJson, writeJsonAtomic } from "./files.ts";
import { UserError } from "./errors.ts";
import { canonical, differences, type Json } from "./json.ts";
import { flagName } from "./options.ts";

/** Everything that decides what a stage writes: flags, plugins with versions and options, hashes of what it reads. */
export type StageInputs = Readonly<Record<string, Json>>;

/** What `run.json` holds about one stage. */
export interface StageRecord {
  /** What it was made from; compared key by key with what is asked for. */
  readonly inputs: StageInputs;
  /** SHA-256 of each file the stage wrote, by path within the run folder. */
  readonly outputs: Readonly<Record<string, string>>;
  /** What does not decide the result but helps to understand it: command line, adapter, versions. */
  readonly about: Readonly<Record<string, Json>>;
  /** ISO 8601, when the stage began. */
  readonly started: string;
  /** Wall time, to hundredths. */
  readonly seconds: number;
}

interface Manifest {
  readonly version: 1;
  readonly stages: Readonly<Record<string, StageRecord>>;
}

/** How to run a stage of a run folder. */
export interface StageRun {
  /** If these equal the recorded ones, and the files are whole, there is nothing to do. */
  readonly inputs: StageInputs;
  /** What else to record of the circumstances; asked for only if the stage runs. */
  about?(): Promise<Readonly<Record<string, Json>>>;
  /** What to do when the folder holds this stage made from other inputs; refused by default. */
  readonly whenChanged?: "refuse" | "redo";
  /** Computes and writes; resolves to the paths of the files written, outputs of the stage. */
  work(): Promise<readonly string[]>;
}

/** What became of a stage. */
export interface StageOutcome {
  /** Whether everything was there already. */
  readonly skipped: boolean;
  /** What `run.json` says of it now. */
  readonly record: StageRecord;
}

/**
 * The folder of one run: the files of its stages, and `run.json`, which says what made them.
 *
 * A stage whose inputs and outputs are as they were is skipped; one that would overwrite the results of other inputs
 * is refused, with the difference named.
 */
export class RunFolder implements Disposable {
  /** As given to {@linkcode RunFolder.open}. */
  readonly path: string;
  readonly #lock: Deno.FsFile;
  #manifest: Manifest;

  private constructor(path: string, lock: Deno.FsFile, manifest: Manifest) {
    this.path = path;
    this.#lock = lock;
    this.#manifest = manifest;
  }

  /** Opens a run folder, making it if need be. Only one program at a time may write to it. */
  static async open(path: string): Promise<RunFolder> {
    let lock: Deno.FsFile;
    try {
      await Deno.mkdir(path, { recursive: true });
      lock = await Deno.open(join(path, ".lock"), { create: true, write: true });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw dataError(
        `Cannot use ${path} as a run folder: ${reason}`,
        path,
        "choose another --log-dir",
        error,
      );
    }
    try {
      if (!await lock.tryLock(true)) {
        throw new UserError({
          kind: "usage",
          what: `Another program is writing to ${path}`,
          where: path,
          fix: "wait until it has finished, or choose another --log-dir",
        });
      }
      return new RunFolder(path, lock, await readManifest(join(path, "run.json")));
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** A path within the folder. */
  file(...parts: readonly string[]): string {
    return join(this.path, ...parts);
  }

  /** What is recorded of a stage, if it has run. */
  record(stage: string): StageRecord | undefined {
    return this.#manifest.stages[stage];
  }

  /** Runs a stage, or skips it if its inputs and outputs are unchanged. */
  async stage(
    name: string,
    { inputs, about, whenChanged = "refuse", work }: StageRun,
  ): Promise<StageOutcome> {
    const before = this.record(name);
    if (before) {
      const difference = changes(before.inputs, inputs);
      const present = await this.#presence(before.outputs);
      if (difference === undefined) {
        if (present.changed !== undefined) throw this.#changed(name, present.changed);
        if (present.all) return { skipped: true, record: before };
      } else if (whenChanged === "refuse" && present.any) {
        throw this.#otherInputs(name, difference);
      }
    }
    const started = new Date();
    const paths = await work();
    const outputs: Record<string, string> = {};
    for (const path of paths) outputs[relative(this.path, path)] = await hashFile(path);
    const seconds = Math.round((Date.now() - started.getTime()) / 10) / 100;
    const record: StageRecord = {
      inputs,
      outputs,
      about: await about?.() ?? {},
      started: started.toISOString(),
      seconds,
    };
    this.#manifest = { ...this.#manifest, stages: { ...this.#manifest.stages, [name]: record } };
    await writeJsonAtomic(this.file("run.json"), this.#manifest);
    return { skipped: false, record };
  }

  /**
   * Marks the unfinished files of a stage as made from these inputs, before the stage goes on with them. Those that
   * were made from others are refused or deleted.
   *
   * @param stage also the name of the marker, `<stage>.json`
   * @param unfinished which files and folders of the run are meant
   */
  async claim(
    stage: string,
    inputs: StageInputs,
    unfinished: RegExp,
    whenChanged: StageRun["whenChanged"] = "refuse",
  ): Promise<void> {
    const path = this.file(`${stage}.json`);
    const before = await exists(path) ? await readJson(path) as StageInputs : undefined;
    const difference = changes(before ?? {}, inputs);
    if (difference === undefined) return;
    const left: string[] = [];
    for await (const { name } of Deno.readDir(this.path)) if (unfinished.test(name)) left.push(name);
    if (left.length > 0 && whenChanged === "refuse") {
      throw before ? this.#otherInputs(stage, difference, path) : this.#unknownOrigin(stage, left[0]);
    }
    for (const name of left) await Deno.remove(this.file(name), { recursive: true });
    await writeJsonAtomic(path, inputs);
  }

  /**
   * Moves what a stage has made out of the way, so that it starts anew, and forgets that it ran, and so of stages that
   * have written into what is moved. What is moved makes a run folder of its own, `earlier-<n>`; nothing is deleted.
   *
   * @param files which files and folders of the run are meant, besides the stage's marker
   * @returns where they are now, and their names; nothing if there was nothing to move
   */
  async setAside(
    stage: string,
    files: RegExp,
  ): Promise<{ readonly folder: string; readonly names: readonly string[] } | undefined> {
    const names: string[] = [];
    let last = 0;
    for await (const { name } of Deno.readDir(this.path)) {
      if (files.test(name) || name === `${stage}.json`) names.push(name);
      last = Math.max(last, Number(/^earlier-(\d+)$/.exec(name)?.[1] ?? 0));
    }
    if (names.length === 0) return undefined;
    const folder = this.file(`earlier-${last + 1}`);
    const isMoved = ([name, { outputs }]: [string, StageRecord]) =>
      name === stage || Object.keys(outputs).some((path) => names.includes(path.split(/[\\/]/)[0]));
    const all = Object.entries(this.#manifest.stages);
    const part = (moved: boolean) => Object.fromEntries(all.filter((entry) => isMoved(entry) === moved));
    await writeJsonAtomic(join(folder, "run.json"), { ...this.#manifest, stages: part(true) });
    for (const name of names) await Deno.rename(this.file(name), join(folder, name));
    this.#manifest = { ...this.#manifest, stages: part(false) };
    await writeJsonAtomic(this.file("run.json"), this.#manifest);
    return { folder, names: names.sort() };
  }

  /** Lets other programs use the folder. */
  [Symbol.dispose](): void {
    this.#lock.close();
  }

  async #presence(outputs: StageRecord["outputs"]) {
    let all = true, any = false, changed: string | undefined;
    for (const [path, hash] of Object.entries(outputs)) {
      if (!await exists(this.file(path))) all = false;
      else {
        any = true;
        if (await hashFile(this.file(path)) !== hash) changed ??= path;
      }
    }
    return { all, any, changed };
  }

  #otherInputs(stage: string, difference: string, where = this.file("run.json")): UserError {
    const anew = stage === "train" ? "; --no-resume starts anew" : "";
    return new UserError({
      kind: "usage",
      what: `The folder holds "${stage}" made with other inputs: ${difference}`,
      where,
      fix: `choose another --log-dir, or give the same flags to go on with this one${anew}`,
    });
  }

  #unknownOrigin(stage: string, path: string): UserError {
    return new UserError({
      kind: "usage",
      what: `The folder holds ${path}, and nothing says that "${stage}" made it`,
      where: this.file(path),
      fix: "choose another --log-dir, or move it away",
    });
  }

  #changed(stage: string, path: string): UserError {
    return new UserError({
      kind: "data",
      what: `${path} was changed since "${stage}" wrote it`,
      where: this.file(path),
      fix: "delete the file to have it made again, or copy it elsewhere and use another --log-dir",
    });
  }
}

async function readManifest(path: string): Promise<Manifest> {
  if (!await exists(path)) return { version: 1, stages: {} };
  const manifest = await readJson(path) as Partial<Manifest> | null;
  const isRecord = (value: unknown) => typeof value === "object" && value !== null;
  const sound = manifest?.version === 1 && isRecord(manifest.stages) &&
    Object.values(manifest.stages!).every((stage) =>
      isRecord(stage) && isRecord(stage.inputs) && isRecord(stage.outputs)
    );
  if (!sound) {
    throw dataError("Not the manifest of a run", path, "choose another --log-dir, or delete the file");
  }
  return manifest as Manifest;
}

/** Differences that one message names. */
const NAMED = 4;

/** Inputs of the tasks' stages that are flags, by where they stand in `run.json`. */
const FLAGS: Readonly<Record<string, string>> = {
  "dataset.name": "--dataset",
  "dataset.argument": "--dataset",
  "model.name": "--model-name",
  "model.dtype": "--dtype",
  "method.name": "--method",
  "promptStyle.name": "--prompt-style",
  "labeler.name": "--strategy",
  "labeler.argument": "--strategy",
  "batchSize": "--batch-size",
  "maxSteps": "--max-steps",
  "maxNewTokens": "--max-new-tokens",
  "seed": "--seed",
  "limit": "--limit",
  "adapter": "--query-peft-dir",
  "adapter.name": "--query-peft-dir",
  "calibrator": "--scale-temp",
  "metrics": "--metric",
};

/** The inputs that differ, as users know them; `undefined` if none does. */
function changes(before: StageInputs, now: StageInputs): string | undefined {
  const all = differences(before, now).map(({ path, was, is }) => {
    const option = /^options\.([^.]+)$/.exec(path)?.[1];
    const name = option === undefined ? FLAGS[path] ?? path : `--${flagName(option)}`;
    return `${name} was ${shown(was)}, is ${shown(is)}`;
  });
  if (all.length === 0) return undefined;
  const more = all.length > NAMED ? `; and ${all.length - NAMED} more` : "";
  return all.slice(0, NAMED).join("; ") + more;
}

/** A value in a message: plugins by their names, hashes by their beginning, all of it cut where it is long. */
function shown(value: Json): string {
  const names = Array.isArray(value) ? value.map((item) => (item as { name?: Json } | null)?.name) : [];
  const text = names.length > 0 && names.every((name) => typeof name === "string")
    ? names.join(",")
    : typeof value === "string" && /^[0-9a-f]{40,}$/.test(value)
    ? `${value.slice(0, 12)}…`
    : canonical(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
