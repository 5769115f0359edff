import { createHash } from "node:crypto";
import {
  dataError,
  exists,
  type Json,
  type Label,
  type LabelerQuality,
  readJson,
  type Split,
  SPLITS,
  writeJsonAtomic,
} from "../core/mod.ts";

/** What labeler and human said of one row. */
export interface Judgement {
  readonly labeler: Label;
  readonly human: Label;
}

/** The audit of one split, as `audit.json` holds it. */
export interface StoredAudit {
  /** Folder of the labels, as it was named. */
  readonly labels: string;
  /** Of the labelled rows; see {@linkcode labelsHash}. */
  readonly hash: string;
  /** What made the labels, where their run folder says so. */
  readonly labeler: Json;
  readonly seed: number;
  /** Rows that are to be judged. */
  readonly rows: number;
  /** By id of the row. */
  readonly judgements: Readonly<Record<string, Judgement>>;
  /** What follows from them; absent while a human is at work. */
  readonly quality?: LabelerQuality;
}

/** What `audit.json` holds. */
export type AuditFile = Readonly<Partial<Record<Split, StoredAudit>>>;

/** SHA-256 of labelled rows: which they are, their answers and labels. */
export function labelsHash(
  rows: readonly { readonly id: string; readonly output: string; readonly label: Label }[],
): string {
  const hash = createHash("sha256");
  for (const { id, output, label } of rows) hash.update(`${JSON.stringify([id, output, label])}\n`);
  return hash.digest("hex");
}

/** Reads `audit.json`; nothing if there is none. */
export async function readAudit(path: string): Promise<AuditFile | undefined> {
  if (!await exists(path)) return undefined;
  const file = await readJson(path);
  const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const isLabel = (value: unknown) => value === 0 || value === 1 || value === null;
  const sound = isRecord(file) &&
    Object.entries(file).every(([split, audit]) =>
      SPLITS.some((name) => name === split) && isRecord(audit) && typeof audit.hash === "string" &&
      typeof audit.seed === "number" && typeof audit.rows === "number" && isRecord(audit.judgements) &&
      Object.values(audit.judgements).every((judgement) =>
        isRecord(judgement) && isLabel(judgement.labeler) && isLabel(judgement.human)
      )
    );
  if (!sound) {
    throw dataError(
      "Not an audit of labels",
      path,
      "move the file away, and audit again with deno task audit",
    );
  }
  return file as AuditFile;
}

/** Writes the audit of one split; those of the others stay. */
export async function writeAudit(path: string, split: Split, audit: StoredAudit): Promise<void> {
  await writeJsonAtomic(path, { ...await readAudit(path), [split]: audit });
}
