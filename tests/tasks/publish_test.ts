import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exists, readJson } from "../../core/files.ts";
import { FakeHub, sha256 } from "../core/hub/_fake_hub.ts";
import { withFolder } from "../plugins/_folders.ts";
import { available, run } from "./_cli.ts";

/** Trains an adapter for two steps and evaluates it; gives the folder of its checkpoint. */
async function train(folder: string): Promise<string> {
  const model = ["--model-name=facts"], data = `--log-dir=${folder}/run`;
  const stages: readonly (readonly [string, readonly string[]])[] = [
    ["generate outputs", ["--dataset=facts", "--prompt-style=oe", "--limit=40", "--max-new-tokens=4", data]],
    ["generate labels", [`--dataset=offline:${folder}/run/outputs`, "--strategy=substring", data]],
    ["calibration-tune", [
      `--dataset=offline:${folder}/run/labels`,
      "--max-steps=2",
      "--batch-size=4",
      "--scale-temp",
      data,
    ]],
    ["evaluate", [
      `--dataset=offline:${folder}/run/labels`,
      "--prompt-style=oe",
      "--splits=test",
      `--query-peft-dir=${folder}/run/checkpoint-2`,
      `--log-dir=${folder}/evaluation`,
    ]],
  ];
  for (const [task, args] of stages) {
    const { code, stderr } = await run(task, task === "generate labels" ? args : [...model, ...args]);
    assertEquals(code, 0, stderr);
  }
  return `${folder}/run/checkpoint-2`;
}

Deno.test({
  name:
    "publish writes an adapter with a page made of its run's files, uploads it, and keeps paths and state to itself",
  ignore: !available,
  fn: async () => {
    await withFolder(async (folder) => {
      await using hub = new FakeHub();
      const checkpoint = await train(folder);
      const args = [
        `--query-peft-dir=${checkpoint}`,
        `--evaluation=${folder}/evaluation`,
        "--repo=me/adapter",
        "--license=mit",
      ];
      const env = {
        HF_HOME: `${folder}/hf`,
        HF_ENDPOINT: hub.endpoint,
        HF_TOKEN: "hf_secret",
        HF_HUB_OFFLINE: "",
      };

      const dry = await run("publish", [...args, "--dry-run"], env);
      assertEquals([dry.code, hub.seen], [0, []], dry.stderr);
      const out = `${folder}/run/publish`;
      const names = [...Deno.readDirSync(out)].map(({ name }) => name).sort();
      assertEquals(names, [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "metrics.json",
        "temperature_model.safetensors",
      ]);
      const card = await Deno.readTextFile(`${out}/README.md`);
      assertMatch(card, /^---\nlibrary_name: peft\nlicense: "mit"\n/);
      assertStringIncludes(card, "The training split of `facts`");
      assertStringIncludes(card, "- maxSteps: `2`");
      assertStringIncludes(card, 'base, adapter = "<the model it is for>", "me/adapter"');
      assertStringIncludes(card, "| `facts` | test | – | 40 |");
      const [{ metrics: { accuracy: { value, low, high } } }] = await readJson(`${out}/metrics.json`) as {
        metrics: Record<string, { value: number; low: number; high: number }>;
      }[];
      assertStringIncludes(card, `${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}]`);
      assertEquals(
        (await readJson(`${out}/adapter_config.json`) as Record<string, unknown>).base_model_name_or_path,
        "facts",
      );
      const texts = ["README.md", "adapter_config.json", "metrics.json"];
      for (const name of texts) assert(!(await Deno.readTextFile(`${out}/${name}`)).includes(folder), name);

      const online = await run("publish", args, env);
      assertEquals([online.code, online.stdout.trim()], [0, `${hub.endpoint}/me/adapter`], online.stderr);
      const { private: hidden, files } = hub.uploaded["me/adapter"];
      assertEquals([hidden, Object.keys(files).sort()], [true, names]);
      assertEquals(files["README.md"], card);
      assertEquals(
        files["adapter_model.safetensors"],
        sha256(await Deno.readFile(`${checkpoint}/adapter_model.safetensors`)),
      );
      assertEquals((online.stdout + online.stderr + JSON.stringify(files)).includes("hf_secret"), false);

      const byRun = [`--run=${folder}/run`, "--repo=me/adapter", "--dry-run", "--json"];
      const { stdout } = await run("publish", [...byRun, `--out=${folder}/by-run`], env);
      assertEquals(JSON.parse(stdout.trimEnd().split("\n").at(-1)!), {
        folder: `${folder}/by-run`,
        files: [
          "README.md",
          "adapter_config.json",
          "adapter_model.safetensors",
          "temperature_model.safetensors",
        ],
      });
      const bytes = (place: string) => Deno.readFile(`${place}/adapter_model.safetensors`);
      assertEquals(await bytes(`${folder}/by-run`), await bytes(checkpoint));

      const unknown = await run("publish", args, { ...env, HF_TOKEN: "" });
      assertEquals(unknown.code, 2);
      assertStringIncludes(unknown.stderr, "Publishing needs a token");

      const open = await run("publish", [...args, "--public"], env);
      assertEquals([open.code, hub.uploaded["me/adapter"].private], [0, true], open.stderr);
      await run("publish", [...args.slice(0, 2), "--repo=me/open", "--public"], env);
      assertEquals(hub.uploaded["me/open"].private, false);
      const hiding = await run("publish", [...args.slice(0, 2), "--repo=me/open"], env);
      assertEquals(hiding.code, 2);
      assertStringIncludes(hiding.stderr, "me/open is on the Hub already, for all to see");

      const other = await run("publish", [args[0], `--evaluation=${folder}/run`, args[2]], env);
      assertEquals(other.code, 4);
      assertStringIncludes(other.stderr, "There is no evaluation");

      const bare = await run("publish", [args[0], args[2], "--dry-run", `--out=${folder}/bare`], env);
      assertEquals(bare.code, 0, bare.stderr);
      assertStringIncludes(
        await Deno.readTextFile(`${folder}/bare/README.md`),
        "published without an evaluation",
      );
      assertEquals(await exists(`${folder}/bare/metrics.json`), false);
    });
  },
});

