import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { BPE } from "@huggingface/tokenizers";
import { gunzipSync } from "node:zlib";
import { openCase, TOKENIZER_CASES } from "../../bench/tokenizers.ts";
import { UserError } from "../../core/errors.ts";
import type { Tokenizer } from "../../core/types.ts";
import { openTokenizer } from "../../model/tokenizer.ts";
import { withFolder } from "./_files.ts";

const GOLDEN = new URL("../golden/tokenizers/", import.meta.url).pathname;

type Json = Record<string, unknown>;

interface TokenizerJson extends Json {
  model: Json & { vocab: Record<string, number>; merges: unknown[] };
  added_tokens: Json[];
}

/** A recorded tokenizer. */
function family(name: string): Promise<Tokenizer> {
  return openCase(
    TOKENIZER_CASES.find(({ family, vocabulary }) => family === name && vocabulary === "small")!,
  );
}

/** Runs with a folder that holds a recorded tokenizer, perhaps changed, and other files. */
async function withTokenizer(
  name: string,
  work: (folder: string) => Promise<void>,
  { file = "tokenizer.json", config, edit, others = {} }: {
    readonly file?: "tokenizer.json" | "tokenizer.model";
    readonly config?: Json;
    readonly edit?: (tokenizer: TokenizerJson) => void;
    readonly others?: Readonly<Record<string, string>>;
  } = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const bytes = new Uint8Array(gunzipSync(await Deno.readFile(`${GOLDEN}${name}/${file}.gz`)));
    if (edit === undefined) await Deno.writeFile(`${folder}/${file}`, bytes);
    else {
      const tokenizer = JSON.parse(new TextDecoder().decode(bytes));
      edit(tokenizer);
      await Deno.writeTextFile(`${folder}/${file}`, JSON.stringify(tokenizer));
    }
    if (config !== undefined) {
      await Deno.writeTextFile(`${folder}/tokenizer_config.json`, JSON.stringify(config));
    }
    for (const [path, text] of Object.entries(others)) await Deno.writeTextFile(`${folder}/${path}`, text);
    await work(folder);
  });
}

// What begins a text.

for (
  const [name, begins] of Object.entries({ llama2: 1, mistral: 1, llama3: 2400, qwen2: null, smollm2: null })
) {
  const what = begins === null ? "with nothing" : "with one token, which specialTokens: false leaves out";
  Deno.test(`Tokenizer.encode() of ${name} begins ${what}`, async () => {
    const { encode } = await family(name);
    const plain = encode("Which capital?", { specialTokens: false });
    assertEquals(encode("Which capital?"), begins === null ? plain : [begins, ...plain]);
    assertEquals(encode(""), begins === null ? [] : [begins]);
  });
}

Deno.test("Tokenizer.encode() finds special tokens in a text without special tokens around it", async () => {
  const { encode } = await family("llama2");
  assertEquals(encode("<s>", { specialTokens: false }), [1]);
  assertEquals(encode("<s>"), [1, 1]);
});

Deno.test("A SentencePiece model begins and ends texts as tokenizer_config.json says", async () => {
  const around = async (config: Json) => {
    let ids: number[] = [];
    const read = async (folder: string) => {
      ids = (await openTokenizer(folder)).encode("");
    };
    await withTokenizer("llama2", read, { file: "tokenizer.model", config });
    return ids;
  };
  assertEquals(await around({}), [1]);
  assertEquals(await around({ add_bos_token: false }), []);
  assertEquals(await around({ add_bos_token: true, add_eos_token: true }), [1, 2]);
  assertEquals(await around({ bos_token: { content: "</s>" } }), [2]);
});

Deno.test("A folder's tokenizer.json goes before its tokenizer.model", async () => {
  await withTokenizer("qwen2", async (folder) => {
    assertEquals((await openTokenizer(folder)).encode(""), []);
  }, { others: { "tokenizer.model": "not read" } });
});

Deno.test("openTokenizer() adds the tokens that stand beside a SentencePiece model", async () => {
  await withTokenizer("llama2", async (folder) => {
    const { encode, decode, vocabulary } = await openTokenizer(folder);
    assertEquals(encode("<pad>[SEP]", { specialTokens: false }), [2400, 2403]);
    assertEquals(decode([2400, 2403]), "[SEP]");
    assertEquals(vocabulary, 2404);
  }, {
    file: "tokenizer.model",
    config: { added_tokens_decoder: { 2400: { content: "<pad>", special: true } } },
    others: { "added_tokens.json": '{"<pad>": 2400, "[SEP]": 2403}' },
  });
});

// From ids to text.

