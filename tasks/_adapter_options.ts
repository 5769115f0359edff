import { relative } from "node:path";
import { type Json, UserError } from "../core/mod.ts";
import { checkCheckpoint } from "./_checkpoint.ts";
import type { Session } from "./_session.ts";

/** Options of a method that name an adapter: a folder, or `hf:owner/name[@revision]`. */
const ADAPTER_OPTION = /^(peftDir|.+PeftDir)$/;

/** The adapters that a method's options name. */
export interface NamedAdapters {
  /** Where each lies, by its option. */
  readonly folders: Readonly<Record<string, string>>;
  /** What run.json says of each: its files decide the result, not where they lie. */
  readonly about: Readonly<Record<string, Json>>;
}

/**
 * Finds the adapters that options name, downloading those of the Hub.
 *
 * @throws {UserError} if one is not there, or was trained on other weights than the model's
 */
export async function locateAdapters(
  session: Session,
  options: object,
  modelName: string,
): Promise<NamedAdapters> {
  const folders: Record<string, string> = {}, about: Record<string, Json> = {};
  for (const [key, name] of Object.entries(options)) {
    if (!ADAPTER_OPTION.test(key) || typeof name !== "string" || name === "") continue;
    about[key] = await session.describeAdapter(name);
    folders[key] = await session.adapterFolder(name);
    await checkCheckpoint(session, modelName, folders[key]);
  }
  return { folders, about };
}

/** Refuses adapters among the checkpoints of a run folder, which are about to be moved. */
export async function checkOutside(run: string, { folders }: NamedAdapters): Promise<void> {
  for (const folder of Object.values(folders)) {
    const path = relative(await Deno.realPath(run), await Deno.realPath(folder));
    if (!path.startsWith("checkpoint-")) continue;
    throw new UserError({
      kind: "usage",
      what: `--no-resume would move the adapter ${folder} away, which training starts from`,
      where: run,
      fix: "train into another --log-dir",
    });
  }
}
