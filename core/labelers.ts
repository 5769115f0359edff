import { guardPlugin, UserError } from "./errors.ts";
import type { Label } from "./records.ts";
import { type Registry, splitName } from "./registry.ts";
import type {
  Labeler,
  LabelerContext,
  LabelRequest,
  LabelSession,
  Options,
  ProgressSink,
  Verdict,
} from "./types.ts";

/** A labeler as the user named it. */
export interface NamedLabeler {
  /** As typed, but for the research code's `fuzzy_<model>`, which is `fuzzy:<model>`. */
  readonly name: string;
  /** What stands in front of the colon. */
  readonly plugin: Labeler;
  /** What stands behind it; empty if nothing does. */
  readonly argument: string;
}

/** Resolves `name` or `name:argument`. @throws {UserError} of kind `usage` if there is no such labeler */
export function findLabeler(registry: Registry, text: string): NamedLabeler {
  const name = text.replace(/^fuzzy_/, "fuzzy:");
  const { name: first, argument } = splitName(name);
  const { plugin } = registry.get("labeler", first);
  const usage = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: `--strategy=${text}`, fix });
  if (plugin.argument === undefined && argument !== "") {
    throw usage(`Labeler "${first}" takes nothing behind a colon, but got "${argument}"`, `use ${first}`);
  }
  if (plugin.argument !== undefined && argument === "") {
    throw usage(`Labeler "${first}" needs something behind a colon`, `add it: ${first}:${plugin.argument}`);
  }
  return { name, plugin, argument };
}

/**
 * A labeler at work, whichever way its plugin does it: what it gives is checked, and what it throws names it.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { OpenLabeler, substring } from "@credence/credence";
 *
 * const labeler = OpenLabeler.of(substring, {});
 * assertEquals(await labeler.label({ question: "Capital of France?", target: "Paris", answer: "It is Paris." }), 1);
 * ```
 */
export class OpenLabeler implements LabelSession {
  /** As the user named it. */
  readonly name: string;
  /** Calls of `label` that may be under way at once. */
  readonly concurrency: number;
  readonly #session: LabelSession;

  private constructor(name: string, session: LabelSession) {
    this.name = name;
    this.concurrency = Math.max(1, session.concurrency ?? 1);
    this.#session = session;
  }

  /** A labeler that needs nothing but the texts. */
  static of<O extends Options>(plugin: Labeler<O>, options: O): OpenLabeler {
    return new OpenLabeler(plugin.name, {
      concurrency: plugin.concurrency,
      label: (answer) => plugin.label!(answer, options),
    });
  }

  /** Any labeler; close it in the end. */
  static async open<O extends Options>(
    plugin: Labeler<O>,
    options: O,
    context: LabelerContext,
  ): Promise<OpenLabeler> {
    if (!plugin.open) return OpenLabeler.of(plugin, options);
    const name = context.argument === "" ? plugin.name : `${plugin.name}:${context.argument}`;
    return new OpenLabeler(name, await guarded(name, "opening it", () => plugin.open!(options, context)));
  }

  /** Tells the labeler of all answers before the first is labelled. */
  async prepare(answers: readonly LabelRequest[], progress: ProgressSink): Promise<void> {
    await guarded(this.name, "preparing", async () => await this.#session.prepare?.(answers, progress));
  }

  /**
   * 1 correct, 0 wrong, null undecided.
   *
   * @param where what the answer is called in messages
   * @throws {UserError} of kind `plugin` if the labeler throws or gives anything else
   */
  async label(answer: LabelRequest, where = "a row"): Promise<Label> {
    return (await this.judge(answer, where)).label;
  }

  /** The same, with the votes it was made of where it is made of several. */
  async judge(answer: LabelRequest, where = "a row"): Promise<Verdict> {
    const said = await guarded(this.name, where, () => this.#session.label(answer));
    const verdict = typeof said === "object" && said !== null ? said : { label: said };
    if (isLabel(verdict.label) && (verdict.votes ?? []).every(isLabel)) return verdict;
    throw new UserError({
      kind: "plugin",
      what: `Labeler "${this.name}" gave ${JSON.stringify(said)}`,
      where,
      fix: "a label is 1 correct, 0 wrong or null undecided",
    });
  }

  /** What labels have cost so far, in a few words; empty if nothing. */
  note(): string {
    return this.#session.note?.() ?? "";
  }

  /** The same as numbers. */
  usage(): Readonly<Record<string, number>> {
    return this.#session.usage?.() ?? {};
  }

  /** Gives back what the labeler holds. */
  async close(): Promise<void> {
    await this.#session.close?.();
  }
}

function isLabel(value: unknown): value is Label {
  return value === 0 || value === 1 || value === null;
}

const guarded = <T>(name: string, where: string, work: () => T | Promise<T>) =>
  guardPlugin(`Labeler "${name}"`, "--strategy", where, work);
