/** `deno task publish`: put an adapter on the Hugging Face Hub, with a page that says what it is and how well it does. */
import { basename, dirname, join, resolve } from "node:path";
import {
  type AdapterQuery,
  dataError,
  exists,
  isHubName,
  type Json,
  parseHubName,
  readJson,
  uploadFiles,
  UserError,
  writeFileAtomic,
  writeJsonAtomic,
} from "../core/mod.ts";
import { CALIBRATOR_FILE, hasCalibrator, loadCalibrator } from "../model/calibrator_file.ts";
import { TEMPERATURE_FILE } from "../model/temperature_file.ts";
import {
  type AdapterEvaluation,
  evaluationsOf,
  trainedCheckpoint,
  type Training,
  trainingOf,
  withoutPaths,
} from "./_adapter_run.ts";
import { checkpointFingerprint } from "./_checkpoint.ts";
import { defineFlags, parseFlags, type Values } from "./_flags.ts";
import { note, print } from "./_io.ts";
import { type CardFacts, modelCard } from "./_model_card.ts";
import type { Session } from "./_session.ts";
import { runTask, type Task } from "./_task.ts";

/** Flags of `publish`. */
export const PUBLISH_FLAGS = defineFlags({
  "run": { type: "string", help: "log-dir of the training: its last checkpoint, with its evaluations" },
  "query-peft-dir": { type: "string", help: "checkpoint to publish (that of --run)" },
  "repo": { type: "string", help: "owner/name on the Hub", required: true },
  "evaluation": { type: "string", help: "log-dir of another evaluation of it; repeatable", repeatable: true },
  "license": { type: "string", help: "licence of the adapter, as the Hub names it" },
  "public": { type: "boolean", help: "for all to see (private)" },
  "dry-run": { type: "boolean", help: "write the folder, and upload nothing" },
  "out": { type: "string", help: "folder to write (<log-dir>/publish)" },
  "plugin": { type: "string", help: "module to load first; repeatable", repeatable: true },
});

const ADAPTER = "adapter_model.safetensors", CLASSIFIER = "classifier_model.safetensors";
/** What says what an adapter, and a classifier, is for. */
const ADAPTER_CONFIG = "adapter_config.json", CLASSIFIER_CONFIG = "classifier_config.json";

/** What a checkpoint holds: an adapter, a classifier on hidden states, or both. */
interface Contents {
  readonly adapter?: Readonly<Record<string, Json>>;
  readonly classifier?: Readonly<Record<string, Json>>;
}

/** What the task made. */
export interface PublishResult {
  readonly folder: string;
  readonly files: readonly string[];
  /** Where it is now; absent for a dry run. */
  readonly url?: string;
}

/** Writes what is published and, unless that is all that is wanted, uploads it. */
export async function publish(
  session: Session,
  flags: Values<typeof PUBLISH_FLAGS>,
): Promise<PublishResult> {
  const { repo, license: licence } = flags;
  checkNames(repo, licence);
  const { checkpoint, logDir } = await source(flags);
  const fingerprint = await checkpointFingerprint(checkpoint);
  const contents = await contentsOf(checkpoint);
  const isRun = await exists(join(logDir, "run.json"));
  const training = isRun ? await trainingOf(logDir, checkpoint) : undefined;
  const calibrator = await hasCalibrator(checkpoint) ? await loadCalibrator(checkpoint) : undefined;
  const facts: CardFacts = {
    repo,
    ...await baseOf(session, training, contents.adapter ?? contents.classifier!),
    adapter: contents.adapter !== undefined,
    activated: Array.isArray(contents.adapter?.alora_invocation_tokens),
    ...(contents.classifier && { classifier: readsOf(contents.classifier) }),
    ...(contents.adapter && { query: queryOf(contents.adapter) }),
    ...(licence !== undefined && { licence }),
    ...(training && { training }),
    ...(calibrator && { calibrator }),
    evaluations: await evaluations(flags.evaluation, fingerprint, isRun ? logDir : undefined),
  };
  if (facts.evaluations.length === 0) {
    note("There is no evaluation of this adapter, and its page says so: see deno task evaluate.");
  }
  const folder = flags.out ?? join(logDir, "publish");
  const files = await write(folder, checkpoint, contents, facts);
  note(`Wrote ${files.join(", ")} to ${folder}`);
  if (flags["dry-run"]) return { folder, files };
  const upload: Record<string, Uint8Array<ArrayBuffer>> = {};
  for (const name of files) upload[name] = await Deno.readFile(join(folder, name));
  const bytes = Object.values(upload).reduce((sum, { length }) => sum + length, 0);
  note(`Uploading ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB, to ${repo} …`);
  const title = `Adapter of ${basename(checkpoint)}`;
  return { folder, files, url: await uploadFiles({ repo, private: !flags.public, files: upload, title }) };
}

