/** `deno task data ls|show|validate`: which datasets there are, what a model reads of them, and what is wrong in them. */
import {
  encodePrompt,
  findAnswers,
  loadPrompts,
  type PromptStyle,
  QUERY_FORMATS,
  type Split,
  SPLITS,
  type StoredRow,
  suggestion,
  type Tokenizer,
  UserError,
  usesChat,
  validateDataset,
  type Validation,
} from "../core/mod.ts";
import {
  CHAT_FLAG,
  chooseChat,
  chooseSplits,
  chooseStyle,
  findDatasets,
  type FoundDataset,
  onlyOne,
  RUN_FLAGS,
  SHUFFLE_FLAG,
} from "./_common.ts";
import {
  defineFlags,
  type FlagSet,
  type FlagValues,
  parseFlags,
  peekFlag,
  splitPositionals,
  type Values,
} from "./_flags.ts";
import { note, print } from "./_io.ts";
import { datasetNamed, optionFlags, optionsOf } from "./_options.ts";
import { ProgressBar } from "./_progress.ts";
import type { Session } from "./_session.ts";
import { table } from "./_table.ts";
import { runTask, type Task } from "./_task.ts";
import { collectionText, findingsText, type Validated } from "./_validation.ts";

const { plugin, seed } = RUN_FLAGS, dataDir = RUN_FLAGS["data-dir"];

const LS_FLAGS = defineFlags({
  "all": { type: "boolean", help: "also those that are another as the research code renders it" },
  "plugin": plugin,
});

const SHOW_FLAGS = defineFlags({
  "n": { type: "number", help: "rows of each split", default: 3, least: 1 },
  "splits": { type: "string", help: "some of train,validation,test (the first there is)" },
  "prompt-style": { type: "string", help: "how questions are worded: oe or choice", default: "oe" },
  "kshot": { type: "number", help: "worked examples in front of each question", default: 0, least: 0 },
  ...SHUFFLE_FLAG,
  "model-name": { type: "string", help: "counts tokens as this model does: alias, hf:owner/name or folder" },
  ...CHAT_FLAG,
  "seed": seed,
  "data-dir": dataDir,
  "plugin": plugin,
});

const VALIDATE_FLAGS = defineFlags({
  "splits": { type: "string", help: "some of train,validation,test (all there are)" },
  "prompt-style": { type: "string", help: "words every question in this style as well" },
  "data-dir": dataDir,
  "plugin": plugin,
});

/** Where most are at home; a table says `hf:` instead. */
const HUB = "https://huggingface.co/datasets/";

function list(session: Session, { all }: Values<typeof LS_FLAGS>) {
  const datasets = session.registry.list("dataset").map(({ plugin }) => plugin)
    .filter(({ name }) => all || !name.endsWith("@seed"));
  const rowsOf = (
    rows: Readonly<Partial<Record<Split, number>>> = {},
    splits: readonly Split[],
    split: Split,
  ) => !splits.includes(split) ? "" : rows[split]?.toLocaleString("en") ?? "yes";
  print(table(
    ["dataset", "licence", "home", ...SPLITS],
    datasets.map(({ name, argument, splits, rows, licence = "", home = "" }) => [
      argument === undefined ? name : `${name}:…`,
      licence,
      home.replace(HUB, "hf:"),
      ...SPLITS.map((split) => rowsOf(rows, splits, split)),
    ]),
    3,
  ));
  print(
    `Rows as published, before any are left out; hf: stands for ${HUB}. ` +
      (all
        ? ""
        : "Question datasets and mixtures are also there as the research code renders them: <name>@seed."),
  );
  return datasets.map(({ name, description, argument, tags, splits, rows, licence, home, mends }) => ({
    ...{ name, description, argument, tags, splits, rows, licence, home, mends },
  }));
}

/** Tokens of the parts of a prompt, and of all that the model reads; special tokens count. */
interface TokenCounts {
  readonly prompt: number;
  readonly context: number;
  readonly targetPrompt: number;
  /** Those that the chat template adds, with its instruction; absent for a model that reads plain text. */
  readonly template?: number;
  readonly target: number;
  readonly read: number;
}

