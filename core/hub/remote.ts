/** What the Hub says about a repository: the commit of a revision, and the files of a commit. */
import { UserError } from "../errors.ts";
import { dataError } from "../files.ts";
import { isCommit, type RemoteFile, remoteFile } from "./cache.ts";
import type { HubName, RepoType } from "./names.ts";
import { hubFetch, type RequestOptions, type Subject } from "./request.ts";
import type { HubSettings } from "./settings.ts";

/** Requests for one list: a thousand files come with each. */
const PAGES = 1000;

/** The commit that a revision stands at now. */
export async function resolveCommit(
  settings: HubSettings,
  { type, repo, revision }: HubName & { readonly type: RepoType },
  options: RequestOptions,
): Promise<string> {
  const { datasetInfo, modelInfo } = await hubPackage();
  const fetch = fetchFor(settings, { type, repo, revision }, options);
  const asked = { name: repo, revision, hubUrl: settings.endpoint, fetch };
  const { sha } = await understood(
    settings,
    options,
    () =>
      type === "model"
        ? modelInfo({ ...asked, additionalFields: ["sha"] })
        : datasetInfo({ ...asked, additionalFields: ["sha"] }),
  );
  if (isCommit(sha)) return sha;
  throw dataError(
    `The Hub names no commit for ${repo} at ${revision}`,
    settings.endpoint,
    "check HF_ENDPOINT, or try again later",
  );
}

/** All files of a commit, whether they are wanted or not. */
export async function listRemote(
  settings: HubSettings,
  { type, repo, revision }: Subject,
  options: RequestOptions,
): Promise<readonly RemoteFile[]> {
  const { listFiles } = await hubPackage();
  const listed = listFiles({
    repo: { type, name: repo },
    recursive: true,
    revision,
    hubUrl: settings.endpoint,
    fetch: fetchFor(settings, { type, repo, revision }, options),
  });
  return await understood(settings, options, async () => {
    const files: RemoteFile[] = [];
    for await (const entry of listed) if (entry.type === "file") files.push(remoteFile(repo, entry));
    return files;
  });
}

/** Loaded only by those who go to the Hub: it is large. */
function hubPackage(): Promise<typeof import("@huggingface/hub")> {
  return import("@huggingface/hub");
}

/** The package's requests, with our credentials, retries and errors. */
function fetchFor(settings: HubSettings, subject: Subject, options: RequestOptions): typeof fetch {
  let requests = 0;
  return async (input, init) => {
    if (++requests > PAGES) throw new Error(`its list does not end after ${PAGES} pages`);
    const url = input instanceof Request ? input.url : input;
    return await hubFetch(settings, subject, url, { ...init as RequestInit, whole: true }, options);
  };
}

/** Turns what the package throws over a reply that is not the Hub's into an error that says so. */
async function understood<T>(
  { endpoint }: HubSettings,
  { signal }: RequestOptions,
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof UserError || signal?.aborted) throw error;
    throw dataError(
      `The reply is not one of the Hub: ${error instanceof Error ? error.message : error}`,
      endpoint,
      "check HF_ENDPOINT, and whether the network wants a log-in of its own",
    );
  }
}
