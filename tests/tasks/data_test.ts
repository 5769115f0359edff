import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { run, withFolder, writeLabels } from "./_cli.ts";
import { hasTerminal, Terminal } from "./_terminal.ts";

Deno.test("data ls lists datasets with splits, rows, licence and home, also those of a plugin", () =>
  withFolder(async (folder) => {
    const plugin = join(folder, "colours.ts");
    await Deno.writeTextFile(
      plugin,
      `export default { kind: "dataset", name: "acme/colours", version: 1, description: "d", defaults: {},
        tags: ["eval"], splits: ["test"], rows: { test: 7 }, home: "https://acme.example", licence: "CC0-1.0",
        async *read() {} };`,
    );
    const { code, stdout, stderr } = await run("data ls", [`--plugin=${plugin}`, "--json"]);
    assertEquals([code, stderr], [0, ""]);
    const line = (name: string) => stdout.split("\n").find((line) => line.startsWith(name))!.split(/ +/);
    assertEquals(line("arc "), ["arc", "CC-BY-SA-4.0", "hf:allenai/ai2_arc", "2,251", "570", "2,376"]);
    assertEquals(line("acme/colours"), ["acme/colours", "CC0-1.0", "https://acme.example", "7"]);
    const listed = JSON.parse(stdout.trim().split("\n").at(-1)!) as { name: string; rows?: unknown }[];
    assertEquals(listed.find(({ name }) => name === "wsc")!.rows, { test: 285 });
  }));

Deno.test("data show prints what a model reads, exactly, with marks and the tokens of each part", async () => {
  const { code, stdout, stderr } = await run("data show", [
    "facts",
    ...["--splits=test", "--n=2", "--kshot=1", "--model-name=facts", "--json"],
  ]);
  assertEquals([code, stderr], [0, ""]);
  const { rows } = JSON.parse(stdout.trim().split("\n").at(-1)!);
  assertEquals(rows.length, 2);
  for (const { prompt, context, target_prompt, target, tokens, id } of rows) {
    const text = `⟦prompt⟧${prompt}⟦context⟧${context}⟦target_prompt⟧${target_prompt}⟦target⟧ ${target}⟦end⟧`;
    assertStringIncludes(stdout, text);
    assertStringIncludes(prompt, "Now, answer the next question.\n\n");
    assertEquals(tokens.read, tokens.prompt + tokens.context + tokens.targetPrompt);
    assertStringIncludes(stdout, `${id}: ${tokens.read} tokens to read (prompt ${tokens.prompt}, context`);
  }
});

Deno.test("data show counts what a chat model reads in its template, or in plain text with --chat=off", () =>
  withFolder(async (folder) => {
    const golden = new URL("../golden/tokenizers/", import.meta.url);
    const packed = await Deno.readFile(new URL("qwen2/tokenizer.json.gz", golden));
    await Deno.writeFile(join(folder, "tokenizer.json"), gunzipSync(packed));
    await Deno.copyFile(
      new URL("qwen2/tokenizer_config.json", golden),
      join(folder, "tokenizer_config.json"),
    );
    await Deno.copyFile(new URL("chat/qwen2.jinja", golden), join(folder, "chat_template.jinja"));
    await Deno.writeTextFile(join(folder, "config.json"), "{}");
    const args = ["facts", "--splits=test", "--n=1", `--model-name=${folder}`, "--json"];
    const tokens = async (...more: string[]) => {
      const { stdout } = await run("data show", [...args, ...more]);
      const { rows: [row] } = JSON.parse(stdout.trim().split("\n").at(-1)!);
      const { read, prompt, context, targetPrompt, template = 0 } = row.tokens;
      assertEquals(read, prompt + context + targetPrompt + template);
      return { read, template, said: stdout.includes(`, chat template ${template})`) };
    };
    const chat = await tokens(), plain = await tokens("--chat=off");
    // The research code's instruction alone takes more than ten.
    assert(chat.said && chat.template > 10, `${chat.template}`);
    assertEquals(plain, { read: chat.read - chat.template, template: 0, said: false });
    const { code, stderr } = await run("data show", ["facts", "--chat=on"]);
    assertEquals([code, stderr.split("\n")[0]], [
      2,
      "The chat template is a model's, and no model was named",
    ]);
  }));

Deno.test({
  name: "data show gives a pipe every byte of a dataset, and a terminal the codes of control characters",
  ignore: !hasTerminal,
  fn: () =>
    withFolder(async (folder) => {
      const args = [`csv:${join(folder, "quiz.csv")}`];
      await Deno.writeTextFile(join(folder, "quiz.csv"), 'question,answer\n"\x1b[2JWhich\r?",\x9b0mred\n');
      const piped = await run("data show", args);
      assertStringIncludes(
        piped.stdout,
        "⟦context⟧Question: \x1b[2JWhich\r?⟦target_prompt⟧\nAnswer:⟦target⟧ \x9b0mred⟦end⟧",
      );
      await using terminal = new Terminal("data show", args);
      await terminal.until("⟦context⟧Question: \\u001b[2JWhich\\u000d?⟦target_prompt⟧");
      await terminal.until("⟦target⟧ \\u009b0mred⟦end⟧");
      assertEquals(await terminal.code(), 0);
    }),
});

