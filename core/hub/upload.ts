/** Putting a folder's files on the Hub. */
import { UserError } from "../errors.ts";
import { hubFetch, type RequestOptions } from "./request.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** Files to put into a model repository. */
export interface Upload {
  /** `owner/name` */
  readonly repo: string;
  /** Whether a repository that is made for them is private; one that is there stays as it is. */
  readonly private: boolean;
  /** Contents by path. */
  readonly files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
  /** What the commit is called. */
  readonly title: string;
}

/** The package insists on a token that looks like one; the real one is added to each request by us. */
const PLACEHOLDER = "hf_added_to_each_request";

/**
 * Makes the repository if there is none, and puts the files there in one commit.
 *
 * @returns its address
 * @throws {UserError} of kind `usage` without a token; of kind `data` if the Hub refuses or cannot be reached
 */
export async function uploadFiles(
  { repo, files, title, ...upload }: Upload,
  { settings: given, ...options }: RequestOptions & { readonly settings?: HubSettings } = {},
): Promise<string> {
  const settings = given ?? await hubSettings();
  const page = `${settings.endpoint}/${repo}`;
  const usage = (what: string, fix: string) => new UserError({ kind: "usage", what, where: page, fix });
  if (settings.token === undefined) {
    const fix = "set HF_TOKEN to a token that may write, from https://huggingface.co/settings/tokens";
    throw usage("Publishing needs a token", fix);
  }
  if (settings.offline) throw usage("HF_HUB_OFFLINE forbids to publish", "unset it");
  const { createRepo, uploadFiles: commit } = await import("@huggingface/hub");
  const subject = { type: "model", repo, revision: "main" } as const;
  const common = {
    repo: { type: "model", name: repo },
    hubUrl: settings.endpoint,
    accessToken: PLACEHOLDER,
    fetch: (async (input, init) => {
      const url = input instanceof Request ? input.url : input;
      const response = await hubFetch(settings, subject, url, init as RequestInit, {
        ...options,
        accept: [409],
      });
      // The repository is there already.
      return response.status === 409 ? Response.json({ url: page, id: repo }) : response;
    }) as typeof fetch,
  } as const;
  await createRepo({ ...common, visibility: upload.private ? "private" : "public" });
  await commit({
    ...common,
    files: Object.entries(files).map(([path, content]) => ({ path, content: new Blob([content]) })),
    commitTitle: title,
    useXet: false,
  });
  return page;
}
