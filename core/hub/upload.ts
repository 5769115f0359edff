/** Putting a folder's files on the Hub. */
import { UserError } from "../errors.ts";
import { hubFetch, type RequestOptions, type Subject } from "./request.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** Files to put into a model repository. */
export interface Upload {
  /** `owner/name` */
  readonly repo: string;
  /** Whether the files are for their owner only; a repository that is there stays as it is, so it has to be private. */
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
 * @throws {UserError} of kind `usage` without a token, or where what is to be private would be public; of kind `data`
 * if the Hub refuses or cannot be reached
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
  const subject: Subject = { type: "model", repo, revision: "main", write: true };
  let isThere = false;
  const common = {
    repo: { type: "model", name: repo },
    hubUrl: settings.endpoint,
    accessToken: PLACEHOLDER,
    fetch: (async (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input);
      const create = url.pathname.endsWith("/api/repos/create");
      const accept = create ? [409] : [];
      const response = await hubFetch(settings, subject, url, init as RequestInit, { ...options, accept });
      if (response.status !== 409) return response;
      await response.body?.cancel();
      isThere = true;
      return Response.json({ url: page, id: repo });
    }) as typeof fetch,
  } as const;
  await createRepo({ ...common, visibility: upload.private ? "private" : "public" });
  if (isThere && upload.private && !await isPrivate(settings, subject, options)) {
    throw usage(
      `${repo} is on the Hub already, for all to see`,
      "publish as public (--public), or to another one",
    );
  }
  await commit({
    ...common,
    files: Object.entries(files).map(([path, content]) => ({ path, content: new Blob([content]) })),
    commitTitle: title,
    useXet: false,
  });
  return page;
}

/** Whether the Hub says that a repository is private. */
async function isPrivate(settings: HubSettings, subject: Subject, options: RequestOptions): Promise<boolean> {
  const url = `${settings.endpoint}/api/models/${subject.repo}/revision/${subject.revision}`;
  const reply = await hubFetch(settings, subject, url, { whole: true }, options);
  const about = await reply.json().catch(() => null) as { private?: unknown } | null;
  return about?.private === true;
}