for (const name of ["llama2", "mistral", "llama3", "qwen2", "smollm2"]) {
  Deno.test(`Tokenizer.decode() of ${name} keeps a byte order mark, and skips ids that no token has`, async () => {
    const { encode, decode, vocabulary } = await family(name);
    const text = "\ufeffa\ufeff b";
    assertEquals(decode([...encode(text), vocabulary, vocabulary + 7]), text);
  });

  Deno.test(`Tokenizer.decode() of ${name} ends in U+FFFD until a character's last byte is there`, async () => {
    const { encode, decode } = await family(name);
    const ids = encode("𪜶", { specialTokens: false });
    for (let length = 2; length < ids.length; length++) {
      assertStringIncludes(decode(ids.slice(0, length)), "\ufffd");
    }
    assertEquals(decode(ids), "𪜶");
  });
}

Deno.test("Tokenizer.encode() takes a lone surrogate for U+FFFD", async () => {
  for (const name of ["llama2", "qwen2"]) {
    const { encode } = await family(name);
    assertEquals(encode("a\ud800b"), encode("a\ufffdb"));
  }
});

Deno.test("Tokenizer.decode() keeps the blanks before punctuation whatever clean_up_tokenization_spaces says", async () => {
  for (const clean of [true, false]) {
    await withTokenizer("llama3", async (folder) => {
      const { encode, decode } = await openTokenizer(folder);
      assertEquals(decode(encode("a . b , c 's")), "a . b , c 's");
    }, { config: { clean_up_tokenization_spaces: clean } });
  }
});

// Long texts.

/** What the library asks for each pair of neighbours. */
const library = BPE.prototype as unknown as { add_node: (...node: unknown[]) => void };

/** How often two parts of a text are looked up, to be joined, while it is encoded. */
function lookups(tokenizer: Tokenizer, text: string): number {
  const original = library.add_node;
  let count = 0;
  library.add_node = function (...node) {
    count++;
    return original.apply(this, node);
  };
  try {
    tokenizer.encode(text);
  } finally {
    library.add_node = original;
  }
  return count;
}

for (const name of ["llama2", "mistral", "llama3", "qwen2", "smollm2"]) {
  Deno.test(`Tokenizer.encode() of ${name} looks up 4 times as much in a text 4 times as long, without a blank or of blanks`, async () => {
    const tokenizer = await family(name);
    for (const unit of ["a", "abcdefghijklmnopqrstuvwxyz", " ", "\n", "😀", "東京", "=-"]) {
      const [short, long] = [2 ** 10, 2 ** 12].map((times) => lookups(tokenizer, unit.repeat(times)));
      assert(short > 0 || unit.length === 1, "the library has another way to join parts");
      assert(long <= 4.1 * short, `${JSON.stringify(unit)}: ${short}, then ${long}`);
    }
  });
}

for (const name of ["llama2", "mistral", "smollm2"]) {
  Deno.test(`Tokenizer.encode() of ${name} looks up nothing twice in a long text of the same words`, async () => {
    const tokenizer = await family(name);
    const sentence = " Which is the capital of the world and what is the question?";
    assert(lookups(tokenizer, sentence.repeat(2)) > 0, "the library has another way to join parts");
    assertEquals(lookups(tokenizer, sentence.repeat(1000)), 0);
  });
}

Deno.test("openTokenizer() cuts no text before blanks where a token has one inside", async () => {
  const edit = ({ model }: TokenizerJson) => {
    Object.assign(model.vocab, { "a▁": 2400, "a▁b": 2401 });
    model.merges = [["a", "▁"], ["a▁", "b"], ...model.merges];
  };
  await withTokenizer("llama2", async (folder) => {
    assert((await openTokenizer(folder)).encode("xa bx").includes(2401));
  }, { edit });
});

// What is not implemented.

