import { join } from "node:path";
import { fromFileUrl } from "./_paths.ts";
import { builtins } from "../plugins/mod.ts";
import {
  cacheFolder,
  downloadSnapshot,
  exists,
  FeatureCache,
  isHubName,
  isModelFamily,
  isModelFile,
  type Json,
  type ModelFamily,
  parseHubName,
  type Plugin,
  readJson,
  redact,
  Registry,
  type RemoteModel,
  type Snapshot,
  splitName,
  suggestion,
  type Tokenizer,
  UserError,
} from "../core/mod.ts";
import { Gpu } from "../kernels/gpu.ts";
import { deferLanguageModel, type DeferredModel } from "../model/deferred_model.ts";
import { Checkpoint } from "../model/checkpoint.ts";
import { modelFingerprint, weightsFingerprint } from "../model/fingerprint.ts";
import { openLanguageModel, type OpenModel } from "../model/language_model.ts";
import { openTokenizer } from "../model/tokenizer.ts";
import type { WeightType } from "../model/weights.ts";
import { checkpointFingerprint } from "./_checkpoint.ts";
import { note } from "./_io.ts";
import { ProgressBar } from "./_progress.ts";

/** The flag that names a model, where nothing else does. */
const MODEL_FLAG = "--model-name";

/** Thrown by what the user has asked to stop, once its state is saved. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  /** With what the program ends. */
  readonly exitCode: number;

  constructor(exitCode: number) {
    super("stopped");
    this.exitCode = exitCode;
  }
}

/** What the stages of one program share: plugins, the GPU, and models that are open. */
export class Session {
  readonly registry = new Registry();
  /** The command line that began it, for `run.json`. */
  readonly command: string;
  /** What the user is told who has interrupted it. */
  advice = "The same command goes on where it was.";
  /** With what the program ends that has done what it was asked for: not 0 if it was asked whether something is right. */
  exitCode = 0;
  readonly #stop = new AbortController();
  #saving = false;
  readonly #loaded = new Set<string>();
  readonly #models = new Map<string, OpenModel>();
  readonly #deferred = new Map<string, DeferredModel>();
  readonly #snapshots = new Map<string, Snapshot>();
  #gpu?: Gpu;

  constructor(command: string) {
    this.command = redact(command);
    for (const plugin of builtins) this.registry.add(plugin, "built-in");
  }

