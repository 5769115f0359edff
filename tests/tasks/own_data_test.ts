import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { available, run, withFolder } from "./_cli.ts";

const CSV = "text,right,one,two\nWhich?,two,red,blue\nAnd now?,one,red,blue\n";

const FIELDS = "--fields=question=text,answer=right:text,choices=one|two";

/** A table whose answers are the names of columns' contents. */
async function writeTable(folder: string): Promise<string> {
  await Deno.writeTextFile(
    join(folder, "dev.csv"),
    CSV.replaceAll("two,red", "blue,red").replaceAll("one,red", "red,red"),
  );
  return folder;
}

Deno.test("data show shows one's own table with the columns that --fields names", () =>
  withFolder(async (folder) => {
    const name = `csv:${await writeTable(folder)}`;
    const { code, stdout, stderr } = await run("data show", [
      name,
      FIELDS,
      "--prompt-style=choice",
      "--json",
    ]);
    assertEquals([code, stderr], [0, ""]);
    const { rows } = JSON.parse(stdout.trim().split("\n").at(-1)!);
    assertEquals(rows.map(({ id, target }: { id: string; target: string }) => [id, target]), [
      ["csv/validation/0", "b"],
      ["csv/validation/1", "a"],
    ]);
    const help = await run("data show", [name, "--help"]);
    assertStringIncludes(help.stdout, "--fields=<text>");
    assertEquals(help.stdout.split("\n").every((line) => line.length <= 80), true);
  }));

Deno.test("A table whose columns have other names says what to do; a dataset without fields refuses them", () =>
  withFolder(async (folder) => {
    const name = `csv:${await writeTable(folder)}`;
    const unknown = await run("data show", [name]);
    assertEquals(unknown.code, 4);
    assertStringIncludes(unknown.stderr, "--fields=question=<column>,answer=<column>");
    const other = await run("data show", ["facts", FIELDS]);
    assertEquals(other.code, 2);
    assertStringIncludes(other.stderr, 'Unknown flag "--fields"');
  }));

Deno.test({
  name: "generate outputs answers the splits that one's own table has, and run.json states fields and hashes",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const name = `csv:${await writeTable(folder)}`, logDir = join(folder, "run");
      const args = [
        `--dataset=${name}`,
        FIELDS,
        "--prompt-style=oe",
        "--model-name=facts",
        `--log-dir=${logDir}`,
      ];
      const { code, stdout, stderr } = await run("generate outputs", [...args, "--max-new-tokens=2"]);
      assertEquals(code, 0, stderr);
      assertEquals(stdout.trim(), `2 validation rows in ${logDir}`);
      const text = await Deno.readTextFile(join(logDir, "run.json"));
      assertStringIncludes(text, JSON.stringify(FIELDS.replace("--fields=", "")));
      assertEquals(/"revision": "validation:[0-9a-f]{64}"/.test(text), true);
      const changed = args.with(1, "--fields=question=text,answer=right");
      const refused = await run("generate outputs", [...changed, "--max-new-tokens=2"]);
      assertEquals(refused.code, 2, refused.stderr);
      assertStringIncludes(refused.stderr, "fields");
    }),
});