const REFUSED: Readonly<Record<string, readonly [(tokenizer: TokenizerJson) => void, string]>> = {
  "of Unigram pieces": [({ model }) => model.type = "Unigram", "model.type"],
  "of WordPiece": [({ model }) => model.type = "WordPiece", "model.type"],
  "with dropout": [({ model }) => model.dropout = 0.1, "model.dropout"],
  "with a suffix for the ends of words": [
    ({ model }) => model.end_of_word_suffix = "</w>",
    "end_of_word_suffix",
  ],
  "with an unknown normalizer": [(file) => file.normalizer = { type: "BertNormalizer" }, "normalizer.type"],
  "with an unknown normalizer in a sequence": [
    (file) => file.normalizer = { type: "Sequence", normalizers: [{ type: "NFC" }, { type: "Nmt" }] },
    "normalizer.type",
  ],
  "with a splitter that is not implemented": [
    (file) => file.pre_tokenizer = { type: "Punctuation" },
    "pre_tokenizer.type",
  ],
  "with a splitter's behaviour that is not implemented": [
    (file) => file.pre_tokenizer = { type: "Split", pattern: { String: "a" }, behavior: "MergedWithNext" },
    "pre_tokenizer.behavior",
  ],
  "with a decoder that is not implemented": [(file) => file.decoder = { type: "CTC" }, "decoder.type"],
  "with a sequence of no decoders": [(file) => file.decoder = { type: "Sequence" }, "decoder.decoders"],
  "with a post-processor that is not implemented": [
    (file) => file.post_processor = { type: "BertProcessing" },
    "post_processor.type",
  ],
  "with a template of nothing": [
    (file) => file.post_processor = { type: "TemplateProcessing" },
    "Not a usable tokenizer",
  ],
  "whose texts begin with an unknown token": [
    (file) =>
      file.post_processor = { type: "TemplateProcessing", single: [{ SpecialToken: { id: "<new>" } }] },
    "unknown token",
  ],
  "with an added token of single words": [
    ({ added_tokens }) => added_tokens[0].single_word = true,
    "single_word",
  ],
  "with an added token of no content": [({ added_tokens }) => added_tokens[0].content = "", "added token"],
  "with a token of two ids": [({ added_tokens }) => added_tokens[0].id = 9, "has the ids"],
  "with two tokens of one id": [({ model }) => model.vocab["<x>"] = 5, "have the id 5"],
  "with a merge of three": [({ model }) => model.merges.push("a b c"), "the merge"],
  "with a merge to what is no token": [({ model }) => model.merges.push(["<s>", "</s>"]), "the merge"],
};

for (const [why, [edit, message]] of Object.entries(REFUSED)) {
  Deno.test(`openTokenizer() refuses a tokenizer.json ${why}, naming it`, async () => {
    await withTokenizer("llama2", async (folder) => {
      const error = await assertRejects(() => openTokenizer(folder), UserError, message);
      assertEquals([error.kind, error.where], ["data", `${folder}/tokenizer.json`]);
    }, { edit });
  });
}

// Chats.

const CHAT = [{ role: "user", content: "Hi" }];
const TEMPLATE = "{{ bos_token }}[{{ messages[0].content }}]{% if add_generation_prompt %}:{% endif %}";

Deno.test("Tokenizer.chat is absent where the model has no chat template", async () => {
  assertEquals((await family("llama2")).chat, undefined);
});

Deno.test("Tokenizer.chat() writes the token that begins a text once, as the template does", async () => {
  await withTokenizer("llama2", async (folder) => {
    const { chat, encode } = await openTokenizer(folder);
    assertEquals(chat!(CHAT), encode("[Hi]:"));
    assertEquals(chat!(CHAT, { addGenerationPrompt: false }), encode("[Hi]"));
  }, { config: { bos_token: "<s>", chat_template: TEMPLATE } });
});

Deno.test("Tokenizer.chat() takes the template named default, and chat_template.jinja before it", async () => {
  const named = [{ name: "rag", template: "rag" }, { name: "default", template: "default" }];
  const config = { chat_template: named };
  await withTokenizer("qwen2", async (folder) => {
    const { chat, decode } = await openTokenizer(folder);
    assertEquals(decode(chat!(CHAT)), "default");
  }, { config });
  await withTokenizer("qwen2", async (folder) => {
    const { chat, decode } = await openTokenizer(folder);
    assertEquals(decode(chat!(CHAT)), "file");
  }, { config, others: { "chat_template.jinja": "file" } });
});

for (const chat_template of [7, [{ name: "rag", template: "x" }], [null], {}]) {
  Deno.test(`openTokenizer() refuses the chat_template ${JSON.stringify(chat_template)}, naming its file`, async () => {
    await withTokenizer("qwen2", async (folder) => {
      const error = await assertRejects(() => openTokenizer(folder), UserError, "chat_template");
      assertEquals([error.kind, error.where], ["data", `${folder}/tokenizer_config.json`]);
    }, { config: { chat_template } });
  });
}

Deno.test("openTokenizer() opens a tokenizer whose template is no Jinja, which chat() refuses", async () => {
  await withTokenizer("qwen2", async (folder) => {
    const { chat, encode } = await openTokenizer(folder);
    assert(encode("a").length > 0);
    await assertRejects(() => Promise.try(() => chat!(CHAT)), UserError, "can be read");
  }, { config: { chat_template: "{% if %}" } });
});