async function show(session: Session, name: string, flags: Values<typeof SHOW_FLAGS>, options: FlagValues) {
  const { n, kshot, seed, "model-name": modelName } = flags;
  const style = chooseStyle(session, flags["prompt-style"]);
  const chosen = onlyOne(name, await chooseAll(session, name, flags, options));
  const tokenizer = modelName === undefined ? undefined : await session.tokenizer(modelName);
  const use = chooseChat(flags.chat);
  if (use !== "auto" && !tokenizer) {
    throw new UserError({
      kind: "usage",
      what: "The chat template is a model's, and no model was named",
      where: "--chat",
      fix: "add --model-name=<model>",
    });
  }
  const chat = tokenizer !== undefined && usesChat(tokenizer, use);
  const { dataset, request } = chosen;
  const splits = flags.splits === undefined
    ? (await splitsOf(chosen)).slice(0, 1)
    : chooseSplits(flags.splits, dataset);
  print(describeDataset(chosen));
  if (tokenizer) print(`${modelName}: ${labelText(tokenizer)}`);
  const shown: unknown[] = [];
  for (const split of splits) {
    const rows = await loadPrompts({
      ...{ dataset, request, split, style, kshot, seed, limit: n },
      shuffleChoices: flags["shuffle-choices"],
    });
    for (const [index, row] of rows.entries()) {
      const tokens = tokenizer && countTokens(tokenizer, row, chat);
      print(`\n━━ ${split} ${index + 1}, ${row.id}${tokens ? `: ${tokenText(tokens)}` : ""}\n${marked(row)}`);
      const { id, prompt, context, targetPrompt, target, output, label, logits } = row;
      shown.push({
        ...{ id, split, prompt, context, target_prompt: targetPrompt, target },
        ...(output === undefined ? {} : { output }),
        ...(label === undefined ? {} : { query_label: label }),
        ...(logits === undefined ? {} : { logits }),
        ...(tokens === undefined ? {} : { tokens }),
      });
    }
  }
  return { dataset: name, promptStyle: style.name, kshot, seed, rows: shown };
}

/** Which ways to answer a question with one token a model has; see `--query-format` and `--prompt-style=choice`. */
function labelText(tokenizer: Tokenizer): string {
  const formats = QUERY_FORMATS.map((format) => {
    const found = findAnswers(tokenizer, format);
    return "why" in found ? `not ${format.name}, because ${found.why}` : format.name;
  });
  return `${tokenizer.chat ? "a chat template" : "no chat template"}; query formats ${formats.join(", ")}`;
}

/** The text that a model reads and the right answer, with a mark where each part begins; all between is exact. */
function marked({ prompt, context, targetPrompt, target, output, label }: StoredRow): string {
  const answered = output === undefined ? "" : `⟦output⟧${output}`;
  const labelled = label === undefined ? "" : `⟦query_label⟧${label ?? ""}`;
  return `⟦prompt⟧${prompt}⟦context⟧${context}⟦target_prompt⟧${targetPrompt}⟦target⟧ ${target}${answered}${labelled}⟦end⟧`;
}

/** Each part's share in the tokens of the whole, as the text grows. */
function countTokens(tokenizer: Tokenizer, row: StoredRow, chat: boolean): TokenCounts {
  const { prompt, context, targetPrompt, target } = row;
  let text = "", before = 0;
  const [promptTokens, contextTokens, targetPromptTokens, targetTokens] = [
    prompt,
    context,
    targetPrompt,
    ` ${target}`,
  ].map((part) => {
    text += part;
    const all = tokenizer.encode(text).length, grown = all - before;
    before = all;
    return grown;
  });
  const read = encodePrompt(tokenizer, row, { chat, limit: Infinity }).length;
  return {
    prompt: promptTokens,
    context: contextTokens,
    targetPrompt: targetPromptTokens,
    ...(chat && { template: read - promptTokens - contextTokens - targetPromptTokens }),
    target: targetTokens,
    read,
  };
}

function tokenText({ prompt, context, targetPrompt, template, target, read }: TokenCounts): string {
  const added = template === undefined ? "" : `, chat template ${template}`;
  const parts = `prompt ${prompt}, context ${context}, target prompt ${targetPrompt}${added}`;
  return `${read} tokens to read (${parts}), target ${target}`;
}

function describeDataset({ name, dataset }: FoundDataset): string {
  const { description, home, licence, mends = [] } = dataset;
  return [
    `${name}: ${description}`,
    ...(home === undefined ? [] : [`home     ${home}`]),
    ...(licence === undefined ? [] : [`licence  ${licence}`]),
    ...mends.map((mend) => `mended   ${mend}`),
  ].join("\n");
}

/** Looks at a dataset, or at one after the other of a collection, and prints what is found in each. */
async function validate(
  session: Session,
  name: string,
  flags: Values<typeof VALIDATE_FLAGS>,
  options: FlagValues,
): Promise<readonly Validated[]> {
  const style = flags["prompt-style"] === undefined ? undefined : chooseStyle(session, flags["prompt-style"]);
  const results: Validated[] = [];
  for (const chosen of await chooseAll(session, name, flags, options)) {
    const splits = await validateOne(chosen, flags.splits, style);
    print(findingsText(chosen.name, splits));
    const sound = splits.every(({ findings }) => findings.every(({ wrong }) => !wrong));
    results.push({ dataset: chosen.name, sound, splits });
  }
  return results;
}

async function validateOne(
  chosen: FoundDataset,
  text: string | undefined,
  style: PromptStyle | undefined,
): Promise<readonly Validation[]> {
  const { name, dataset, request } = chosen;
  using progress = new ProgressBar(`validate ${name}`);
  const splits = text === undefined ? await splitsOf(chosen) : chooseSplits(text, dataset);
  return await validateDataset({ dataset, request, splits, style, progress });
}