  /** Loads the modules that `--plugin` names, unless they are loaded. */
  async loadPlugins(specifiers: readonly string[]): Promise<void> {
    for (const specifier of specifiers) {
      if (this.#loaded.has(specifier)) continue;
      await this.registry.load(specifier);
      this.#loaded.add(specifier);
    }
  }

  /**
   * Runs work that, when its signal is aborted, saves its state and throws the signal's reason. At other times
   * whatever is worth keeping is on disk: files are renamed whole, journals are appended to as rows come.
   */
  async saving<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#saving = true;
    try {
      return await work(this.#stop.signal);
    } finally {
      this.#saving = false;
    }
  }

  /** Ends the program for a signal: at once, or after saving what would be lost. A second one does not wait. */
  interrupt(exitCode: number): void {
    if (!this.#saving || this.#stop.signal.aborted) Deno.exit(exitCode);
    note("Saving what is done before it stops; again to stop at once.");
    this.#stop.abort(new Interrupted(exitCode));
  }

  /** The GPU, opened on first use. @throws {UserError} of kind `adapter` if there is none */
  async gpu(): Promise<Gpu> {
    return this.#gpu ??= await Gpu.open();
  }

  /**
   * A model by alias, Hub name or folder, loaded on first use.
   *
   * @param where what named it, for messages
   */
  async model(name: string, dtype: WeightType = "auto", where = MODEL_FLAG): Promise<OpenModel> {
    const key = `${name} ${dtype}`;
    let model = this.#models.get(key);
    if (!model) {
      const gpu = await this.gpu();
      using progress = new ProgressBar(`load ${name}`, "bytes");
      const families = this.#families();
      model = await openLanguageModel(gpu, (await this.#locate(name, where)).folder, families, {
        name,
        dtype,
        progress,
      });
      this.#models.set(key, model);
    }
    return model;
  }

  /** Closes all models but this one, so that a program of several models holds one at a time. */
  keepOnly(name: string, dtype: WeightType = "auto"): void {
    for (const [key, model] of this.#models) {
      if (key === `${name} ${dtype}`) continue;
      model.close();
      this.#models.delete(key);
    }
    for (const key of this.#deferred.keys()) {
      if (!key.startsWith(`${name} ${dtype} `)) this.#deferred.delete(key);
    }
  }

  /** Short names of models that the plugins give. */
  modelAliases(): readonly string[] {
    return Object.keys(this.#aliases());
  }

  /**
   * A model of which only the tokenizer is read until its weights are needed, with the hidden states that earlier runs
   * have left in a folder.
   */
  async deferredModel(
    name: string,
    dtype: WeightType,
    cacheDir = cacheFolder("features"),
  ): Promise<DeferredModel> {
    const key = `${name} ${dtype} ${cacheDir}`;
    let model = this.#deferred.get(key);
    if (!model) {
      const families = this.#families();
      model = await deferLanguageModel(await this.gpu(), (await this.#locate(name)).folder, families, {
        name,
        dtype,
        open: () => this.model(name, dtype),
        cache: new FeatureCache(cacheDir),
        onCached(found, rows) {
          const left = found < rows ? "" : ": the model is not asked";
          if (found > 0) note(`Features of ${counted(found)} of ${counted(rows)} rows were there${left}.`);
        },
      });
      this.#deferred.set(key, model);
    }
    return model;
  }

  /** The tokenizer of a model alone; of one on the Hub, nothing else is downloaded. */
  async tokenizer(name: string): Promise<Tokenizer> {
    const alias = this.#aliases()[name] ?? name;
    if (typeof alias !== "string" || !isHubName(alias)) {
      const { folder } = await this.#locate(name);
      // A folder without one is no checkpoint, whatever else it lacks.
      await readJson(join(folder, "config.json"));
      return await openTokenizer(folder);
    }
    const wanted = (path: string, all: readonly string[]) =>
      isModelFile(path, all) && /^(?!model\.).*\.(json|jinja|model)$/.test(path);
    return await openTokenizer(
      (await downloadSnapshot({ type: "model", ...parseHubName(alias), wanted })).folder,
    );
  }

  /** What `run.json` says about a model: its name, a hash of its files, and on the Hub its commit. */
  async describeModel(name: string, dtype: WeightType = "auto", where = MODEL_FLAG): Promise<Json> {
    const { folder, commit } = await this.#locate(name, where);
    return {
      name,
      ...(commit !== undefined && { commit }),
      ...(dtype !== "auto" && { dtype }),
      fingerprint: await modelFingerprint(folder),
    };
  }

  /** {@linkcode LanguageModel.fingerprint} of a model, which is not loaded for it. */
  async weightsFingerprint(name: string): Promise<string> {
    using checkpoint = await Checkpoint.open((await this.#locate(name)).folder);
    return await weightsFingerprint(checkpoint);
  }

  /** The plugin of a model behind an API, as in `openai:<model>`, and what stands behind the colon; absent for others. */
  remoteModel(
    name: string,
    where = MODEL_FLAG,
  ): { readonly plugin: RemoteModel; readonly argument: string } | undefined {
    const { name: first, argument } = splitName(name);
    const found = this.registry.list("model").find(({ plugin }) => plugin.name === first)?.plugin;
    if (name in this.#aliases() || !found || isModelFamily(found)) return undefined;
    if (argument !== "") return { plugin: found, argument };
    throw new UserError({
      kind: "usage",
      what: `Model "${first}" needs something behind a colon`,
      where,
      fix: `add it: ${first}:${found.argument}`,
    });
  }

  /** The folder of an adapter: one on this machine, or `hf:owner/name[@revision]`. */
  async adapterFolder(name: string): Promise<string> {
    return isHubName(name) ? (await this.#download(name)).folder : name;
  }

  /** The repository on the Hub that a model's name or alias stands for, if it stands for one. */
  hubName(name: string): string | undefined {
    const alias = this.#aliases()[name] ?? name;
    return typeof alias === "string" && isHubName(alias) ? parseHubName(alias).repo : undefined;
  }

  /** What `run.json` says about an adapter: a hash of its files, and for one of the Hub its name and commit too. */
  async describeAdapter(name: string): Promise<Json> {
    const fingerprint = await checkpointFingerprint(await this.adapterFolder(name));
    if (!isHubName(name)) return fingerprint;
    return { name, commit: (await this.#download(name)).commit, fingerprint };
  }

  /** What `run.json` says about a plugin. */
  describe({ kind, name, version }: Plugin): Json {
    return { kind, name, version, origin: this.registry.get(kind, name).origin };
  }

  close(): void {
    this.#models.forEach((model) => model.close());
    this.#models.clear();
    this.#deferred.clear();
    this.#gpu?.destroy();
    this.#gpu = undefined;
  }

  /** The folder of a model: what it is an alias of, what the Hub has under its name, or the folder of that name. */
  async #locate(
    name: string,
    where = MODEL_FLAG,
  ): Promise<{ readonly folder: string; readonly commit?: string }> {
    if (this.remoteModel(name, where)) {
      throw new UserError({
        kind: "usage",
        what: `Model "${name}" gives answers and nothing else: no logits, no hidden states, no adapters`,
        where,
        fix: where === MODEL_FLAG
          ? "have it answer with deno task generate outputs, and name a model of this machine or the Hub here, which " +
            "judges those answers; docs/cross_model.md shows how"
          : "name a model of this machine or the Hub; one behind an API grades as --strategy=fuzzy:<model>",
      });
    }
    const alias = this.#aliases()[name] ?? name;
    if (alias instanceof URL) return { folder: fromFileUrl(alias) };
    if (isHubName(alias)) return await this.#download(alias);
    if (await exists(alias) && (await Deno.stat(alias)).isDirectory) return { folder: alias };
    throw new UserError({
      kind: "usage",
      what: `Unknown model "${name}": it is neither an alias nor a folder`,
      where,
      fix: `give the folder of a Hugging Face checkpoint, hf:owner/name, or an alias: ${
        suggestion(name, Object.keys(this.#aliases()))
      }`,
    });
  }

  /** What the models' plugins give names to. */
  #aliases(): Readonly<Record<string, URL | string>> {
    return Object.assign(Object.create(null), ...this.#families().map(({ aliases }) => aliases));
  }

  /** Plugins of models that this program runs itself. */
  #families(): readonly ModelFamily[] {
    return this.registry.list("model").map(({ plugin }) => plugin).filter(isModelFamily);
  }

  /** A repository of the Hub, downloaded once in a session. */
  async #download(name: string): Promise<Snapshot> {
    let snapshot = this.#snapshots.get(name);
    if (!snapshot) {
      using progress = new ProgressBar(`download ${name}`, "bytes");
      snapshot = await downloadSnapshot({ type: "model", ...parseHubName(name), wanted: isModelFile }, {
        progress,
      });
      this.#snapshots.set(name, snapshot);
    }
    return snapshot;
  }
}

function counted(count: number): string {
  return count.toLocaleString("en");
}
