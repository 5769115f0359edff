import { assertEquals, assertStringIncludes } from "@std/assert";
import { readJson } from "../../core/files.ts";
import { COMMIT, FakeHub } from "../core/hub/_fake_hub.ts";
import { withFolder } from "../plugins/_folders.ts";
import { available, run } from "./_cli.ts";

const FACTS = new URL("../../assets/facts/model/", import.meta.url);

Deno.test({
  name: "generate outputs takes a model from the Hub, records its commit, and finds it again offline",
  ignore: !available,
  fn: async () => {
    await withFolder(async (folder) => {
      await using hub = new FakeHub();
      const names = [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
      ];
      const files: Record<string, Uint8Array<ArrayBuffer> | string> = { "pytorch_model.bin": "a pickle" };
      for (const name of names) files[name] = await Deno.readFile(new URL(name, FACTS));
      hub.repositories["acme/facts"] = { files, large: ["model.safetensors"] };
      const env = {
        HF_HOME: `${folder}/hf`,
        HF_ENDPOINT: hub.endpoint,
        HF_TOKEN: "hf_secret",
        HF_HUB_OFFLINE: "",
      };
      const args = [
        "--dataset=facts",
        "--prompt-style=oe",
        "--model-name=hf:acme/facts",
        "--limit=2",
        "--splits=test",
        `--log-dir=${folder}/run`,
      ];
      const online = await run("generate outputs", args, env);
      assertEquals(online.code, 0, online.stderr);
      assertStringIncludes(online.stderr, "download hf:acme/facts");
      assertEquals(hub.requestsFor("pytorch_model.bin"), []);
      const manifest = JSON.stringify(await readJson(`${folder}/run/run.json`));
      assertStringIncludes(manifest, COMMIT);
      assertEquals((online.stderr + online.stdout + manifest).includes("hf_secret"), false);

      const seen = hub.seen.length;
      const offline = await run("generate outputs", args, { ...env, HF_HUB_OFFLINE: "1" });
      assertEquals([offline.code, hub.seen.length], [0, seen], offline.stderr);
      assertStringIncludes(offline.stderr, "inputs unchanged");

      const unknown = await run("generate outputs", args.with(2, "--model-name=hf:acme/nothing"), env);
      assertEquals(unknown.code, 4);
      assertStringIncludes(unknown.stderr, "There is no model acme/nothing, or it is private");
    });
  },
});

Deno.test("A model's name is refused that is neither alias, Hub name nor folder, naming the nearest alias", async () => {
  const { code, stderr } = await run("generate outputs", [
    "--dataset=facts",
    "--prompt-style=oe",
    "--model-name=llama2:7B",
  ]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, 'Unknown model "llama2:7B"');
  assertStringIncludes(stderr, '"llama2:7b"');
});
