import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import { hubSettings } from "../../../core/hub/settings.ts";
import { withFolder, writeFiles } from "../../plugins/_folders.ts";

const settingsOf = (variables: Readonly<Record<string, string>>) => hubSettings((name) => variables[name]);

Deno.test("hubSettings() asks huggingface.co without a token where nothing is set", async () => {
  await withFolder(async (HOME) => {
    const cache = `${HOME}/.cache/huggingface/hub`;
    assertEquals(await settingsOf({ HOME }), { endpoint: "https://huggingface.co", offline: false, cache });
  });
});

Deno.test("hubSettings() finds the cache where Python does: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, in this order", async () => {
  const all = {
    HF_HUB_CACHE: "/a",
    HUGGINGFACE_HUB_CACHE: "/b",
    HF_HOME: "/nowhere/c",
    XDG_CACHE_HOME: "/nowhere/d",
    HOME: "/nowhere/e",
  };
  const caches: string[] = [];
  const left: Record<string, string> = { ...all };
  for (const name of Object.keys(all)) {
    caches.push((await settingsOf(left)).cache);
    delete left[name];
  }
  const expected = [
    "/a",
    "/b",
    "/nowhere/c/hub",
    "/nowhere/d/huggingface/hub",
    "/nowhere/e/.cache/huggingface/hub",
  ];
  assertEquals(caches, expected);
});

Deno.test("hubSettings() takes HF_TOKEN before the saved token, and the saved one without its line end", async () => {
  await withFolder(async (folder) => {
    await writeFiles(folder, { token: "hf_saved\n", other: "hf_other" });
    assertEquals((await settingsOf({ HF_HOME: folder })).token, "hf_saved");
    assertEquals((await settingsOf({ HF_HOME: folder, HF_TOKEN: "hf_given" })).token, "hf_given");
    assertEquals((await settingsOf({ HF_HOME: folder, HF_TOKEN_PATH: `${folder}/other` })).token, "hf_other");
  });
});

for (
  const [value, offline] of [["1", true], ["true", true], ["ON", true], ["0", false], ["", false], [
    "no",
    false,
  ]] as const
) {
  Deno.test(`hubSettings() with HF_HUB_OFFLINE="${value}" is ${offline ? "offline" : "online"}`, async () => {
    assertEquals((await settingsOf({ HF_HUB_OFFLINE: value, HF_HOME: "/nowhere" })).offline, offline);
  });
}

Deno.test("hubSettings() takes HF_ENDPOINT without the slash at its end", async () => {
  const { endpoint } = await settingsOf({ HF_ENDPOINT: "http://localhost:1/", HF_HOME: "/nowhere" });
  assertEquals(endpoint, "http://localhost:1");
});

Deno.test("hubSettings() is offline too where TRANSFORMERS_OFFLINE says so and HF_HUB_OFFLINE nothing", async () => {
  const offline = async (variables: Record<string, string>) =>
    (await settingsOf({ HF_HOME: "/nowhere", TRANSFORMERS_OFFLINE: "1", ...variables })).offline;
  assertEquals([await offline({}), await offline({ HF_HUB_OFFLINE: "0" })], [true, false]);
});

Deno.test("hubSettings() takes ~ for the user's folder, which USERPROFILE names on Windows", async () => {
  const { cache } = await settingsOf({ HF_HOME: "~/models", USERPROFILE: "/nowhere/me" });
  assertEquals(cache, "/nowhere/me/models/hub");
});

Deno.test("hubSettings() takes no token where HF_HUB_DISABLE_IMPLICIT_TOKEN says so", async () => {
  const variables = { HF_HOME: "/nowhere", HF_TOKEN: "hf_given", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" };
  assertEquals("token" in await settingsOf(variables), false);
});

for (
  const value of ["huggingface.co", "ftp://huggingface.co", "https://me:secret@hub.co", "https://hub.co/?a=b"]
) {
  Deno.test(`hubSettings() refuses HF_ENDPOINT="${value}", and shows no password`, async () => {
    const error = await assertRejects(
      () => settingsOf({ HF_ENDPOINT: value, HF_HOME: "/nowhere" }),
      UserError,
    );
    assertEquals([error.kind, error.what.includes("HF_ENDPOINT"), error.message.includes("secret")], [
      "usage",
      true,
      false,
    ]);
  });
}

for (const token of ["hf_se cret", "hf_se\ncret", "hf_sécret"]) {
  Deno.test(`hubSettings() refuses the token ${JSON.stringify(token)} without showing it`, async () => {
    const error = await assertRejects(() => settingsOf({ HF_TOKEN: token, HF_HOME: "/nowhere" }), UserError);
    assertEquals([error.kind, error.where, /cret/.test(error.message)], ["usage", "HF_TOKEN", false]);
  });
}
