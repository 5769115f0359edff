import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import type { HubSettings } from "../../../core/hub/settings.ts";
import { uploadFiles } from "../../../core/hub/upload.ts";
import { FakeHub, sha256 } from "./_fake_hub.ts";

const WEIGHTS = Uint8Array.from({ length: 5000 }, (_, index) => index & 255);

const files = { "README.md": new TextEncoder().encode("# Adapter"), "adapter_model.safetensors": WEIGHTS };

const settings = (hub: FakeHub, changes: Partial<HubSettings> = {}): HubSettings => ({
  endpoint: hub.endpoint,
  token: "secret",
  offline: false,
  cache: "/nowhere",
  ...changes,
});

const upload = (hub: FakeHub, hidden: boolean, changes: Partial<HubSettings> = {}) =>
  uploadFiles({ repo: "me/adapter", private: hidden, files, title: "First" }, {
    settings: settings(hub, changes),
    sleep: () => Promise.resolve(),
  });

Deno.test("uploadFiles() makes a repository and puts small and large files there in one commit", async () => {
  await using hub = new FakeHub();
  assertEquals(await upload(hub, true), `${hub.endpoint}/me/adapter`);
  assertEquals(hub.uploaded["me/adapter"], {
    private: true,
    title: "First",
    files: { "README.md": "# Adapter", "adapter_model.safetensors": sha256(WEIGHTS) },
  });
});

Deno.test("uploadFiles() makes a public repository only if asked, and goes on where there is one of the kind", async () => {
  for (const hidden of [true, false]) {
    await using hub = new FakeHub();
    await upload(hub, hidden);
    assertEquals(hub.uploaded["me/adapter"].private, hidden);
    await upload(hub, hidden);
    assertEquals(hub.uploaded["me/adapter"].private, hidden);
    assertEquals(hub.repositories["me/adapter"].history, ["First", "First"]);
  }
});

Deno.test("uploadFiles() puts nothing that is to be private where all can see it", async () => {
  await using hub = new FakeHub();
  await upload(hub, false);
  const error = await assertRejects(() => upload(hub, true), UserError);
  assertEquals([error.kind, error.what], ["usage", "me/adapter is on the Hub already, for all to see"]);
  assertEquals(hub.repositories["me/adapter"].history, ["First"]);
});

Deno.test("uploadFiles() leaves a private repository private where it might be public", async () => {
  await using hub = new FakeHub();
  await upload(hub, true);
  await upload(hub, false);
  assertEquals(hub.uploaded["me/adapter"].private, true);
});

Deno.test("uploadFiles() sends its token, whatever it looks like, to the Hub and to nobody else", async () => {
  await using hub = new FakeHub();
  await upload(hub, true);
  const tokens = (server: string) =>
    new Set(hub.seen.filter((one) => one.server === server).map(({ token }) => token));
  assertEquals([tokens("hub"), tokens("cdn")], [new Set(["Bearer secret"]), new Set([null])]);
});

Deno.test("uploadFiles() tries a 503 again", async () => {
  await using hub = new FakeHub();
  hub.faults["/api/repos/create"] = [{ status: 503 }];
  await upload(hub, true);
  assertEquals(Object.keys(hub.uploaded["me/adapter"].files).length, 2);
});

for (
  const [why, changes, kind, message] of [
    ["without a token", { token: undefined }, "usage", "HF_TOKEN"],
    ["offline", { offline: true }, "usage", "HF_HUB_OFFLINE"],
    ["where the Hub is out of reach", { endpoint: "http://127.0.0.1:1" }, "data", "Cannot reach the Hub"],
  ] as const
) {
  Deno.test(`uploadFiles() ${why} says so, and uploads nothing`, async () => {
    await using hub = new FakeHub();
    const error = await assertRejects(() => upload(hub, true, changes), UserError);
    assertEquals([error.kind, hub.uploaded], [kind, {}]);
    assertStringIncludes(error.message, message);
    assertEquals(error.message.includes("secret"), false);
  });
}

for (
  const [what, status, message] of [
    ["a token that the Hub does not know", 401, "The Hub does not know this HF_TOKEN"],
    ["a token that may not write", 403, "This HF_TOKEN may not write to me/adapter"],
  ] as const
) {
  for (const path of ["/api/repos/create", "/api/models/me/adapter/commit/main"]) {
    Deno.test(`uploadFiles() says of ${what} what is wrong with it, also where ${path} says so`, async () => {
      await using hub = new FakeHub();
      hub.faults[path] = [{ status }];
      const error = await assertRejects(() => upload(hub, true), UserError);
      assertEquals([error.kind, error.what], ["data", message]);
      assertEquals(hub.uploaded["me/adapter"]?.files ?? {}, {});
    });
  }
}

Deno.test("uploadFiles() does not take a conflict of two uploads for a repository that is there", async () => {
  await using hub = new FakeHub();
  hub.faults["/api/models/me/adapter/commit/main"] = [{ status: 409 }];
  await assertRejects(() => upload(hub, true), UserError, "The Hub replied with status 409");
});

Deno.test("uploadFiles() says of a network that is down nothing about what was downloaded before", async () => {
  await using hub = new FakeHub();
  const error = await assertRejects(() => upload(hub, true, { endpoint: "http://127.0.0.1:1" }), UserError);
  assertEquals(error.fix, "check the network, then run it again");
});