/** The checkpoint to publish, and the run it belongs to. */
async function source(
  { run, "query-peft-dir": checkpoint }: Values<typeof PUBLISH_FLAGS>,
): Promise<{ readonly checkpoint: string; readonly logDir: string }> {
  if (run === undefined && checkpoint === undefined) {
    throw usage("There is nothing to publish", "deno task publish", "give --run=<log-dir>");
  }
  if (checkpoint === undefined) return { checkpoint: await trainedCheckpoint(run!), logDir: run! };
  if (isHubName(checkpoint)) {
    const fix = "name a folder; what is on the Hub is published already";
    throw usage(`"${checkpoint}" is on the Hub`, "--query-peft-dir", fix);
  }
  return { checkpoint, logDir: run ?? dirname(resolve(checkpoint)) };
}

/** Those in the adapter's own run, and those in the runs that are named, which have to hold one. */
async function evaluations(
  named: readonly string[],
  fingerprint: string,
  logDir: string | undefined,
): Promise<AdapterEvaluation[]> {
  const found = logDir === undefined ? [] : await evaluationsOf(logDir, fingerprint, logDir);
  for (const folder of named) {
    const more = await evaluationsOf(folder, fingerprint, logDir);
    if (more.length === 0) {
      const fix = "evaluate this checkpoint, and give the --log-dir of that";
      throw dataError("There is no evaluation of this adapter", join(folder, "run.json"), fix);
    }
    const isNew = (one: AdapterEvaluation) => !found.some((other) => sameJson(one, other));
    found.push(...more.filter(isNew));
  }
  return found;
}