/** The splits that are there, in their order. */
async function splitsOf({ dataset, request, name }: FoundDataset): Promise<readonly Split[]> {
  const there = await dataset.available?.(request) ?? dataset.splits;
  if (there.length > 0) return SPLITS.filter((split) => there.includes(split));
  throw new UserError({
    kind: "data",
    what: `${name} has no split`,
    where: name,
    fix: `put rows into one of ${dataset.splits.join(", ")}`,
  });
}

/** A dataset by its name, or all of a collection: one or more. */
async function chooseAll(
  session: Session,
  name: string,
  flags: { readonly "data-dir"?: string; readonly "prompt-style"?: string },
  options: FlagValues,
): Promise<readonly FoundDataset[]> {
  return await findDatasets(session, name, {
    dataDir: flags["data-dir"],
    promptStyle: flags["prompt-style"],
    options,
  });
}

/** Flags of a command that names a dataset, with the options of that, if it is there already. */
async function namedFlags(flags: FlagSet, args: readonly string[], session: Session): Promise<FlagSet> {
  const { positionals: [name] } = splitPositionals(args, await allFlags(flags, args, session));
  return name === undefined ? flags : { ...flags, ...optionFlags(datasetNamed(session, name)) };
}

/** A command's flags with the options of all datasets, to know which of them take the argument behind them. */
async function allFlags(flags: FlagSet, args: readonly string[], session: Session): Promise<FlagSet> {
  await session.loadPlugins(peekFlag(args, "plugin"));
  return Object.assign(
    {},
    ...session.registry.list("dataset").map(({ plugin }) => optionFlags(plugin)),
    flags,
  );
}

/** The name behind the command, the flags, and the dataset's options among them. */
async function parseNamed<S extends FlagSet>(
  command: string,
  flags: S,
  args: readonly string[],
  session: Session,
) {
  const { positionals: [name, ...further], rest } = splitPositionals(
    args,
    await allFlags(flags, args, session),
  );
  if (name === undefined) {
    throw new UserError({
      kind: "usage",
      what: "No dataset was named",
      where: command,
      fix: `name it, as in ${command} arc; deno task data ls lists them`,
    });
  }
  const dataset = datasetNamed(session, name);
  const { values, extra } = parseFlags(command, flags, [...rest, ...further], optionFlags(dataset));
  return { name, values, options: optionsOf(dataset, extra) };
}

const COMMANDS: Readonly<Record<string, Task>> = {
  ls: {
    command: "deno task data ls",
    summary: "List the datasets, with their splits, rows, licence and home page.",
    example: "deno task data ls",
    flags: LS_FLAGS,
    async run(args, session) {
      const { values } = parseFlags(this.command, LS_FLAGS, args);
      await session.loadPlugins(values.plugin);
      return list(session, values);
    },
  },
  show: {
    command: "deno task data show",
    summary: "Show what a model reads of a dataset, exactly, with a mark where each part begins.",
    example: "deno task data show facts --n=2 --prompt-style=oe --kshot=1 --model-name=facts",
    flags: (args, session) => namedFlags(SHOW_FLAGS, args, session),
    async run(args, session) {
      const { name, values, options } = await parseNamed(this.command, SHOW_FLAGS, args, session);
      return await show(session, name, values, options);
    },
  },
  validate: {
    command: "deno task data validate",
    summary:
      "Read whole splits and say what is wrong in them: fields, labels, duplicates, empty texts, leaks. Ends " +
      "with 4 if something is.",
    example: "deno task data validate offline:runs/mine/labels",
    flags: (args, session) => namedFlags(VALIDATE_FLAGS, args, session),
    async run(args, session) {
      const { name, values, options } = await parseNamed(this.command, VALIDATE_FLAGS, args, session);
      const results = await validate(session, name, values, options);
      const sound = results.every(({ sound }) => sound);
      if (!sound) session.exitCode = 4;
      if (results.length === 1) return results[0];
      print(collectionText(name, results));
      return { dataset: name, sound, datasets: results };
    },
  },
};

if (import.meta.main) {
  const [command, ...args] = Deno.args;
  if (command !== undefined && Object.hasOwn(COMMANDS, command)) await runTask(COMMANDS[command], args);
  if (command === "--help" || command === "-h") {
    print(
      "Look at datasets.\n\n" +
        Object.keys(COMMANDS).map((name) => `  deno task data ${name} --help`).join("\n"),
    );
    Deno.exit(0);
  }
  const what = command === undefined ? "No command was named" : `Unknown command "${command}"`;
  const fix = suggestion(command ?? "", Object.keys(COMMANDS));
  note(new UserError({ kind: "usage", what, where: "deno task data", fix }).message);
  Deno.exit(2);
}
