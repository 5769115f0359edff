import { assertEquals, assertThrows } from "@std/assert";
import { type PickleGlobal, type PickleRules, readPickle } from "../../../core/torch/pickle.ts";

class Refused extends Error {}

const RULES: PickleRules<string> = {
  allows: (name) => name === "known.function",
  call: (name, args) => `${name} called with ${args.length}`,
  persistent: (id) => `outside ${id}`,
  refuse: (what) => new Refused(what),
};

/** Reads a pickle whose bytes are the text's. */
function read(text: string) {
  return readPickle(Uint8Array.from(text, (character) => character.charCodeAt(0)), RULES);
}

for (
  const [title, text, value] of [
    ["None, True and False", "(N\x88\x89t.", [null, true, false]],
    ["whole numbers of each width", "(K\xffM\xff\xffJ\xff\xff\xff\xfft.", [255, 65535, -1]],
    ["long numbers, the lowest byte first", "(\x8a\0\x8a\x01\xff\x8a\x02\xff\0\x8a\x06\0\0\0\0\0\x80t.", [
      0,
      -1,
      255,
      -(2 ** 47),
    ]],
    ["fractions, the highest byte first", "G\x3f\xe0\0\0\0\0\0\0.", 0.5],
    ["text of both widths", "(X\x02\0\0\0\xc3\xa9\x8c\x01at.", ["é", "a"]],
    ["tuples of each length", "()K\x01\x85K\x01K\x02\x86K\x01K\x02K\x03\x87t.", [[], [1], [1, 2], [1, 2, 3]]],
    ["lists", "]K\x01a(K\x02K\x03e.", [1, 2, 3]],
    ["dictionaries", "}K\x01K\x02s(K\x03K\x04K\x05K\x06u.", new Map([[1, 2], [3, 4], [5, 6]])],
    ["what was kept", "(K\x07q\x05h\x05r\0\x01\0\0j\0\x01\0\0t.", [7, 7, 7]],
    ["what was kept in order", "\x80\x04(K\x07\x94K\x08\x94h\x01h\0t.", [7, 8, 8, 7]],
    ["frames", "\x80\x04\x95\x02\0\0\0\0\0\0\0N.", null],
    ["values from outside", "K\x07Q.", "outside 7"],
    ["a call of an allowed name", "cknown\nfunction\nK\x01K\x02\x86R.", "known.function called with 2"],
    ["a call of a name on the stack", "\x8c\x05known\x8c\x08function\x93)R.", "known.function called with 0"],
    ["attributes of a dictionary, which are dropped", "}}K\x01K\x02sb.", new Map()],
  ] as const
) {
  Deno.test(`readPickle() reads ${title}`, () => assertEquals(read(text) as unknown, value));
}

Deno.test("readPickle() gives an allowed name that is not called as a name", () => {
  assertEquals((read("cknown\nfunction\n.") as PickleGlobal).name, "known.function");
});

Deno.test("readPickle() reads a list that lies in itself", () => {
  const list = read("]q\0h\0a.") as unknown[];
  assertEquals(list[0] === list, true);
});

/** Every instruction that is not known, by its byte and name. */
const UNKNOWN: readonly (readonly [code: string, name: string])[] = [
  ["0", "POP"],
  ["1", "POP_MARK"],
  ["2", "DUP"],
  ["F", "FLOAT"],
  ["I", "INT"],
  ["L", "LONG"],
  ["P", "PERSID"],
  ["S", "STRING"],
  ["T", "BINSTRING"],
  ["U", "SHORT_BINSTRING"],
  ["V", "UNICODE"],
  ["d", "DICT"],
  ["g", "GET"],
  ["i", "INST"],
  ["l", "LIST"],
  ["o", "OBJ"],
  ["p", "PUT"],
  ["B", "BINBYTES"],
  ["C", "SHORT_BINBYTES"],
  ["\x81", "NEWOBJ"],
  ["\x82", "EXT1"],
  ["\x83", "EXT2"],
  ["\x84", "EXT4"],
  ["\x8b", "LONG4"],
  ["\x8d", "BINUNICODE8"],
  ["\x8e", "BINBYTES8"],
  ["\x8f", "EMPTY_SET"],
  ["\x90", "ADDITEMS"],
  ["\x91", "FROZENSET"],
  ["\x92", "NEWOBJ_EX"],
  ["\x96", "BYTEARRAY8"],
  ["\x97", "NEXT_BUFFER"],
  ["\x98", "READONLY_BUFFER"],
];

