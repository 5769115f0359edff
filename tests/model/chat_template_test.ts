import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { crc32 } from "node:zlib";
import { openCase, TOKENIZER_CASES } from "../../bench/tokenizers.ts";
import { UserError } from "../../core/errors.ts";
import type { ChatMessage } from "../../core/types.ts";
import { compileChatTemplate } from "../../model/chat_template.ts";
import golden from "../golden/tokenizers/chats.json" with { type: "json" };

const folder = new URL("../golden/tokenizers/", import.meta.url);
const chats = golden.chats as unknown as Readonly<Record<string, readonly ChatMessage[]>>;
const now = new Date(golden.now);

/** One rendering by transformers, or its refusal. */
interface Recorded {
  readonly template: string;
  readonly family: string;
  readonly chat: string;
  readonly addGenerationPrompt: boolean;
  readonly text?: string;
  /** Checksum of the ids. */
  readonly ids?: number;
}

const byTemplate = Map.groupBy(golden.recorded as readonly Recorded[], ({ template }) => template);

/** A template with the tokens of its family. */
async function compiled(template: string, family: string) {
  const config = JSON.parse(await Deno.readTextFile(new URL(`${family}/tokenizer_config.json`, folder)));
  const tokens = Object.fromEntries(
    ["bos_token", "eos_token", "unk_token"].filter((name) => config[name]).map((
      name,
    ) => [name, config[name]]),
  );
  const source = await Deno.readTextFile(new URL(`chat/${template}.jinja`, folder));
  return compileChatTemplate(source, tokens, `${template}.jinja`);
}

for (const [template, records] of byTemplate) {
  Deno.test(`The chat template ${template} gives the texts, ids and refusals of transformers`, async () => {
    const render = await compiled(template, records[0].family);
    const tokenizer = await openCase(
      TOKENIZER_CASES.find(({ family, vocabulary }) =>
        family === records[0].family && vocabulary === "small"
      )!,
    );
    for (const { chat, addGenerationPrompt, text, ids } of records) {
      const rendered = () => render(chats[chat], { addGenerationPrompt }, now);
      if (text === undefined) assertThrows(rendered, UserError, "chat template");
      else {
        assertEquals(rendered(), text, chat);
        const encoded = Uint32Array.from(tokenizer.encode(text, { specialTokens: false }));
        assertEquals(crc32(new Uint8Array(encoded.buffer)), ids, chat);
      }
    }
  });
}

const CHAT: readonly ChatMessage[] = [{ role: "user", content: "Hi" }];

const HOSTILE: Readonly<Record<string, readonly [string, string]>> = {
  "counts without end": ["{% for i in range(10 ** 12) %}x{% endfor %}", "counts to"],
  "takes too many steps": [
    "{% for i in range(10000) %}{% for j in range(10000) %}{{ i * j }}{% endfor %}{% endfor %}",
    "steps",
  ],
  "doubles a text again and again": [
    "{% set ns = namespace(t='xxxxxxxx') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
    "characters",
  ],
  "looks for a constructor": ["{{ messages.constructor.constructor('return Deno')() }}", "fails"],
  "is no Jinja": ["{% if %}", "can be read"],
  "raises an exception": ["{{ raise_exception('no system turn') }}", "no system turn"],
};

for (const [why, [source, message]] of Object.entries(HOSTILE)) {
  Deno.test(`A chat template that ${why} is refused, naming its file`, () => {
    const error = assertThrows(() => compileChatTemplate(source, {}, "evil.jinja")(CHAT), UserError);
    assertEquals([error.kind, error.where], ["data", "evil.jinja"]);
    assertStringIncludes(error.what, message);
  });
}

Deno.test("A chat template of more than 65,536 characters is refused unread", () => {
  compileChatTemplate("x".repeat(65536), {}, "long.jinja");
  assertThrows(() => compileChatTemplate("x".repeat(65537), {}, "long.jinja"), UserError, "65537 characters");
});

Deno.test("A chat template sees neither more of a message than role and content, nor the machine", () => {
  const chat = [{ role: "user", content: "Hi", secret: "x" }] as unknown as readonly ChatMessage[];
  const render = compileChatTemplate(
    "{{ messages[0].secret is defined }} {{ Deno is defined }}",
    {},
    "a.jinja",
  );
  assertEquals(render(chat), "false false");
});

Deno.test("A chat template keeps what an iteration wrote before it goes on or leaves", () => {
  const source = "{% for i in range(5) %}{{ i }}{% if i == 1 %}a{% continue %}{% endif %}" +
    "{% if i == 3 %}b{% break %}{% endif %};{% endfor %}";
  assertEquals(compileChatTemplate(source, {}, "a.jinja")(CHAT), "0;1a2;3b");
});
