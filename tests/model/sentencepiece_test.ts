import { assert, assertEquals, assertThrows } from "@std/assert";
import { gunzipSync } from "node:zlib";
import { UserError } from "../../core/errors.ts";
import { tokenizerOfSentencePiece } from "../../model/sentencepiece.ts";
import { noise } from "../kernels/_gpu.ts";

const MODEL = new Uint8Array(
  gunzipSync(Deno.readFileSync(new URL("../golden/tokenizers/llama2/tokenizer.model.gz", import.meta.url))),
);

const read = (file: Uint8Array) => tokenizerOfSentencePiece(file, {}, "tokenizer.model");

Deno.test("tokenizerOfSentencePiece() gives a byte-pair model whose merges are of pieces it has", () => {
  const { model } = read(MODEL) as {
    model: { type: string; vocab: Record<string, number>; merges: string[][] };
  };
  assertEquals(model.type, "BPE");
  assert(Object.keys(model.vocab).length > 2000 && model.merges.length > 1000);
  for (const [left, right] of model.merges) {
    assert(left in model.vocab && right in model.vocab && left + right in model.vocab, `${left} ${right}`);
  }
});

for (const length of [0, 1, 7, 100, MODEL.length - 1]) {
  Deno.test(`tokenizerOfSentencePiece() refuses a file cut after ${length} bytes, naming it`, () => {
    const error = assertThrows(() => read(MODEL.slice(0, length)), UserError);
    assertEquals([error.kind, error.where], ["data", "tokenizer.model"]);
  });
}

/** A field of a protocol buffer that holds bytes. */
const field = (number: number, bytes: readonly number[]) => [number << 3 | 2, bytes.length, ...bytes];
const number = (field: number, value: number) => [field << 3, value];
const piece = (text: string) =>
  field(1, [...field(1, [...new TextEncoder().encode(text)]), 0x15, 0, 0, 0, 0]);

const REFUSED: Readonly<Record<string, readonly [readonly number[], string]>> = {
  "a Unigram model": [[...piece("a"), ...field(2, number(3, 1)), ...field(3, [...number(4, 0)])], "UNIGRAM"],
  "a piece that stands twice": [
    [...piece("a"), ...piece("a"), ...field(2, number(3, 2)), ...field(3, [...number(4, 0)])],
    "twice",
  ],
  "an empty piece": [[...piece(""), ...field(2, number(3, 2)), ...field(3, [...number(4, 0)])], "empty"],
  "a length beyond the file": [[0x0a, 0xff, 0xff, 0xff, 0x7f], "ends within"],
  "a number without end": [Array(11).fill(0xff), "ten bytes"],
  "a file of something else": [[...new TextEncoder().encode('{"model": {}}')], "Not a usable"],
};

for (const [why, [bytes, message]] of Object.entries(REFUSED)) {
  Deno.test(`tokenizerOfSentencePiece() refuses ${why}`, () => {
    assertThrows(() => read(Uint8Array.from(bytes)), UserError, message);
  });
}

Deno.test("tokenizerOfSentencePiece() of 2,000 damaged files gives a tokenizer or says what is wrong", () => {
  const positions = noise(4000, 1), values = noise(4000, 2);
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    const file = MODEL.slice(0, 3000);
    for (let edit = 0; edit < 2; edit++) {
      const index = 2 * round + edit;
      file[Math.floor((positions[index] + 1) / 2 * file.length)] = Math.floor((values[index] + 1) * 128);
    }
    try {
      read(file);
    } catch (error) {
      assert(error instanceof UserError, String(error));
      refused++;
    }
  }
  assert(refused > 100, `${refused} refused`);
});
