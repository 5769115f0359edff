import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { readPredictions } from "../../core/mod.ts";
import { withFolder } from "../plugins/_folders.ts";
import { available, type Ended, ended, run, start, succeed, writeLabels } from "./_cli.ts";

/** Runs `play` with questions on its standard input. */
async function play(input: string, ...args: readonly string[]): Promise<Ended> {
  const child = start("play", ["--model-name=facts", ...args], {}, "piped");
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  return await ended(child);
}

const QUESTION = "Which tree is planted in Suru?";

Deno.test({
  name:
    "play gives an object for each line of its input and the untuned model's confidence, and says whose it is",
  ignore: !available,
  fn: async () => {
    const { code, stdout, stderr } = await play(`${QUESTION}\n\nWhich drink is brewed in Mapu?`, "--json");
    assertEquals(code, 0, stderr);
    const [first, second, result, ...rest] = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals([first.question, second.question], [QUESTION, "Which drink is brewed in Mapu?"]);
    for (const { answer, pCorrect, tokens } of [first, second]) {
      assert(typeof answer === "string" && pCorrect > 0 && pCorrect < 1 && tokens >= 1);
    }
    assertEquals([result, rest], [{ questions: 2 }, []]);
    assertStringIncludes(stderr, "Confidence is that of the untuned model.");
  },
});

Deno.test({
  name:
    "play gives the answer and the confidence that evaluate gives: untuned, and with an adapter's temperature",
  ignore: !available,
  fn: () =>
    withFolder(async (folder) => {
      const labels = `--dataset=offline:${await writeLabels(folder)}`;
      await succeed("calibration-tune", [
        ...[labels, "--model-name=facts", "--max-steps=2", "--lr=1e-2", "--scale-temp"],
        `--log-dir=${folder}/run`,
      ]);
      const adapter = [`--query-peft-dir=${folder}/run/checkpoint-2`, "--scale-temp=query"];
      const seen = new Set<number>();
      for (const [name, flags] of Object.entries({ untuned: [], adapter })) {
        await succeed("evaluate", [
          ...["--dataset=facts", "--prompt-style=oe", "--model-name=facts", "--limit=1"],
          ...[...flags, `--log-dir=${folder}/${name}`],
        ]);
        const [expected] = await readPredictions(`${folder}/${name}/metrics/facts/test/predictions.csv`);
        const { answer, pCorrect } = JSON.parse((await play(QUESTION, ...flags)).stdout);
        assertEquals(answer, expected.output);
        // The file has its digits rounded.
        assertAlmostEquals(pCorrect, expected.pCorrect!, 1e-6);
        seen.add(pCorrect);
      }
      assertEquals(seen.size, 2);
    }),
});

Deno.test({
  name: "play writes the same bytes from the same seed, and other answers from another",
  ignore: !available,
  fn: async () => {
    const sample = async (seed: number) =>
      (await play(`${QUESTION}\n${QUESTION}\n`, "--temperature=20", "--top-p=1", `--seed=${seed}`)).stdout;
    const first = await sample(1);
    assertEquals(await sample(1), first);
    assert(await sample(2) !== first);
    const [one, two] = first.trimEnd().split("\n");
    assert(one !== two, "the same question again is another sample");
  },
});

Deno.test({
  name: "play says of a question that is too long what is wrong, goes on to the next, and ends with 4",
  ignore: !available,
  fn: async () => {
    const { code, stdout, stderr } = await play(`${"word ".repeat(5000)}\n${QUESTION}\n`);
    const [first, second] = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals([code, second.question], [4, QUESTION]);
    assertMatch(first.error, /tokens, but the model reads at most/);
    assertStringIncludes(stderr, "1 of 2 questions could not be answered");
  },
});

for (
  const [args, message] of [
    [["--scale-temp=query"], "There is no adapter whose temperature could be used"],
    [["--scale-temp=qery"], 'Unknown temperature "qery"'],
    [["--temperature=-1"], "The temperature is -1"],
    [["--top-p=0"], "The mass is 0"],
    [["--top-p=1.01"], "The mass is 1.01"],
    [["--prompt-style=oee"], 'Unknown prompt-style "oee"'],
    [["--dtype=int7"], 'Unknown type of weights "int7"'],
    [["--query-peft-dirr=x"], 'did you mean "--query-peft-dir"'],
  ] as const
) {
  Deno.test(`play ${args.join(" ")} is wrong usage, and says why`, async () => {
    const { code, stdout, stderr } = await play("", ...args);
    assertEquals([code, stdout], [2, ""], stderr);
    assertStringIncludes(stderr, message);
  });
}

for (
  const [flag, code, message] of [
    ["--query-peft-dir=no/such/folder", 4, "no/such/folder"],
    ["--prompt-style=choice", 2, 'Prompt style "choice" cannot word a question that is typed'],
  ] as const
) {
  Deno.test({
    name: `play ${flag} is refused before a question is taken`,
    ignore: !available,
    fn: async () => {
      const refused = await play(QUESTION, flag);
      assertEquals([refused.code, refused.stdout], [code, ""], refused.stderr);
      assertStringIncludes(refused.stderr, message);
    },
  });
}

Deno.test("play --help needs no model", async () => {
  assertStringIncludes((await run("play", ["--help"])).stdout, "--query-peft-dir=<text>");
});
