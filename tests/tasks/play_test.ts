import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { readPredictions } from "../../core/mod.ts";
import { confidenceText } from "../../tasks/play.ts";
import { withFolder } from "../plugins/_folders.ts";
import { available, type Ended, run, start } from "./_cli.ts";

/** Runs `play` with questions on its standard input. */
async function play(input: string, ...args: readonly string[]): Promise<Ended> {
  const child = start("play", ["--model-name=facts", "--max-new-tokens=8", ...args], {}, "piped");
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

const QUESTION = "Which tree is planted in Suru?";

Deno.test({
  name: "play gives one JSON object for each line of its input, in order, and passes over empty ones",
  ignore: !available,
  fn: async () => {
    const { code, stdout, stderr } = await play(`${QUESTION}\n\n  \nWhich drink is brewed in Mapu?`);
    assertEquals(code, 0, stderr);
    const answers = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(answers.map(({ question }) => question), [QUESTION, "Which drink is brewed in Mapu?"]);
    for (const { answer, pCorrect, tokens } of answers) {
      assert(typeof answer === "string" && pCorrect > 0 && pCorrect < 1 && tokens >= 1);
    }
  },
});

Deno.test({
  name: "play gives the answer and the confidence that evaluate gives for the same question",
  ignore: !available,
  fn: async () => {
    await withFolder(async (folder) => {
      const args = [
        "--dataset=facts",
        "--prompt-style=oe",
        "--model-name=facts",
        "--max-new-tokens=8",
        "--limit=1",
      ];
      const evaluated = await run("evaluate", [...args, "--splits=test", `--log-dir=${folder}`]);
      assertEquals(evaluated.code, 0, evaluated.stderr);
      const [expected] = await readPredictions(`${folder}/metrics/facts/test/predictions.csv`);
      const { answer, pCorrect } = JSON.parse((await play(QUESTION)).stdout);
      assertEquals(answer, expected.output);
      assertAlmostEquals(pCorrect, expected.pCorrect, 1e-6);
    });
  },
});

Deno.test({
  name: "play says of a question that is too long what is wrong, and goes on to the next",
  ignore: !available,
  fn: async () => {
    const { code, stdout } = await play(`${"word ".repeat(3000)}\n${QUESTION}\n`);
    const [first, second] = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(code, 0);
    assertStringIncludes(first.error, "tokens");
    assertEquals(second.question, QUESTION);
  },
});

for (
  const [args, message] of [
    [["--scale-temp=query"], "There is no adapter whose temperature could be used"],
    [["--temperature=-1"], "The temperature is -1"],
    [["--top-p=0"], "The mass is 0"],
    [["--prompt-style=oee"], 'Unknown prompt-style "oee"'],
    [["--dtype=int7"], 'Unknown type of weights "int7"'],
    [["--query-peft-dirr=x"], 'did you mean "--query-peft-dir"'],
  ] as const
) {
  Deno.test(`play ${args.join(" ")} is wrong usage, and says why`, async () => {
    const { code, stderr } = await play("", ...args);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, message);
  });
}

Deno.test({
  name: "play refuses an adapter that is not there before it takes a question",
  ignore: !available,
  fn: async () => {
    const { code, stdout, stderr } = await play(QUESTION, "--query-peft-dir=no/such/folder");
    assertEquals([code, stdout], [4, ""]);
    assertStringIncludes(stderr, "no/such/folder");
  },
});

Deno.test("confidenceText() is green from 70 %, yellow from 40 %, else red, and plain where colours are not wanted", () => {
  assertEquals([0.7, 0.69, 0.4, 0.39].map((p) => confidenceText(p, true).slice(2, 4)), [
    "32",
    "33",
    "33",
    "31",
  ]);
  assertEquals(confidenceText(0.734, false), "73 % sure");
});
