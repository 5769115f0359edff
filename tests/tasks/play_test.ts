import { assert, assertAlmostEquals, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  type ChatMessage,
  type GenerationOptions,
  type LanguageModel,
  readPredictions,
  UserError,
} from "../../core/mod.ts";
import { loraPrompt } from "../../plugins/methods/lora_prompt.ts";
import { oe } from "../../plugins/prompt_styles/oe.ts";
import { Session } from "../../tasks/_session.ts";
import { confidenceText, Player } from "../../tasks/play.ts";
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
      assertAlmostEquals(pCorrect, expected.pCorrect!, 1e-6);
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

/** A chat model that knows no system turn, writes one word, and remembers the chats it was given. */
function chatModel(chats: (readonly ChatMessage[])[]): LanguageModel {
  const tokenizer = {
    encode: (text: string) => [...text].map((character) => character.codePointAt(0)!),
    decode: (ids: readonly number[]) => String.fromCodePoint(...ids),
    answerToken: (text: string) => text.length,
    chat(messages: readonly ChatMessage[]) {
      if (messages[0].role === "system") {
        throw new UserError({ kind: "data", what: "no system turn", where: "template", fix: "leave it out" });
      }
      chats.push(messages);
      return [1];
    },
  };
  const model = {
    name: "chat",
    tokenizer,
    contextLength: 10000,
    async *generate(_: unknown, { onToken }: GenerationOptions) {
      const tokens = tokenizer.encode(" blue ");
      tokens.forEach((token) => onToken?.(0, token));
      yield { index: 0, tokens, logprob: 0 };
    },
    async *tokenLogits() {
      yield [0, 1];
    },
  };
  return model as unknown as LanguageModel;
}

Deno.test("Player gives a chat model its instruction in the first question where its template knows no system turn", async () => {
  const chats: (readonly ChatMessage[])[] = [];
  const options = { maxNewTokens: 8, topP: 1, seed: 1, temperature: 0 };
  const player = new Player(new Session("test"), chatModel(chats), oe, loraPrompt, options);
  let shown = "";
  const { answer, pCorrect } = await player.ask("Which colour?", (text) => void (shown += text));
  assertEquals([answer, shown], ["blue", "blue"]);
  assertAlmostEquals(pCorrect, 1 / (1 + Math.exp(-1)), 1e-12);
  await player.ask("And now?", () => {});
  assertMatch(chats[0][0].content, /^You are an expert .*\n\nWhich colour\?$/s);
  assertEquals(chats[1].map(({ role }) => role), ["user", "assistant", "user"]);
  player.clear();
  await player.ask("Again?", () => {});
  assertEquals(chats[2].length, 1);
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
