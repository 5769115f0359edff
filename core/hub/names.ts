/** Names on the Hugging Face Hub: repositories, revisions and the paths in them. */
import { UserError } from "../errors.ts";
import { dataError } from "../files.ts";

/** What a repository holds. */
export type RepoType = "model" | "dataset";

/** A repository at a revision, as users name it: `hf:owner/name` or `hf:owner/name@revision`. */
export interface HubName {
  /** `owner/name`, or for a few old ones `name`. */
  readonly repo: string;
  /** Branch, tag or commit; `main` if none is given. */
  readonly revision: string;
}

/** One part of a repository's name, as the Hub allows it: no dots at its ends, and none twice. */
const PART = String.raw`[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?!\.)|(?<=\w)\.(?=\w))*`;
const NAME = new RegExp(`^hf:(${PART}(?:/${PART})?)(?:@([A-Za-z0-9_][A-Za-z0-9_./-]*))?$`);

/** Names that the Hub does not give. In the cache `--` stands for the slash, so a name with it could be another's. */
const FORBIDDEN = /--|[.-]$|\.git$/;
const LONGEST = 96 + 1 + 96;

/** Whether a text is meant as a name on the Hub. */
export function isHubName(text: string): boolean {
  return text.startsWith("hf:");
}

/** Reads `hf:owner/name[@revision]`. @throws {UserError} of kind `usage` if it is none */
export function parseHubName(text: string): HubName {
  const [, repo, revision = "main"] = NAME.exec(text) ?? [];
  if (
    repo === undefined || FORBIDDEN.test(repo) || repo.length > LONGEST || revision.split("/").includes("..")
  ) {
    throw new UserError({
      kind: "usage",
      what: `Not a name on the Hugging Face Hub: "${text}"`,
      where: text,
      fix: "write it as hf:owner/name, or hf:owner/name@revision",
    });
  }
  return { repo, revision };
}

/** Refuses a path in a reply of the Hub that would lie outside the folder it is written to. */
export function checkPath(path: string, repo: string): void {
  const parts = path.split("/");
  const safe = path !== "" && !/[\\\0:]/.test(path) &&
    parts.every((part) => part !== "" && part !== "." && part !== "..");
  if (safe) return;
  throw dataError(
    `The Hub names the file ${JSON.stringify(path)}`,
    `repository ${repo}`,
    "do not use this repository: a file's path must lie inside it",
  );
}