for (
  const [named, front, inConfig] of [
    ["meta-llama/Llama-2-7b-hf", ['base_model: "meta-llama/Llama-2-7b-hf"'], "meta-llama/Llama-2-7b-hf"],
    ["smollm2:135m", ['base_model: "HuggingFaceTB/SmolLM2-135M"'], "HuggingFaceTB/SmolLM2-135M"],
    ["/home/me/secret/llama", [], "llama"],
    [null, [], null],
  ] as const
) {
  Deno.test(`publish says of an adapter for ${named} that its model is ${inConfig}`, () =>
    withFolder(async (folder) => {
      const checkpoint = `${folder}/mine`;
      await Deno.mkdir(checkpoint);
      await Deno.writeTextFile(
        `${checkpoint}/adapter_config.json`,
        JSON.stringify({ base_model_name_or_path: named, r: 8 }),
      );
      await Deno.writeTextFile(`${checkpoint}/adapter_model.safetensors`, "weights");
      await Deno.writeTextFile(`${checkpoint}/optimizer.safetensors`, "state");
      const { code, stdout, stderr } = await run("publish", [
        ...[`--query-peft-dir=${checkpoint}`, "--repo=me/adapter", "--dry-run"],
      ]);
      assertEquals([code, stdout], [0, `${folder}/publish\n`], stderr);
      const card = await Deno.readTextFile(`${folder}/publish/README.md`);
      assertEquals(card.match(/^base_model: .*$/gm) ?? [], [...front]);
      assertEquals(card.includes("/home/me"), false);
      assertEquals(await readJson(`${folder}/publish/adapter_config.json`), {
        base_model_name_or_path: inConfig,
        r: 8,
      });
      assertEquals([...Deno.readDirSync(`${folder}/publish`)].length, 3);
    }));
}

for (
  const [args, code, message] of [
    [["--repo=me/adapter"], 2, "There is nothing to publish"],
    [["--run=no/such"], 2, "--repo is missing"],
    [["--query-peft-dir=no/such", "--repo=adapter"], 2, '"adapter" is not an owner and a name'],
    [
      ["--query-peft-dir=no/such", "--repo=me/adapter@main"],
      2,
      '"me/adapter@main" is not an owner and a name',
    ],
    [["--query-peft-dir=hf:me/a", "--repo=me/adapter"], 2, '"hf:me/a" is on the Hub'],
    [
      ["--run=no/such", "--repo=me/adapter", "--license=MIT: yes"],
      2,
      '"MIT: yes" is not the name of a licence',
    ],
    [["--run=no/such", "--repo=me/adapter"], 4, "no/such is not the folder of a run"],
    [["--query-peft-dir=no/such", "--repo=me/../x"], 2, "Not a name on the Hugging Face Hub"],
    [["--query-peft-dir=no/such", "--repo=me/adapter"], 4, "There is no checkpoint no/such"],
  ] as const
) {
  Deno.test(`publish ${args.join(" ")} ends with ${code} and says why`, async () => {
    const ended = await run("publish", args);
    assertEquals(ended.code, code, ended.stderr);
    assertStringIncludes(ended.stderr, message);
  });
}
