/** `deno task models`: measures how far our numbers are from transformers' and PEFT's, for `docs/models.md`. */
import { fileURLToPath } from "node:url";
import { isModelFamily, loadPrompts, readText, UserError, writeFileAtomic } from "../core/mod.ts";
import type { WeightType } from "../model/weights.ts";
import { chooseDatasets, chooseStyle } from "../tasks/_common.ts";
import { defineFlags, parseFlags } from "../tasks/_flags.ts";
import { print } from "../tasks/_io.ts";
import type { Session } from "../tasks/_session.ts";
import { runTask, type Task } from "../tasks/_task.ts";
import { allLogits, meanKl, measureParity, type Parity, PARITY_CASES } from "./parity.ts";
import { type Agreement, tokenizerAgreement } from "./tokenizers.ts";

const FLAGS = defineFlags({
  "check": { type: "boolean", help: "measure, and fail where docs/models.md promises more; write nothing" },
});

const DOCUMENT = fileURLToPath(new URL("../docs/models.md", import.meta.url));
const START = "<!-- measured: deno task models -->", END = "<!-- end -->";

/** What is promised: the largest differences. */
const TOLERANCE = { logits: 1e-4, hidden: 1e-4, gradient: 1e-3 } as const;

/**
 * The largest KL of quantised models. Recorded ones have large random weights, so that errors grow from layer to layer,
 * and in Mixtral's a small one can choose another expert; the embedded model is trained.
 */
function klTolerance(name: string): { readonly int8: number; readonly int4: number } {
  if (name === TRAINED) return { int8: 1e-4, int4: 1e-2 };
  return name.includes("mixtral") ? { int8: 0.1, int4: 2.5 } : { int8: 0.01, int4: 1.5 };
}

/** The embedded model, and how many of its questions it reads. */
const TRAINED = "facts", QUESTIONS = 32;

/** What quantising a trained model costs. */
type Trained = Pick<Parity, "name" | "int8" | "int4">;

const task: Task = {
  command: "deno task models",
  summary:
    "How far our numbers are from transformers' and PEFT's, on small recorded models of each family; writes the " +
    "tables of docs/models.md.",
  example: "deno task models --check",
  flags: FLAGS,
  async run(args, session) {
    const { check } = parseFlags(this.command, FLAGS, args).values;
    const families = session.registry.list("model").map(({ plugin }) => plugin).filter(isModelFamily);
    const gpu = await session.gpu();
    const models: Parity[] = [];
    for (const name of PARITY_CASES) models.push(await measureParity(gpu, name, families));
    const trained = await measureTrained(session);
    const tokenizers = await tokenizerAgreement();
    const tables = [modelTable([...models, trained]), tokenizerTable(tokenizers)].join("\n\n");
    print(tables);
    const wrong = [
      ...models.flatMap(beyond),
      ...[...models, trained].flatMap(beyondKl),
      ...tokenizers.filter(({ strings, equal, decodedEqual }) => equal < strings || decodedEqual < strings)
        .map(({ family }) => `tokenizer of ${family}`),
    ];
    if (wrong.length > 0) {
      throw new UserError({
        kind: "internal",
        what: `Not within tolerance: ${wrong.join(", ")}`,
        where: "deno task models",
        fix: "find what moved the numbers",
      });
    }
    const text = await readText(DOCUMENT);
    if (check) checkDocument(text, [...models, trained]);
    else await writeFileAtomic(DOCUMENT, between(text, tables));
    return { models, trained, tokenizers };
  },
};

/** Which of a model's numbers are worse than promised. */
function beyond({ name, greedy: [equal, all], ...errors }: Parity): string[] {
  const over = (Object.keys(TOLERANCE) as (keyof typeof TOLERANCE)[])
    .filter((key) => !((errors[key] ?? 0) <= TOLERANCE[key]));
  return [...over, ...(equal < all ? ["greedy"] : [])].map((key) => `${key} of ${name}`);
}

function beyondKl({ name, ...kl }: Trained): string[] {
  const most = klTolerance(name);
  return (["int8", "int4"] as const).filter((dtype) => !((kl[dtype] ?? 0) <= most[dtype]))
    .map((dtype) => `${dtype} of ${name}`);
}

/** Mean KL of the embedded model as stored to itself with quantised blocks, over questions with their answers. */
async function measureTrained(session: Session): Promise<Trained> {
  const style = chooseStyle(session, "oe");
  const [{ dataset, request }] = await chooseDatasets(session, TRAINED, { promptStyle: style.name });
  const rows = await loadPrompts({
    dataset,
    request,
    split: "test",
    style,
    kshot: 0,
    seed: 0,
    limit: QUESTIONS,
  });
  const logits = async (dtype: WeightType) => {
    const { tokenizer, transformer } = await session.model(TRAINED, dtype);
    const texts = rows.map(({ context, targetPrompt, target }) => `${context}${targetPrompt} ${target}`);
    return await allLogits(transformer, texts.map((text) => ({ tokens: tokenizer.encode(text) })));
  };
  const stored = await logits("auto");
  return {
    name: TRAINED,
    int8: meanKl(stored, await logits("int8")),
    int4: meanKl(stored, await logits("int4")),
  };
}

/** Refuses a document that does not name every model that is measured, or names another. */
function checkDocument(text: string, models: readonly Trained[]): void {
  const tables = text.slice(text.indexOf(START), text.indexOf(END));
  const named = [...tables.matchAll(/^\| `([\w-]+)` /gm)].map(([, name]) => name);
  const measured = models.map(({ name }) => shortName(name));
  if (named.join() === measured.join()) return;
  throw new UserError({
    kind: "internal",
    what: `The document lists ${named.join(", ") || "no models"}, but ${measured.join(", ")} are measured`,
    where: "docs/models.md",
    fix: "run deno task models",
  });
}

function between(text: string, tables: string): string {
  const start = text.indexOf(START), end = text.indexOf(END);
  if (start < 0 || end < start) {
    const what = "There is no place for the tables";
    throw new UserError({
      kind: "internal",
      what,
      where: "docs/models.md",
      fix: `write ${START} and ${END} into it`,
    });
  }
  return `${text.slice(0, start + START.length)}\n\n${tables}\n\n${text.slice(end)}`;
}

const shortName = (name: string) => name.split("/").at(-1)!;

/** As Markdown is formatted, so that the document stays as the formatter wants it. */
function markdown(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column].length))
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  return [line(header), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

function modelTable(models: readonly (Parity | Trained)[]): string {
  const digit = (value: number | null) => value === null ? "–" : value.toExponential(0);
  return markdown(
    ["model", "logits", "hidden", "greedy tokens", "LoRA gradient", "int8, KL", "int4, KL"],
    models.map((model) => [
      `\`${shortName(model.name)}\``,
      ...("greedy" in model
        ? [digit(model.logits), digit(model.hidden), model.greedy.join(" of "), digit(model.gradient)]
        : ["–", "–", "–", "–"]),
      digit(model.int8),
      digit(model.int4),
    ]),
  );
}

function tokenizerTable(rows: readonly Agreement[]): string {
  return markdown(
    ["tokenizer", "vocabulary", "file", "ids equal", "texts equal"],
    rows.map(({ family, vocabulary, file, strings, equal, decodedEqual }) => [
      family,
      vocabulary,
      `\`${file}\``,
      `${equal} of ${strings}`,
      `${decodedEqual} of ${strings}`,
    ]),
  );
}

if (import.meta.main) await runTask(task);
