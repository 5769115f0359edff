/** The labeler that a command line names, with its options. */
import {
  cacheFolder,
  findLabeler,
  type Generation,
  type Json,
  type Label,
  labelAnswers,
  type Labeler,
  type LabelerContext,
  type LabelRequest,
  labelRequest,
  type NamedLabeler,
  OpenLabeler,
  resolveOptions,
  type Verdict,
} from "../core/mod.ts";
import { type Agreement, agreementOf } from "./_agreement.ts";
import { collect, type Collection } from "./_collect.ts";
import { peekFlag } from "./_flags.ts";
import { note } from "./_io.ts";
import { decisiveOptions } from "./_options.ts";
import { ProgressBar } from "./_progress.ts";
import type { Session } from "./_session.ts";

/** A labeler, ready to be opened. */
export interface ChosenLabeler {
  readonly name: string;
  /** What identifies it in `run.json`. */
  readonly about: Json;
  /** Those of its options that decide its labels. */
  readonly options: Readonly<Record<string, Json>>;
  open(): Promise<OpenLabeler>;
}

/** Resolves a labeler's name and options. @throws {UserError} of kind `usage` for a name or option that is not there */
export async function chooseLabeler(
  session: Session,
  text: string,
  given: Readonly<Record<string, unknown>>,
): Promise<ChosenLabeler> {
  const { name, plugin, argument } = findWithMembers(session, text);
  const options = resolveOptions(plugin, given);
  const context = contextOf(session, { name, argument }, given);
  const revision = await plugin.revision?.(options, context);
  return {
    name,
    about: {
      ...session.describe(plugin) as Readonly<Record<string, Json>>,
      ...(argument !== "" && { argument }),
      ...(revision !== undefined && { revision }),
    },
    options: decisiveOptions(plugin, options),
    open: () => OpenLabeler.open(plugin, options, context),
  };
}

/** The labeler that a command line names, whose options are flags too. */
export function peekLabeler(args: readonly string[], session: Session, otherwise: string): Labeler {
  return findWithMembers(session, peekFlag(args, "strategy").at(-1) ?? otherwise).plugin;
}

/** A labeler by name; one that is made of several has the options of all of them. */
export function findWithMembers(session: Session, text: string): NamedLabeler {
  const found = findLabeler(session.registry, text), { plugin, argument } = found;
  const members = plugin.members?.(argument).map((name) => findLabeler(session.registry, name).plugin) ?? [];
  const all = [...members, plugin];
  const merged = (part: "defaults" | "help") => Object.assign({}, ...all.map((labeler) => labeler[part]));
  const incidental = all.flatMap((labeler) => labeler.incidental ?? []);
  return { ...found, plugin: { ...plugin, defaults: merged("defaults"), help: merged("help"), incidental } };
}

/** What is kept of a verdict: the label, or all of it where several labelers have voted. */
type Kept = Label | Required<Verdict>;

/** Answers to be labelled, and where labels are kept meanwhile. */
export interface Labelling extends Pick<Collection<Kept>, "journal" | "inputs" | "title"> {
  readonly answers: readonly Generation[];
  readonly labeler: ChosenLabeler;
  /** For intervals. */
  readonly seed: number;
}

/** What labels have cost, by name, as in `promptTokens`. */
export type LabelUsage = Readonly<Record<string, number>>;

/**
 * Labels all answers and hands the labels, in order, to `use`, with what they have cost, and how far a labeler that is
 * made of several agrees with itself; what an earlier, interrupted run has labelled is not labelled again.
 */
export async function labelAll<R>(
  { answers, labeler, seed, ...kept }: Labelling,
  use: (labels: readonly Label[], usage: LabelUsage, agreement?: Agreement) => Promise<R>,
): Promise<R> {
  let open: OpenLabeler | undefined;
  const labels = {
    ...kept,
    total: answers.length,
    note: () => open?.note() ?? "",
    async *produce(todo: readonly number[]) {
      if (todo.length === 0) return;
      open = await labeler.open();
      try {
        const left = todo.map((index) => answers[index]);
        {
          using progress = new ProgressBar(`${kept.title}, all at once`);
          await open.prepare(left.map(labelRequest), progress);
        }
        for await (const { index, answer: { label }, votes } of labelAnswers(left, open)) {
          yield { index: todo[index], value: votes ? { label, votes } : label };
        }
      } finally {
        await open.close();
      }
    },
  };
  return await collect<Kept, R>(labels, (kept) => {
    const labels = kept.map((one) => typeof one === "object" && one !== null ? one.label : one);
    const verdicts = kept.flatMap((one, index) =>
      typeof one === "object" && one !== null ? [{ ...one, group: answers[index].group }] : []
    );
    const agreement = verdicts.length > 0 ? agreementOf(verdicts, seed) : undefined;
    return use(labels, open?.usage() ?? {}, agreement);
  });
}

/** A labeler that is opened when the first answer is to be labelled, for methods that may ask for none. */
export class LabelerOnDemand implements AsyncDisposable {
  readonly #labeler: ChosenLabeler;
  #open?: Promise<OpenLabeler>;

  constructor(labeler: ChosenLabeler) {
    this.#labeler = labeler;
  }

  /** As a method calls it. */
  readonly label = async (answer: LabelRequest): Promise<Label> => {
    this.#open ??= this.#labeler.open();
    return await (await this.#open).label(answer);
  };

  /** Closes what was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#open)?.close();
  }
}

function contextOf(
  session: Session,
  { name, argument }: Pick<NamedLabeler, "name" | "argument">,
  given: Readonly<Record<string, unknown>>,
): LabelerContext {
  const where = `--strategy=${name}`;
  const member = (name: string) => {
    const { defaults } = findWithMembers(session, name).plugin;
    const own = Object.entries(given).filter(([key]) => Object.hasOwn(defaults, key));
    return chooseLabeler(session, name, Object.fromEntries(own));
  };
  return {
    argument,
    cacheDir: cacheFolder("replies"),
    warn: note,
    model: (model) => session.model(model, "auto", where),
    describeModel: (model) => session.describeModel(model, "auto", where),
    labeler: async (name) => await (await member(name)).open(),
    describeLabeler: async (name) => {
      const { about, options } = await member(name);
      return {
        ...about as Readonly<Record<string, Json>>,
        ...(Object.keys(options).length > 0 && { options }),
      };
    },
  };
}
