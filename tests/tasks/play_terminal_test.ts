import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { available } from "./_cli.ts";
import { hasTerminal, KEYS, Terminal } from "./_terminal.ts";

/** Declares a test that needs an adapter and util-linux's `script`. */
function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !available || !hasTerminal, fn });
}

const FACTS = ["--model-name=facts"];

/** Where the cursor stands behind the prompt. */
const PROMPT = "> \x1b[3G";

terminalTest(
  "play in a terminal answers below the question, coloured, and says whose confidence it is",
  async () => {
    await using terminal = new Terminal("play", FACTS, { NO_COLOR: "" });
    assertStringIncludes(
      await terminal.until(PROMPT),
      "Confidence is that of the untuned model. /help lists commands.\r\n",
    );
    await terminal.type(`Which tree is planted in Suru?${KEYS.enter}`);
    // Half sure is yellow.
    assertMatch(
      await terminal.until(PROMPT),
      // deno-lint-ignore no-control-regex -- that is how colours are written
      /Suru\?\s+teak\r\n\x1b\[33m5\d % sure\x1b\[0m, says the untuned model\r\n/,
    );
    await terminal.type(KEYS.end);
    assertEquals(await terminal.code(), 0);
  },
);

terminalTest(
  "play in a terminal has lines edited, recalled with the up key, and commands completed",
  async () => {
    await using terminal = new Terminal("play", FACTS);
    await terminal.until(PROMPT);
    await terminal.type(`/tep 3${KEYS.left.repeat(3)}m${KEYS.enter}`);
    await terminal.until("The sampling temperature is 3.");
    await terminal.until(PROMPT);
    await terminal.type(KEYS.up);
    await terminal.until("/temp 3");
    await terminal.type(`4${KEYS.enter}`);
    await terminal.until("The sampling temperature is 34.");
    await terminal.until(PROMPT);
    await terminal.type(`/q${KEYS.tab}`);
    await terminal.until("/quit");
    await terminal.type(KEYS.enter);
    assertEquals(await terminal.code(), 0);
  },
);

terminalTest(
  "play in a terminal takes several lines that are pasted at once, one after the other",
  async () => {
    await using terminal = new Terminal("play", FACTS);
    await terminal.until(PROMPT);
    await terminal.type(`Why?\rHow?\r/temp 2\r/temp\r`);
    await terminal.until("% sure");
    assertMatch(await terminal.until("% sure"), /> How\?\r\n/);
    await terminal.until(
      "> /temp 2\r\nThe sampling temperature is 2.\r\n> /temp\r\nThe sampling temperature is 2.\r\n",
    );
  },
);

terminalTest("play in a terminal names what is wrong with a command, and goes on as before", async () => {
  await using terminal = new Terminal("play", FACTS);
  for (
    const [line, reply] of [
      ["/temperature", 'Unknown command "/temperature"'],
      ["/temp warm", 'The temperature cannot be "warm"'],
      ["/adapter no/such", "There is no checkpoint no/such"],
      ["/adapter", "Confidence is that of the untuned model."],
    ]
  ) {
    await terminal.until(PROMPT);
    await terminal.type(`${line}${KEYS.enter}`);
    await terminal.until(reply);
  }
});

terminalTest("play in a terminal: Ctrl-C stops an answer, and at the prompt it leaves with 130", async () => {
  // So hot that the answer has hundreds of tokens.
  const long = ["--temperature=50", "--top-p=1", "--max-new-tokens=3000", "--seed=1"];
  await using terminal = new Terminal("play", [...FACTS, ...long]);
  await terminal.until(PROMPT);
  await terminal.type(`Why?${KEYS.enter}`);
  await terminal.until("\n");
  await terminal.type(KEYS.interrupt);
  await terminal.until("(stopped)\r\n");
  await terminal.until(PROMPT);
  await terminal.type(`/temp${KEYS.enter}`);
  await terminal.until("The sampling temperature is 50.");
  await terminal.until(PROMPT);
  await terminal.type(KEYS.interrupt);
  assertEquals(await terminal.code(), 130);
});
