import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { readJson } from "../../core/files.ts";
import { writeSafetensors } from "../../model/safetensors.ts";
import { COMMIT, FakeHub } from "../core/hub/_fake_hub.ts";
import { withFolder } from "../plugins/_folders.ts";
import { available, run, writeLabels } from "./_cli.ts";

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

/** A LoRA adapter of the embedded model on its queries, as PEFT names things. */
async function adapter(
  folder: string,
  scale: number,
): Promise<Record<string, Uint8Array<ArrayBuffer> | string>> {
  const width = 96, outputs = 128, layers = 6;
  const tensor = (layer: number, matrix: "A" | "B", shape: readonly [number, number]) => ({
    name: `base_model.model.model.layers.${layer}.self_attn.q_proj.lora_${matrix}.weight`,
    shape,
    values: Float32Array.from({ length: shape[0] * shape[1] }, (_, index) => scale * Math.sin(index)),
  });
  const path = join(folder, "adapter_model.safetensors");
  await writeSafetensors(
    path,
    Array.from({ length: layers }, (_, layer) => [
      tensor(layer, "A", [4, width]),
      tensor(layer, "B", [outputs, 4]),
    ]).flat(),
  );
  const config = { peft_type: "LORA", r: 4, lora_alpha: 8, lora_dropout: 0, target_modules: ["q_proj"] };
  return {
    "adapter_config.json": JSON.stringify(config),
    "adapter_model.safetensors": await Deno.readFile(path),
  };
}

Deno.test({
  name:
    "evaluate takes adapters from the Hub, records their commit, tells two apart, and finds them again offline",
  ignore: !available,
  fn: async () => {
    await withFolder(async (folder) => {
      await using hub = new FakeHub();
      const large = ["adapter_model.safetensors"];
      for (const [name, scale] of [["one", 0.1], ["two", 0.2]] as const) {
        hub.repositories[`acme/${name}`] = { files: await adapter(folder, scale), large };
      }
      const env = { HF_HOME: `${folder}/hf`, HF_ENDPOINT: hub.endpoint, HF_TOKEN: "", HF_HUB_OFFLINE: "" };
      const args = [
        `--dataset=offline:${await writeLabels(folder)}`,
        "--prompt-style=oe",
        "--model-name=facts",
        "--metric=brier",
        `--log-dir=${folder}/run`,
      ];
      const first = [...args, "--query-peft-dir=hf:acme/one@v1"];
      const online = await run("evaluate", first, env);
      assertEquals(online.code, 0, online.stderr);
      const { stages } = await readJson(`${folder}/run/run.json`) as {
        stages: Record<string, { inputs: { adapter: Record<string, string> } }>;
      };
      const [{ inputs }] = Object.values(stages);
      assertEquals([inputs.adapter.name, inputs.adapter.commit], ["hf:acme/one@v1", COMMIT]);

      const seen = hub.seen.length;
      const offline = await run("evaluate", first, { ...env, HF_HUB_OFFLINE: "1" });
      assertEquals([offline.code, hub.seen.length], [0, seen], offline.stderr);
      assertStringIncludes(offline.stderr, "inputs unchanged");

      const second = await run("evaluate", [...args, "--query-peft-dir=hf:acme/two@v1"], env);
      assertEquals(second.code, 2);
      assertStringIncludes(second.stderr, "made with other inputs: --query-peft-dir was");
    });
  },
});

Deno.test({
  name: "A token stands in no output and no file, even where it was typed as a flag or cannot be sent",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const token = "hf_abcdefghijklmnopqrstuvwxyz01234567";
      const env = {
        HF_HOME: `${folder}/hf`,
        HF_ENDPOINT: "http://127.0.0.1:1",
        HF_TOKEN: `${token}\n${token}`,
      };
      const args = ["--dataset=facts", "--prompt-style=oe", "--limit=1", "--splits=test"];
      const refused = await run("generate outputs", [
        ...args,
        "--model-name=hf:acme/x",
        `--log-dir=${folder}/a`,
      ], env);
      assertEquals([refused.code, refused.stderr.includes(token)], [2, false], refused.stderr);
      const place = `${folder}/${token}`;
      const typed = await run("generate outputs", [...args, "--model-name=facts", `--log-dir=${place}`]);
      assertEquals(typed.code, 0, typed.stderr);
      assertEquals((await Deno.readTextFile(`${place}/run.json`)).includes(token), false);
    }),
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
