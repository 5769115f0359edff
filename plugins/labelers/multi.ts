import {
  type Label,
  type Labeler,
  type LabelerContext,
  type LabelRequest,
  type LabelSession,
  type ProgressSink,
  UserError,
  type Verdict,
} from "../../core/mod.ts";

/** Options of `multi`. */
export interface MultiOptions {
  /** Whether all labelers have to agree, instead of more than half of them. */
  readonly unanimous: boolean;
}

/**
 * What more than half of several labelers say; undecided where neither label has so many. A labeler that is undecided
 * votes for neither, and still counts as one of them.
 */
export const multi: Labeler<MultiOptions> = {
  kind: "labeler",
  name: "multi",
  version: 1,
  description: "What more than half of several labelers say",
  argument: "<a>,<b>,<c>",
  defaults: { unanimous: false },
  help: { unanimous: "decide only where all labelers agree" },
  members: namesIn,
  revision: async (_, context) =>
    await Promise.all(namesIn(context.argument).map((name) => context.describeLabeler(name))),
  open: (options, context) => MultiSession.open(options, context),
};

/** Labelers in the argument. @throws {UserError} of kind `usage` if they are not several, or nested */
function namesIn(argument: string): readonly string[] {
  const names = argument.split(",").map((name) => name.trim()).filter((name) => name !== "");
  const usage = (what: string, fix: string) =>
    new UserError({ kind: "usage", what, where: `--strategy=multi:${argument}`, fix });
  if (names.length < 2) {
    throw usage(
      `${names.length === 0 ? "No labeler" : "One labeler"} is named`,
      "name several, as in multi:substring,fuzzy:gpt-4o-mini,fuzzy:gpt-4o",
    );
  }
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) {
    throw usage(`Labeler "${twice}" is named twice`, "name each once: it would only agree with itself");
  }
  if (names.some((name) => name.startsWith("multi:"))) {
    throw usage("multi is one of its own labelers", "name all labelers in one list");
  }
  return names;
}

/** One labeler among several, of which no more labels are under way than it allows. */
class Voter {
  readonly name: string;
  readonly session: LabelSession;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(name: string, session: LabelSession) {
    this.name = name;
    this.session = session;
  }

  get concurrency(): number {
    return Math.max(1, this.session.concurrency ?? 1);
  }

  async vote(answer: LabelRequest): Promise<Label> {
    // Whoever is done hands its place on, so that nobody who comes meanwhile takes it.
    if (this.#running < this.concurrency) this.#running++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      const said = await this.session.label(answer);
      return typeof said === "object" && said !== null ? said.label : said;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}

class MultiSession implements LabelSession {
  readonly concurrency: number;
  readonly #voters: readonly Voter[];
  /** Votes that a label takes. */
  readonly #needed: number;

  private constructor(voters: readonly Voter[], { unanimous }: MultiOptions) {
    this.#voters = voters;
    this.concurrency = Math.max(...voters.map(({ concurrency }) => concurrency));
    this.#needed = unanimous ? voters.length : Math.floor(voters.length / 2) + 1;
  }

  static async open(options: MultiOptions, context: LabelerContext): Promise<MultiSession> {
    const voters: Voter[] = [];
    try {
      for (const name of namesIn(context.argument)) voters.push(new Voter(name, await context.labeler(name)));
    } catch (error) {
      for (const { session } of voters) await session.close?.();
      throw error;
    }
    return new MultiSession(voters, options);
  }

  async prepare(answers: readonly LabelRequest[], progress: ProgressSink): Promise<void> {
    for (const { session } of this.#voters) await session.prepare?.(answers, progress);
  }

  async label(answer: LabelRequest): Promise<Verdict> {
    // All are waited for, so that none is still at work when one has failed.
    const settled = await Promise.allSettled(this.#voters.map((voter) => voter.vote(answer)));
    const failed = settled.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    const votes = settled.map((result) => (result as PromiseFulfilledResult<Label>).value);
    const label = ([1, 0] as const).find((label) =>
      votes.filter((vote) => vote === label).length >= this.#needed
    );
    return { label: label ?? null, votes };
  }

  note(): string {
    return this.#voters.map(({ session }) => session.note?.() ?? "").filter((note) => note !== "").join("  ");
  }

  usage(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      this.#voters.flatMap(({ name, session }) =>
        Object.entries(session.usage?.() ?? {}).map(([key, value]) => [`${name} ${key}`, value])
      ),
    );
  }

  async close(): Promise<void> {
    for (const { session } of this.#voters) await session.close?.();
  }
}
