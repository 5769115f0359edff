/** `deno task publish`: put an adapter on the Hugging Face Hub, with a page that says what it is and how well it does. */
import { basename, dirname, join, resolve } from "node:path";
import {
  dataError,
  exists,
  hashFile,
  type Json,
  parseHubName,
  readJson,
  uploadFiles,
  UserError,
  writeFileAtomic,
} from "../core/mod.ts";
import { loadTemperature } from "../model/temperature_file.ts";
import { checkpointFingerprint } from "./_checkpoint.ts";
import { defineFlags, parseFlags, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { type CardEvaluation, type CardFacts, modelCard } from "./_model_card.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of `publish`. */
export const PUBLISH_FLAGS = defineFlags({
  "query-peft-dir": { type: "string", help: "checkpoint to publish", required: true },
  "repo": { type: "string", help: "owner/name on the Hub", required: true },
  "evaluation": { type: "string", help: "log-dir of an evaluation of it; repeatable", repeatable: true },
  "license": { type: "string", help: "licence of the adapter, as the Hub names it" },
  "public": { type: "boolean", help: "a new repository is open to all (private)" },
  "dry-run": { type: "boolean", help: "write the folder, and upload nothing" },
  "out": { type: "string", help: "folder to write (<checkpoint>/../publish)" },
});

const ADAPTER_FILES = ["adapter_model.safetensors", "temperature_model.safetensors"];

type Stage = {
  readonly inputs: Readonly<Record<string, Json>>;
  readonly outputs: Readonly<Record<string, string>>;
};

async function publish(session: Session, flags: Values<typeof PUBLISH_FLAGS>): Promise<Json> {
  const { "query-peft-dir": checkpoint, repo, license: licence } = flags;
  parseHubName(`hf:${repo}`);
  if (!repo.includes("/")) {
    throw new UserError({
      kind: "usage",
      what: `"${repo}" has no owner`,
      where: "--repo",
      fix: "write owner/name",
    });
  }
  const fingerprint = await checkpointFingerprint(checkpoint);
  const config = await readJson(join(checkpoint, "adapter_config.json")) as Record<string, Json>;
  const training = await trainingOf(checkpoint);
  const base = baseOf(session, training, config);
  const evaluations: CardEvaluation[] = [];
  for (const folder of flags.evaluation) evaluations.push(...await evaluationsOf(folder, fingerprint));
  const temperature = await exists(join(checkpoint, "temperature_model.safetensors"))
    ? await loadTemperature(checkpoint)
    : undefined;
  const facts: CardFacts = {
    title: repo,
    ...base,
    ...(licence !== undefined && { licence }),
    ...training?.words,
    ...(temperature !== undefined && { temperature }),
    evaluations,
  };
  const folder = flags.out ?? join(dirname(resolve(checkpoint)), "publish");
  const files = await write(folder, checkpoint, config, base.baseModel ?? base.baseName, facts);
  note(`Wrote ${files.join(", ")} to ${folder}`);
  if (flags["dry-run"]) {
    print(folder);
    return { folder, files };
  }
  const contents: Record<string, Uint8Array<ArrayBuffer>> = {};
  for (const name of files) contents[name] = await Deno.readFile(join(folder, name));
  const url = await uploadFiles({
    repo,
    private: !flags.public,
    files: contents,
    title: `Adapter of ${basename(checkpoint)}`,
  });
  print(url);
  return { folder, files, url };
}

/** Writes what is published; gives the names of the files. */
async function write(
  folder: string,
  checkpoint: string,
  config: Readonly<Record<string, Json>>,
  base: string | undefined,
  facts: CardFacts,
): Promise<string[]> {
  await writeFileAtomic(join(folder, "README.md"), modelCard(facts));
  const own = { ...config, base_model_name_or_path: base ?? null };
  await writeFileAtomic(join(folder, "adapter_config.json"), JSON.stringify(own, null, 2) + "\n");
  const files = ["README.md", "adapter_config.json"];
  for (const name of ADAPTER_FILES) {
    const from = join(checkpoint, name);
    if (name.startsWith("temperature") && !await exists(from)) continue;
    await writeFileAtomic(join(folder, name), await Deno.readFile(from));
    files.push(name);
  }
  if (facts.evaluations.length > 0) {
    await writeFileAtomic(join(folder, "metrics.json"), JSON.stringify(facts.evaluations, null, 2) + "\n");
    files.push("metrics.json");
  }
  return files;
}

/** What the run of a checkpoint says about its training, if the checkpoint is the one it wrote. */
async function trainingOf(
  checkpoint: string,
): Promise<{ readonly model: Json; readonly words: Pick<CardFacts, "data" | "training"> } | undefined> {
  const path = join(dirname(resolve(checkpoint)), "run.json");
  if (!await exists(path)) return undefined;
  const { stages } = await readJson(path) as { stages?: Record<string, Stage> };
  const train = stages?.train;
  const name = `${basename(resolve(checkpoint))}/adapter_model.safetensors`;
  if (train?.outputs?.[name] !== await hashFile(join(checkpoint, "adapter_model.safetensors"))) {
    return undefined;
  }
  const { method, options, batchSize, maxSteps, seed, model, dataset } = train.inputs as Record<
    string,
    Record<string, Json>
  >;
  const asked = stages?.["outputs/train"]?.inputs.dataset as Record<string, Json> | undefined;
  return {
    model,
    words: {
      data: `${datasetText(asked ?? dataset)}, answered by the model and labelled right or wrong` +
        `${labelerText(stages?.["labels/train"])}.`,
      training: { method: method.name, ...options, batchSize, maxSteps, seed },
    },
  };
}

/** A dataset's name; a folder on this machine is nobody else's business. */
function datasetText({ name, argument }: Readonly<Record<string, Json>>): string {
  return name === "offline" || !argument ? `Dataset \`${name}\`` : `Dataset \`${name}:${argument}\``;
}

function labelerText(stage: Stage | undefined): string {
  const labeler = stage?.inputs.labeler as Record<string, Json> | undefined;
  return labeler ? ` by \`${labeler.name}\`` : "";
}

/** The model that an adapter is for: by its name on the Hub if it has one, never by a path. */
function baseOf(
  session: Session,
  training: { readonly model: Json } | undefined,
  config: Readonly<Record<string, Json>>,
): Pick<CardFacts, "baseModel" | "baseCommit" | "baseName"> {
  const model = training?.model as Record<string, Json> | undefined;
  const name = String(model?.name ?? config.base_model_name_or_path ?? "");
  const hub = session.hubName(name);
  if (hub !== undefined) {
    return { baseModel: hub, ...(model?.commit !== undefined && { baseCommit: String(model.commit) }) };
  }
  return name === "" ? {} : { baseName: basename(name) };
}

/** The evaluations of an adapter in a run. @throws {UserError} of kind `data` if there is none */
async function evaluationsOf(folder: string, fingerprint: string): Promise<CardEvaluation[]> {
  const { stages } = await readJson(join(folder, "run.json")) as { stages?: Record<string, Stage> };
  const found: CardEvaluation[] = [];
  let others = 0;
  for (const [name, { inputs, outputs }] of Object.entries(stages ?? {})) {
    if (!name.startsWith("metrics/")) continue;
    if (inputs.adapter !== fingerprint) {
      others++;
      continue;
    }
    const file = Object.keys(outputs).find((path) => path.endsWith("metrics.json"))!;
    const { dataset, split, n, undecided, metrics } = await readJson(join(folder, file)) as CardEvaluation;
    found.push({
      dataset: dataset.startsWith("offline:") ? "offline" : dataset,
      split,
      n,
      undecided,
      metrics,
    });
  }
  if (found.length > 0) return found;
  throw dataError(
    others > 0 ? "The evaluation is of another adapter" : "There is no evaluation",
    join(folder, "run.json"),
    "evaluate this checkpoint, and give the --log-dir of that",
  );
}

const task: Task = {
  command: "deno task publish",
  summary:
    "Put an adapter on the Hugging Face Hub, with a page that says what it is and how well it does. Private unless " +
    "--public is given.",
  example:
    "deno task publish --query-peft-dir=runs/mine/checkpoint-5000 --evaluation=runs/eval --repo=me/llama-ct " +
    "--dry-run",
  flags: PUBLISH_FLAGS,
  run: (args, session) => publish(session, parseFlags(task.command, PUBLISH_FLAGS, args).values),
};

if (import.meta.main) await runTask(task);
