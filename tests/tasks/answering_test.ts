import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { readPredictions, readRows } from "../../core/mod.ts";
import { available, ROOT, run, succeed, withFolder, writeLabels } from "./_cli.ts";

const HEADER = "context,target,target_prompt,prompt,output,query_label";

Deno.test({
  name: "evaluate labels answers that are there, and has the model write none anew",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const rows = [1, 2].map((row) => `Question: ${row}?,${row},"\nAnswer:",,kept ${row % 2},-1`);
      await Deno.mkdir(join(folder, "answers", "test"), { recursive: true });
      await Deno.writeTextFile(
        join(folder, "answers", "test", "rows_0.csv"),
        [HEADER, ...rows, ""].join("\r\n"),
      );
      await succeed("evaluate", [
        `--dataset=offline:${join(folder, "answers")}`,
        ...["--prompt-style=oe", "--model-name=facts", "--metric=accuracy", `--log-dir=${folder}`],
      ]);
      const [place] = [...Deno.readDirSync(join(folder, "metrics"))].map(({ name }) => name);
      const predictions = await readPredictions(join(folder, "metrics", place, "test", "predictions.csv"));
      assertEquals(predictions.map(({ output, label }) => [output, label]), [["kept 1", 1], ["kept 0", 0]]);
    }),
});

/** The embedded model with a chat template, in a folder. */
async function chatModel(folder: string): Promise<string> {
  const model = join(folder, "chat-model");
  await Deno.mkdir(model);
  for await (const { name } of Deno.readDir(join(ROOT, "assets", "facts", "model"))) {
    await Deno.copyFile(join(ROOT, "assets", "facts", "model", name), join(model, name));
  }
  await Deno.writeTextFile(
    join(model, "chat_template.jinja"),
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:",
  );
  return model;
}

Deno.test({
  name: "generate outputs has a chat model answer in its template, unless it is told not to, and says so",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const model = await chatModel(folder);
      const answers = async (name: string, args: readonly string[]) => {
        const logDir = join(folder, name);
        await succeed("generate outputs", [
          ...["--dataset=facts", "--prompt-style=oe", "--splits=test", "--limit=8", `--log-dir=${logDir}`],
          ...args,
        ]);
        const { stages } = JSON.parse(await Deno.readTextFile(join(logDir, "run.json")));
        const rows = await readRows(join(logDir, "outputs", "test", "rows_0.csv"), "test");
        return { chat: stages["outputs/test"].inputs.chat, outputs: rows.map(({ output }) => output) };
      };
      const auto = await answers("auto", [`--model-name=${model}`]);
      const off = await answers("off", [`--model-name=${model}`, "--chat=off"]);
      const base = await answers("base", ["--model-name=facts"]);
      assertEquals([auto.chat, off.chat, base.chat], [true, undefined, undefined]);
      assertEquals(off.outputs, base.outputs);
      assert(`${auto.outputs}` !== `${off.outputs}`, "the template changed nothing");
    }),
});

Deno.test({
  name:
    "calibration-tune fits to what a chat model says in its template, as evaluate asks it, unless told not to",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const chat = await chatModel(folder), labels = `--dataset=offline:${await writeLabels(folder, 12)}`;
      const fit = async (name: string, args: readonly string[]) => {
        const rest = [
          "--method=logits",
          "--scale-temp",
          "--calibrator=platt",
          `--log-dir=${join(folder, name)}`,
          "--json",
        ];
        const { stdout } = await succeed("calibration-tune", [labels, ...args, ...rest]);
        return JSON.parse(stdout.trimEnd().split("\n").at(-1)!).calibrator.slope as number;
      };
      const auto = await fit("auto", [`--model-name=${chat}`]);
      const off = await fit("off", [`--model-name=${chat}`, "--chat=off"]);
      assertEquals(off, await fit("base", ["--model-name=facts"]));
      assert(auto !== off, `the template changed nothing: ${auto}`);
    }),
});

Deno.test("--chat=on refuses a model without a template, and --chat what it does not know", async () => {
  const flags = ["--dataset=facts", "--prompt-style=oe", "--model-name=facts"];
  await withFolder(async (folder) => {
    const refused = async (chat: string) => {
      const { code, stderr } = await run("generate outputs", [
        ...flags,
        `--log-dir=${folder}`,
        `--chat=${chat}`,
      ]);
      assertEquals(code, 2, stderr);
      return stderr;
    };
    assertStringIncludes(await refused("on"), "The model has no chat template");
    assertStringIncludes(await refused("om"), 'did you mean "on"?');
  });
});