function sameJson(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** @throws {UserError} of kind `data` for a checkpoint without a part that can be published */
async function contentsOf(checkpoint: string): Promise<Contents> {
  const configOf = async (name: string) => {
    const path = join(checkpoint, name);
    return await exists(path) ? await readJson(path) as Readonly<Record<string, Json>> : undefined;
  };
  const classifier = await configOf(CLASSIFIER_CONFIG), adapter = await configOf(ADAPTER_CONFIG);
  if (adapter || classifier) return { ...(adapter && { adapter }), ...(classifier && { classifier }) };
  throw dataError(
    `There is no ${ADAPTER_CONFIG} and no ${CLASSIFIER_CONFIG}`,
    checkpoint,
    "give a checkpoint with an adapter in PEFT's format, or with a classifier",
  );
}

/** What a classifier reads, for its page. */
function readsOf({ layers, position }: Readonly<Record<string, Json>>): NonNullable<CardFacts["classifier"]> {
  return { layers: layers as readonly number[], position: String(position) };
}

/** How an adapter was taught to be asked, for its page. */
function queryOf({ query_format: name, query_chat: chat }: Readonly<Record<string, Json>>): AdapterQuery {
  return {
    ...(typeof name === "string" && name !== "" && { queryFormat: name }),
    ...(chat === true && { queryChat: true }),
  };
}

/** Writes what is published; gives the names of the files. */
async function write(
  folder: string,
  checkpoint: string,
  { adapter, classifier }: Contents,
  facts: CardFacts,
): Promise<string[]> {
  const { baseModel, baseName, baseCommit, calibrator } = facts;
  const files = ["README.md"];
  await writeFileAtomic(join(folder, "README.md"), modelCard(facts));
  const base = { base_model_name_or_path: baseModel ?? baseName ?? null };
  const revision = baseCommit === undefined ? {} : { revision: baseCommit };
  const writeConfig = async (name: string, config: Readonly<Record<string, Json>>) => {
    await writeJsonAtomic(join(folder, name), { ...withoutPaths(config), ...base, ...revision });
    files.push(name);
  };
  const copy = async (name: string) => {
    await writeFileAtomic(join(folder, name), await readBytes(join(checkpoint, name)));
    files.push(name);
  };
  if (adapter) {
    await writeConfig(ADAPTER_CONFIG, adapter);
    await copy(ADAPTER);
  }
  if (classifier) {
    await writeConfig(CLASSIFIER_CONFIG, classifier);
    await copy(CLASSIFIER);
  }
  if (calibrator) await copy(calibrator.kind === "temperature" ? TEMPERATURE_FILE : CALIBRATOR_FILE);
  if (facts.evaluations.length > 0) {
    await writeJsonAtomic(join(folder, "metrics.json"), facts.evaluations);
    files.push("metrics.json");
  }
  return files;
}

async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  if (await exists(path)) return await Deno.readFile(path);
  throw dataError(
    `There is no ${basename(path)}`,
    path,
    "give a checkpoint that is complete",
  );
}

/** The model that an adapter is for: by its name on the Hub if it has one, never by a path. */
async function baseOf(
  session: Session,
  training: Training | undefined,
  config: Readonly<Record<string, Json>>,
): Promise<Pick<CardFacts, "baseModel" | "baseCommit" | "baseName">> {
  const name = String(training?.model.name ?? config.base_model_name_or_path ?? "");
  if (name === "") return {};
  const commit = training?.model.commit;
  const hub = session.hubName(name) ?? await bareHubName(name);
  if (hub !== undefined) {
    return { baseModel: hub, ...(commit !== undefined && { baseCommit: String(commit) }) };
  }
  return { baseName: basename(name) };
}

/** A repository as PEFT names it, without `hf:`; a folder of that name goes first, as it does there. */
async function bareHubName(name: string): Promise<string | undefined> {
  if (!/^[^/\\]+\/[^/\\]+$/.test(name) || await exists(name)) return undefined;
  try {
    return parseHubName(`hf:${name}`).repo;
  } catch {
    return undefined;
  }
}

function checkNames(repo: string, licence: string | undefined): void {
  const { repo: read } = parseHubName(`hf:${repo}`);
  if (read !== repo || !repo.includes("/")) {
    throw usage(`"${repo}" is not an owner and a name`, "--repo", "write owner/name");
  }
  if (licence !== undefined && !/^[a-z0-9][a-z0-9.-]*$/.test(licence)) {
    const fix =
      "use an identifier of https://huggingface.co/docs/hub/repositories-licenses, as in apache-2.0";
    throw usage(`"${licence}" is not the name of a licence`, "--license", fix);
  }
}

function usage(what: string, where: string, fix: string): UserError {
  return new UserError({ kind: "usage", what, where, fix });
}

const task: Task = {
  command: "deno task publish",
  summary:
    "Put an adapter on the Hugging Face Hub, with a page that says what it is and how well it does. Private unless " +
    "--public is given.",
  example: "deno task publish --run=runs/mine --repo=me/llama-knows --license=apache-2.0 --dry-run",
  flags: PUBLISH_FLAGS,
  async run(args, session) {
    const { values } = parseFlags(this.command, PUBLISH_FLAGS, args);
    await session.loadPlugins(values.plugin);
    const result = await publish(session, values);
    print(result.url ?? result.folder);
    return result;
  },
};

if (import.meta.main) await runTask(task);
