import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { answerTokens } from "../../core/query.ts";
import { openTokenizer } from "../../model/tokenizer.ts";
import { editJson, withFolder } from "./_files.ts";

/** The embedded model's. */
const FACTS = new URL("../../assets/facts/model/", import.meta.url).pathname;

/** What the tests change in a `tokenizer.json`. */
interface TokenizerJson {
  added_tokens: { id: number; content: string }[];
  post_processor: unknown;
  model: { type: string; vocab: Record<string, number>; merges: string[] };
}

/** Runs with a folder that holds the embedded model's tokenizer and nothing else. */
async function withTokenizer(work: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
      await Deno.copyFile(`${FACTS}/${name}`, `${folder}/${name}`);
    }
    await work(folder);
  });
}

/** Runs with a folder whose `tokenizer.json` was changed. */
async function withEdited(
  edit: (tokenizer: TokenizerJson) => void,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  await withTokenizer(async (folder) => {
    await editJson(`${folder}/tokenizer.json`, edit);
    await work(folder);
  });
}

Deno.test("Tokenizer.decode() gives back what encode() was given, in any script", async () => {
  const { encode, decode } = await openTokenizer(FACTS);
  for (
    const text of [
      "What is the capital of Ferland?",
      "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:",
      "two  spaces, a tab\tand a trailing one ",
      "Zoë – 東京 🗼",
      "",
    ]
  ) assertEquals(decode(encode(text)), text);
});

Deno.test("Tokenizer.encode() begins with the token that begins a sequence, if there is one", async () => {
  const { encode } = await openTokenizer(FACTS);
  const [first, ...rest] = encode("a");
  assertEquals([first, rest.length], [1, 1]);
  assertEquals(encode(""), [1]);
  await withEdited((tokenizer) => tokenizer.post_processor = null, async (folder) => {
    assertEquals((await openTokenizer(folder)).encode("a"), rest);
  });
});

Deno.test("Tokenizer.decode() leaves special tokens out, and gives no text for no ids", async () => {
  const { encode, decode, stopTokens } = await openTokenizer(FACTS);
  assertEquals(decode([]), "");
  assertEquals(decode([1]), "");
  assertEquals(decode([...encode("b"), ...stopTokens]), "b");
});

Deno.test("Tokenizer.answerToken() names the last token of a text, and decode() reads it back", async () => {
  const { encode, decode, answerToken } = await openTokenizer(FACTS);
  const ids = ["i", "ii", "a", "b", "c", "d"].map((text) => {
    assertEquals(encode(text).length, 2, `"${text}" is a single token`);
    assertEquals(decode([answerToken(text)]), text);
    assertEquals(answerToken(text), encode(text).at(-1));
    return answerToken(text);
  });
  assertEquals(new Set(ids).size, ids.length);
});

Deno.test("answerTokens() refuses a tokenizer where ii is not one token, naming its file", async () => {
  const edit = ({ model }: TokenizerJson) => {
    model.merges = model.merges.filter((merge) => !merge.replace(" ", "").endsWith("ii"));
  };
  await withEdited(edit, async (folder) => {
    const tokenizer = await openTokenizer(folder);
    assert(tokenizer.encode("ii").length > 2);
    const error = assertThrows(() => answerTokens(tokenizer), UserError, '"ii" is not a single token');
    assertEquals([error.kind, error.where], ["data", `${folder}/tokenizer.json`]);
  });
});

Deno.test("Tokenizer.vocabulary is one more than the largest id, added tokens included", async () => {
  const { vocabulary } = await openTokenizer(FACTS);
  assertEquals(vocabulary, JSON.parse(await Deno.readTextFile(`${FACTS}/config.json`)).vocab_size);
  const edit = ({ added_tokens: added }: TokenizerJson) => {
    added.push({ ...added[0], id: vocabulary + 5, content: "<new>" });
  };
  await withEdited(edit, async (folder) => {
    assertEquals((await openTokenizer(folder)).vocabulary, vocabulary + 6);
  });
});