for (const [code, name] of UNKNOWN) {
  Deno.test(`readPickle() refuses the instruction ${name} by its name`, () => {
    assertThrows(() => read(`\x80\x02N${code}${"\0".repeat(20)}.`), Refused, `the instruction ${name}`);
  });
}

Deno.test("readPickle() knows or refuses by name or number each of the 256 instructions", () => {
  const known = new Set<number>();
  for (let code = 0; code < 256; code++) {
    try {
      read(`${String.fromCharCode(code)}.`);
      known.add(code);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (!error.message.startsWith("it has the instruction")) known.add(code);
    }
  }
  // The 68 of all protocols but those that are refused by name.
  assertEquals(known.size, 68 - UNKNOWN.length);
  assertThrows(() => read("\xff."), Refused, "the instruction 0xff");
});

for (
  const [title, text, what] of [
    ["a function that is not allowed", "cposix\nsystem\n.", "it names posix.system"],
    [
      "a function that is not allowed, from the stack",
      "\x8c\x05posix\x8c\x06system\x93.",
      "it names posix.system",
    ],
    ["a name from the stack that is no text", "K\x01K\x02\x93.", "it names 1.2"],
    ["a call of what is no function", "K\x01)R.", "it calls what is no function"],
    ["a call with what is no tuple", "cknown\nfunction\nK\x01R.", "it calls what is no function"],
    ["attributes of a list", "]}b.", "it gives attributes to what is no dictionary"],
    [
      "attributes of what a call made",
      "cknown\nfunction\n)R}b.",
      "it gives attributes to what is no dictionary",
    ],
    ["an unknown protocol", "\x80\x06N.", "it is of protocol 6"],
    ["protocol 1", "\x80\x01N.", "it is of protocol 1"],
    ["no bytes", "", "it ends early"],
    ["a number that is cut off", "J\0\0", "it ends early"],
    ["text that is longer than the file", "X\xff\xff\xff\xffabc.", "it ends early"],
    ["a name without an end", "cknown\nfunction", "it ends early"],
    ["text that is not UTF-8", "X\x01\0\0\0\xff.", "it has text that is not UTF-8"],
    ["a number of 9 bytes", "\x8a\x09\0\0\0\0\0\0\0\0\0.", "it has a number of 9 bytes"],
    ["a number beyond 2⁵³", "\x8a\x08\0\0\0\0\0\0\0\x7f.", "it has the number 9151314442816847872"],
    ["an empty stack", ".", "it takes from an empty stack"],
    ["a mark that is not there", "t.", "it looks for a mark that is not there"],
    ["a value from below a mark", "K\x01(\x85t.", "it takes from an empty stack"],
    ["a mark left over", "(N.", "it stops with values left over"],
    ["a value left over", "NN.", "it stops with values left over"],
    ["bytes behind its end", "N.N", "it has bytes behind its end"],
    ["a value that was not kept", "h\x01.", "it asks for value 1, which it has not kept"],
    ["an append to what is no list", "K\x01K\x02a.", "it appends to what is no list"],
    ["an item of what is no dictionary", "]K\x01K\x02s.", "it sets items of what is no dictionary"],
    ["a key without a value", "}(K\x01u.", "it sets a key without a value"],
  ]
) {
  Deno.test(`readPickle() refuses ${title}`, () => void assertThrows(() => read(text), Refused, what));
}
