import { fromFileUrl } from "./_paths.ts";
import { builtins } from "../plugins/mod.ts";
import {
  exists,
  type Json,
  type ModelFamily,
  type Plugin,
  Registry,
  suggestion,
  UserError,
} from "../core/mod.ts";
import { Gpu } from "../kernels/gpu.ts";
import { modelFingerprint, openLanguageModel, type OpenModel } from "../model/language_model.ts";
import { note } from "./_io.ts";
import { ProgressBar } from "./_progress.ts";

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
  readonly #stop = new AbortController();
  #saving = false;
  readonly #models = new Map<string, OpenModel>();
  #gpu?: Gpu;

  constructor(command: string) {
    this.command = command;
    for (const plugin of builtins) this.registry.add(plugin, "built-in");
  }

  /** Loads the modules that `--plugin` names. */
  async loadPlugins(specifiers: readonly string[]): Promise<void> {
    for (const specifier of specifiers) await this.registry.load(specifier);
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
    note("Saving a checkpoint before it stops; again to stop at once.");
    this.#stop.abort(new Interrupted(exitCode));
  }

  /** The GPU, opened on first use. @throws {UserError} of kind `adapter` if there is none */
  async gpu(): Promise<Gpu> {
    return this.#gpu ??= await Gpu.open();
  }

  /** A model by alias or folder, loaded on first use. */
  async model(name: string): Promise<OpenModel> {
    let model = this.#models.get(name);
    if (!model) {
      const gpu = await this.gpu();
      using progress = new ProgressBar(`load ${name}`, "bytes");
      const families = this.registry.list("model").map(({ plugin }) => plugin);
      model = await openLanguageModel(gpu, await this.#folder(name), families, name, progress);
      this.#models.set(name, model);
    }
    return model;
  }

  /** Hash of a model's files, without loading them to the GPU. */
  async modelFingerprint(name: string): Promise<string> {
    return await modelFingerprint(await this.#folder(name));
  }

  /** What `run.json` says about a plugin. */
  describe({ kind, name, version }: Plugin): Json {
    return { kind, name, version, origin: this.registry.get(kind, name).origin };
  }

  close(): void {
    this.#models.forEach((model) => model.close());
    this.#models.clear();
    this.#gpu?.destroy();
    this.#gpu = undefined;
  }

  async #folder(name: string): Promise<string> {
    const families: readonly ModelFamily[] = this.registry.list("model").map(({ plugin }) => plugin);
    const aliases = Object.assign({}, ...families.map((family) => family.aliases)) as Record<
      string,
      URL | string
    >;
    const alias = Object.hasOwn(aliases, name) ? aliases[name] : undefined;
    if (alias instanceof URL) return fromFileUrl(alias);
    if (await exists(name) && (await Deno.stat(name)).isDirectory) return name;
    throw new UserError({
      kind: "usage",
      what: `Unknown model "${name}": it is neither an alias nor a folder`,
      where: "--model-name",
      fix: `give the folder of a Hugging Face checkpoint, or an alias: ${
        suggestion(name, Object.keys(aliases))
      }`,
    });
  }
}
