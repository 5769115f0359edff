import { assertEquals, assertRejects } from "@std/assert";
import { createRepo, uploadFiles } from "@huggingface/hub";
import { isCommit } from "../../../core/hub/cache.ts";
import { downloadSnapshot } from "../../../core/hub/snapshot.ts";
import { withFolder } from "../../plugins/_folders.ts";
import { FakeHub } from "./_fake_hub.ts";
import { REQUEST, WEIGHTS } from "./_with_hub.ts";

/** What is uploaded: a small file, and one that goes to the second server. */
const FILES = [
  { path: "README.md", content: new Blob(["# Adapter"]) },
  { path: "adapter_model.safetensors", content: new Blob([WEIGHTS]) },
];

const TARGET = { repo: { type: "model", name: "owner/adapter" }, accessToken: "hf_writer" } as const;

Deno.test("The fake Hub takes what the Hub's package uploads, and gives it back to a download", () =>
  withFolder(async (cache) => {
    await using hub = new FakeHub();
    const hubUrl = hub.endpoint;
    await createRepo({ ...TARGET, hubUrl, private: true });
    assertEquals(hub.repositories["owner/adapter"].private, true);
    const uploaded = await uploadFiles({
      ...TARGET,
      hubUrl,
      files: FILES,
      commitTitle: "First",
      useXet: false,
    });
    const settings = { endpoint: hubUrl, offline: false, cache };
    const { folder, commit } = await downloadSnapshot({ ...REQUEST, repo: TARGET.repo.name }, { settings });
    assertEquals([isCommit(commit), commit], [true, uploaded?.commit.oid]);
    assertEquals(await Deno.readTextFile(`${folder}/README.md`), "# Adapter");
    assertEquals(await Deno.readFile(`${folder}/adapter_model.safetensors`), WEIGHTS);
    assertEquals(hub.repositories["owner/adapter"].history, ["First"]);
  }));

Deno.test("The fake Hub takes a large file once, on the second server and without the token", async () => {
  await using hub = new FakeHub();
  await createRepo({ ...TARGET, hubUrl: hub.endpoint });
  for (const commitTitle of ["First", "Second"]) {
    await uploadFiles({ ...TARGET, hubUrl: hub.endpoint, files: FILES, commitTitle, useXet: false });
  }
  const puts = hub.seen.filter(({ method }) => method === "PUT");
  assertEquals(puts.map(({ server, token }) => [server, token]), [["cdn", null]]);
  assertEquals(hub.repositories["owner/adapter"].history, ["First", "Second"]);
});

Deno.test("The fake Hub refuses a repository that is there, and a token that may only read", async () => {
  await using hub = new FakeHub();
  await createRepo({ ...TARGET, hubUrl: hub.endpoint });
  await assertRejects(() => createRepo({ ...TARGET, hubUrl: hub.endpoint }), Error, "RepoExists");
  const upload = () =>
    uploadFiles({ ...TARGET, accessToken: "hf_reader", hubUrl: hub.endpoint, files: FILES, useXet: false });
  await assertRejects(upload, Error, "Forbidden");
  assertEquals(hub.repositories["owner/adapter"].files, {});
});
