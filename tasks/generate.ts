/** `deno task generate outputs|labels`: the model's answers, and whether they are right. */
import {
  dataError,
  type Label,
  type Labeler,
  loadPrompts,
  readRows,
  type RunFolder,
  type Split,
  type StoredRow,
  suggestion,
  UserError,
  writeRows,
} from "../core/mod.ts";
import { type Agreement, agreementJson, agreementText, readAgreement } from "./_agreement.ts";
import { answererFlags, chooseAnswerer } from "./_answerer.ts";
import { collect } from "./_collect.ts";
import {
  announceSkip,
  CHAT_FLAG,
  chooseChat,
  chooseDataset,
  chooseDtype,
  chooseSplits,
  chooseStyle,
  type ChosenDataset,
  openRun,
  RUN_FLAGS,
  SHUFFLE_FLAG,
} from "./_common.ts";
import { defineFlags, type FlagValues, parseFlags, peekFlag, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { chooseLabeler, labelAll, type LabelUsage, peekLabeler } from "./_labeler.ts";
import { optionFlags, optionsOf, peekDataset } from "./_options.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of `generate outputs`. */
export const OUTPUT_FLAGS = defineFlags({
  "dataset": { type: "string", help: "dataset to answer, as in facts or mmlu:anatomy", required: true },
  "prompt-style": { type: "string", help: "how questions are worded: oe or choice", required: true },
  ...RUN_FLAGS,
  "splits": { type: "string", help: "some of train,validation,test (all)" },
  "kshot": { type: "number", help: "worked examples in front of each question", default: 0, least: 0 },
  ...SHUFFLE_FLAG,
  ...CHAT_FLAG,
  "max-new-tokens": { type: "number", help: "tokens of an answer at most (the style's own)", least: 1 },
  "batch-size": { type: "number", help: "answers written at once", default: 64, least: 1 },
});

/** Flags of `generate labels`. */
export const LABEL_FLAGS = defineFlags({
  "dataset": { type: "string", help: "answers to label, as in offline:<run>/outputs", required: true },
  "strategy": { type: "string", help: "labeler, as in substring or fuzzy:<model>", default: "substring" },
  "log-dir": RUN_FLAGS["log-dir"],
  "data-dir": RUN_FLAGS["data-dir"],
  "prompt-style": {
    type: "string",
    help: "prompt style the answers were written for, for the research code's folder names",
  },
  "splits": { type: "string", help: "some of train,validation,test (all there are)" },
  "seed": RUN_FLAGS["seed"],
  "plugin": RUN_FLAGS["plugin"],
});

/** What a stage of `generate` made. */
export interface GenerateResult {
  readonly logDir: string;
  /** Rows by split. */
  readonly rows: Readonly<Record<string, number>>;
  readonly skipped: readonly string[];
  /** How far the labelers agree, by split, where several have labelled together. */
  readonly agreements?: Readonly<Record<string, Agreement>>;
}

/** Has a model answer a dataset, split by split. */
export async function generateOutputs(
  session: Session,
  flags: Values<typeof OUTPUT_FLAGS>,
  run: RunFolder,
  whenChanged: "refuse" | "redo" = "refuse",
  datasetOptions: Readonly<Record<string, unknown>> = {},
  modelOptions: FlagValues = {},
): Promise<GenerateResult> {
  const { "data-dir": dataDir, "model-name": modelName, "batch-size": batchSize, kshot, seed, limit } = flags;
  const style = chooseStyle(session, flags["prompt-style"]);
  const place = { dataDir, promptStyle: style.name, options: datasetOptions };
  const chosen = await chooseDataset(session, flags.dataset, place);
  const maxNewTokens = flags["max-new-tokens"] ?? chosen.dataset.maxNewTokens ?? style.maxNewTokens;
  const shuffleChoices = flags["shuffle-choices"];
  const model = await chooseAnswerer(session, modelName, chooseDtype(flags.dtype), modelOptions);
  const chat = await model.chats(chooseChat(flags.chat));
  const rows: Record<string, number> = {}, skipped: string[] = [];
  for (const split of await splitsPresent(chosen, flags.splits)) {
    const name = `outputs/${split}`;
    const inputs = {
      dataset: chosen.about,
      promptStyle: session.describe(style),
      kshot,
      maxNewTokens,
      seed,
      ...(shuffleChoices === undefined ? {} : { shuffleChoices }),
      ...(chat ? { chat } : {}),
      limit: limit ?? null,
      model: model.about,
    };
    const path = run.file("outputs", split, "rows_0.csv");
    const outcome = await run.stage(name, {
      inputs,
      whenChanged,
      about: () => model.circumstances(),
      work: async () => {
        const prompts = await loadPrompts({
          dataset: chosen.dataset,
          request: chosen.request,
          split,
          style,
          kshot,
          seed,
          limit,
          shuffleChoices,
        });
        await model.ready();
        const options = { maxNewTokens, batchSize, temperature: 0, topP: 1, seed, chat };
        const answers = {
          journal: `${path}.journal`,
          inputs,
          total: prompts.length,
          title: `answer ${split}`,
          note: () => model.note(),
          async *produce(todo: readonly number[]) {
            for await (const { index, answer } of model.answer(todo.map((i) => prompts[i]), style, options)) {
              yield { index: todo[index], value: answer.output };
            }
          },
        };
        const unlabeled = (output: string, index: number) => ({
          ...prompts[index],
          output,
          label: undefined,
        });
        await collect<string, void>(answers, (outputs) => writeRows(path, outputs.map(unlabeled)));
        return [path];
      },
    });
    if (outcome.skipped) skipped.push(announceSkip(name));
    rows[split] = (await readRows(path, split)).length;
  }
  return { logDir: run.path, rows, skipped };
}

/** Labels the answers in an earlier stage's files. */
export async function generateLabels(
  session: Session,
  flags: Values<typeof LABEL_FLAGS>,
  run: RunFolder,
  whenChanged: "refuse" | "redo" = "refuse",
  labelerOptions: Readonly<Record<string, unknown>> = {},
): Promise<GenerateResult> {
  const place = { dataDir: flags["data-dir"], promptStyle: flags["prompt-style"] };
  const chosen = await chooseDataset(session, flags.dataset, place);
  const labeler = await chooseLabeler(session, flags.strategy, labelerOptions);
  const rows: Record<string, number> = {}, skipped: string[] = [];
  const agreements: Record<string, Agreement> = {};
  for (const split of await splitsPresent(chosen, flags.splits)) {
    const name = `labels/${split}`;
    const inputs = {
      dataset: chosen.about,
      labeler: labeler.about,
      options: labeler.options,
    };
    const path = run.file("labels", split, "0.csv");
    const answers = await answersOf(chosen, split);
    let usage: LabelUsage = {}, agreement: Agreement | undefined;
    const outcome = await run.stage(name, {
      inputs,
      whenChanged,
      about: () =>
        Promise.resolve({
          command: session.command,
          ...usage,
          ...(agreement && { agreement: agreementJson(agreement) }),
        }),
      work: async () => {
        const { seed } = flags;
        const all = { answers, labeler, seed, journal: `${path}.journal`, inputs, title: `label ${split}` };
        const labeled = (label: Label, index: number) => ({ ...answers[index], label });
        await labelAll(all, async (labels, spent, found) => {
          usage = spent;
          agreement = found;
          await writeRows(path, labels.map(labeled));
        });
        return [path];
      },
    });
    if (outcome.skipped) skipped.push(announceSkip(name));
    rows[split] = answers.length;
    const recorded = readAgreement(outcome.record.about.agreement);
    if (recorded) agreements[split] = recorded;
  }
  return {
    logDir: run.path,
    rows,
    skipped,
    ...(Object.keys(agreements).length > 0 && { agreements }),
  };
}

/** The splits asked for, or those that are there. */
async function splitsPresent(
  { dataset, request }: ChosenDataset,
  text: string | undefined,
): Promise<readonly Split[]> {
  const splits = chooseSplits(text, dataset);
  if (text !== undefined || !dataset.available) return splits;
  const there = await dataset.available(request);
  const present = splits.filter((split) => there.includes(split));
  return present.length > 0 ? present : splits;
}

async function answersOf(chosen: ChosenDataset, split: Split) {
  const rows: (StoredRow & { readonly output: string })[] = [];
  for await (const row of chosen.dataset.read!(split, chosen.request)) {
    if (!("context" in row) || row.output === undefined) {
      throw dataError(
        `A row of ${chosen.name} has no answer`,
        `row ${row.id}`,
        "label what deno task generate outputs has written, as in --dataset=offline:<run>/outputs",
      );
    }
    rows.push({ ...row, output: row.output });
  }
  if (rows.length === 0) {
    throw dataError(`The ${split} split has no rows`, chosen.name, "generate outputs first");
  }
  return rows;
}

const outputs: Task = {
  command: "deno task generate outputs",
  summary: "Have a model answer the questions of a dataset. Writes outputs/<split>/rows_0.csv.",
  example:
    "deno task generate outputs --dataset=facts --prompt-style=oe --model-name=facts --log-dir=runs/mine",
  flags: async (args, session) => ({
    ...OUTPUT_FLAGS,
    ...optionFlags(await peekDataset(args, session)),
    ...await answererFlags(args, session),
  }),
  async run(args, session) {
    const dataset = await peekDataset(args, session), model = await answererFlags(args, session);
    const flags = { ...optionFlags(dataset), ...model };
    const { values, extra } = parseFlags(this.command, OUTPUT_FLAGS, args, flags);
    using run = await openRun(values["log-dir"]);
    const given = optionsOf(dataset, extra);
    return report(await generateOutputs(session, values, run, "refuse", given, extra));
  },
};

async function peek(args: readonly string[], session: Session): Promise<Labeler> {
  await session.loadPlugins(peekFlag(args, "plugin"));
  return peekLabeler(args, session, LABEL_FLAGS.strategy.default);
}

const labels: Task = {
  command: "deno task generate labels",
  summary: "Decide which answers are right. Writes labels/<split>/0.csv.",
  example:
    "deno task generate labels --dataset=offline:runs/mine/outputs --strategy=substring --log-dir=runs/mine",
  flags: async (args, session) => ({ ...LABEL_FLAGS, ...optionFlags(await peek(args, session)) }),
  async run(args, session) {
    const labeler = await peek(args, session);
    const { values, extra } = parseFlags(this.command, LABEL_FLAGS, args, optionFlags(labeler));
    using run = await openRun(values["log-dir"]);
    return report(await generateLabels(session, values, run, "refuse", optionsOf(labeler, extra)));
  },
};

function report(result: GenerateResult): GenerateResult {
  const counts = Object.entries(result.rows).map(([split, count]) => `${count} ${split}`).join(", ");
  for (const [split, agreement] of Object.entries(result.agreements ?? {})) {
    print(`${split}: ${agreementText(agreement)}`);
  }
  print(`${counts} rows in ${result.logDir}`);
  return result;
}

const STAGES: Readonly<Record<string, Task>> = { outputs, labels };

if (import.meta.main) {
  const [stage, ...args] = Deno.args;
  if (stage !== undefined && Object.hasOwn(STAGES, stage)) await runTask(STAGES[stage], args);
  if (stage === "--help" || stage === "-h") {
    print(
      "Answer a dataset, then label the answers.\n\n" +
        "  deno task generate outputs --help\n  deno task generate labels --help",
    );
    Deno.exit(0);
  }
  const what = stage === undefined ? "No stage was named" : `Unknown stage "${stage}"`;
  const fix = suggestion(stage ?? "", Object.keys(STAGES));
  note(new UserError({ kind: "usage", what, where: "deno task generate", fix }).message);
  Deno.exit(2);
}