Deno.test("Tokenizer.stopTokens come from generation_config.json, then config.json, then the eos_token", async () => {
  await withTokenizer(async (folder) => {
    const stopTokens = async () => (await openTokenizer(folder)).stopTokens;
    const write = (name: string, value: unknown) =>
      Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(value));
    await write("tokenizer_config.json", {});
    assertEquals(await stopTokens(), []);
    await write("tokenizer_config.json", { eos_token: "<unk>" });
    assertEquals(await stopTokens(), [0]);
    await write("tokenizer_config.json", { eos_token: { content: "</s>" } });
    assertEquals(await stopTokens(), [2]);
    await write("config.json", { eos_token_id: 7 });
    assertEquals(await stopTokens(), [7]);
    await write("generation_config.json", { eos_token_id: null });
    assertEquals(await stopTokens(), [7]);
    await write("generation_config.json", { eos_token_id: [8, 9] });
    assertEquals(await stopTokens(), [8, 9]);
  });
});

for (const value of ["2", [2, null], -1, 1.5, {}]) {
  Deno.test(`openTokenizer() refuses ${JSON.stringify(value)} for eos_token_id, naming the file`, async () => {
    await withTokenizer(async (folder) => {
      const path = `${folder}/generation_config.json`;
      await Deno.writeTextFile(path, JSON.stringify({ eos_token_id: value }));
      const error = await assertRejects(() => openTokenizer(folder), UserError, '"eos_token_id" is');
      assertEquals([error.kind, error.where], ["data", path]);
    });
  });
}

Deno.test("openTokenizer() refuses a folder without tokenizer.json, naming it", async () => {
  await withFolder(async (folder) => {
    const error = await assertRejects(() => openTokenizer(folder), UserError);
    assertEquals([error.kind, error.where], ["data", `${folder}/tokenizer.json`]);
  });
});

const DAMAGED: Readonly<Record<string, (tokenizer: TokenizerJson) => unknown>> = {
  "without a model": ({ model: _, ...rest }) => rest,
  "whose model is null": (tokenizer) => ({ ...tokenizer, model: null }),
  "without a vocabulary": (tokenizer) => ({ ...tokenizer, model: { ...tokenizer.model, vocab: undefined } }),
  "without merges": (tokenizer) => ({ ...tokenizer, model: { ...tokenizer.model, merges: undefined } }),
  "whose ids are text": (tokenizer) => ({ ...tokenizer, model: { ...tokenizer.model, vocab: { a: "1" } } }),
  "whose ids are negative": (tokenizer) => ({
    ...tokenizer,
    model: { ...tokenizer.model, vocab: { a: -1 } },
  }),
  "with an id of 2^31": (tokenizer) => ({
    ...tokenizer,
    model: { ...tokenizer.model, vocab: { a: 2 ** 31 } },
  }),
  "with an added token without id": (tokenizer) => ({ ...tokenizer, added_tokens: [{ content: "<s>" }] }),
  "with an unknown normalizer": (tokenizer) => ({ ...tokenizer, normalizer: { type: "Mangle" } }),
  "that is a list": (tokenizer) => [tokenizer],
};

for (const [title, damage] of Object.entries(DAMAGED)) {
  Deno.test(`openTokenizer() refuses a tokenizer.json ${title}, naming it`, async () => {
    await withTokenizer(async (folder) => {
      const path = `${folder}/tokenizer.json`;
      const tokenizer = JSON.parse(await Deno.readTextFile(path));
      await Deno.writeTextFile(path, JSON.stringify(damage(tokenizer)));
      const error = await assertRejects(() => openTokenizer(folder), UserError);
      assertEquals([error.kind, error.where], ["data", path]);
    });
  });
}

Deno.test("openTokenizer() refuses a tokenizer.json that was cut off", async () => {
  await withTokenizer(async (folder) => {
    const path = `${folder}/tokenizer.json`;
    await Deno.truncate(path, (await Deno.stat(path)).size - 2);
    const error = await assertRejects(() => openTokenizer(folder), UserError, "Not valid JSON");
    assertEquals([error.kind, error.where], ["data", path]);
  });
});

Deno.test("openTokenizer() does without a tokenizer_config.json, and refuses one that is no object", async () => {
  await withTokenizer(async (folder) => {
    const path = `${folder}/tokenizer_config.json`;
    await Deno.remove(path);
    assert((await openTokenizer(folder)).encode("a").length > 0);
    await Deno.writeTextFile(path, "null");
    const error = await assertRejects(() => openTokenizer(folder), UserError);
    assertStringIncludes(error.where, "tokenizer_config.json");
  });
});