Deno.test("data validate ends with 0 where all is sound, and with 4 and a summary where something is wrong", () =>
  withFolder(async (folder) => {
    const labels = await writeLabels(folder, 4);
    const sound = await run("data validate", [`offline:${labels}`]);
    assertEquals(sound.code, 0, sound.stderr);
    assertEquals(sound.stdout.split("\n")[0], `offline:${labels} train: 4 rows, all sound`);
    const path = join(labels, "test", "0.csv");
    await Deno.writeTextFile(path, `${await Deno.readTextFile(path)} ,,,,x,1\r\n`);
    const wrong = await run("data validate", [`offline:${labels}`, "--json"]);
    assertEquals(wrong.code, 4, wrong.stderr);
    assertStringIncludes(wrong.stdout, `offline:${labels} test: 5 rows\n  wrong  an empty text: 1\n`);
    const { sound: isSound, splits } = JSON.parse(wrong.stdout.trim().split("\n").at(-1)!);
    assertEquals([isSound, splits.map(({ rows }: { rows: number }) => rows)], [false, [4, 4, 5]]);
  }));

Deno.test("data validate goes on behind rows that cannot be read, and counts them", () =>
  withFolder(async (folder) => {
    const row = (answerKey: string) =>
      JSON.stringify({ question: `${answerKey}?`, choices: { text: ["x", "y"] }, answerKey });
    await Deno.mkdir(join(folder, "arc"));
    const lines = ["A", "E", "B", "?"].map((key) => `${row(key)}\n`).join("");
    for (const split of ["train", "test"]) {
      await Deno.writeTextFile(join(folder, "arc", `${split}.jsonl`), lines);
    }
    const { code, stdout } = await run("data validate", ["arc", "--splits=test", `--data-dir=${folder}`]);
    assertEquals(code, 4);
    assertStringIncludes(stdout, "arc test: 2 rows\n  wrong  cannot be read: 2\n");
    assertStringIncludes(stdout, "test.jsonl, line 2: Column");
    // Both stand in the training split too, from which worked examples are drawn.
    assertStringIncludes(stdout, "wrong  a question that is among the worked examples: 2");
  }));

Deno.test("data validate goes on behind rows of a user's own table that cannot be read, and says what helps", () =>
  withFolder(async (folder) => {
    const path = join(folder, "quiz.csv");
    await Deno.writeTextFile(path, "question,answer,a,b\nQ1?,a,x,y\nQ2?,2,x,y\nQ3?,z,x,y\nQ4?,b,x,y\n");
    const { code, stdout } = await run("data validate", [`csv:${path}`]);
    assertEquals(code, 4);
    assertStringIncludes(stdout, `csv:${path} test: 2 rows\n  wrong  cannot be read: 2\n`);
    assertStringIncludes(stdout, 'line 3: Column "answer" is "2" (it must be');
    assertStringIncludes(stdout, "if it counts from 1, say --fields=…,answer=answer:number)");
    assertStringIncludes(stdout, 'line 4: Column "answer" is "z"');
  }));

Deno.test("data validate looks at every dataset of a collection, and says which are not sound", () =>
  withFolder(async (folder) => {
    const header = "question,choice0,choice1,choice2,choice3,answer\n";
    const write = async (split: string, subject: string, rows: string) => {
      await Deno.mkdir(join(folder, split), { recursive: true });
      await Deno.writeTextFile(join(folder, split, `${subject}_${split}.csv`), header + rows);
    };
    for (const subject of ["anatomy", "virology"]) await write("dev", subject, "Shot?,a,b,c,d,0\n");
    await write("test", "anatomy", "Q1?,a,b,c,d,0\nQ2?,a,b,c,d,3\n");
    await write("test", "virology", "Q1?,a,b,c,d,0\nQ2?,a,b,c,d,4\nQ3?,a,b,c,d,1\n");
    const { code, stdout } = await run("data validate", ["mmlu_all", `--data-dir=${folder}`, "--json"]);
    assertEquals(code, 4);
    assertStringIncludes(stdout, "mmlu:anatomy test: 2 rows, all sound\n");
    assertStringIncludes(stdout, "mmlu:virology test: 2 rows\n  wrong  cannot be read: 1\n");
    assertStringIncludes(
      stdout,
      "mmlu_all: 2 datasets, 4 rows; something is wrong in 1: mmlu:virology\n",
    );
    const { sound, datasets } = JSON.parse(stdout.trim().split("\n").at(-1)!);
    assertEquals([sound, datasets.map(({ sound }: { sound: boolean }) => sound)], [false, [true, false]]);
  }));

Deno.test("data refuses a command, a dataset and a collection that it cannot use, and says what helps", async () => {
  const fix = async (task: string, args: string[]) => {
    const { code, stderr } = await run(task, args);
    return [code, stderr.trim().split("\n").at(-1)!.trim()];
  };
  assertEquals(await fix("data lst", []), [2, 'fix:   did you mean "ls"?']);
  assertEquals(await fix("data show", ["arcc"]), [2, 'fix:   did you mean "arc"?']);
  assertEquals(await fix("data show", ["mmlu_pro_all"]), [
    2,
    "fix:   name one of them, as in mmlu_pro:biology; deno task evaluate and data validate take all",
  ]);
});
