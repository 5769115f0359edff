/** Texts on which tokenizers are compared with the reference: made from a seed, so that none of them is stored. */
import { createRng, type Rng } from "../core/mod.ts";

/** The seed that the recorded ids were made with. */
export const CORPUS_SEED = 404;

/** Texts of each kind. */
const TEXTS_OF_A_KIND = 320;

/** Words of many scripts; some have signs that join, and some are written from right to left. */
const WORDS = [
  ..."the of and question answer What is Which capital model don't I'll we've THEY'RE naïve café Zoë coöperate"
    .split(" "),
  ..."straße Übermut façade smörgåsbord Łódź İstanbul ſchön K Åland ﬁnance ﬂuß Привет мир неделя вопрос"
    .split(" "),
  ..."καλημέρα κόσμε ἀρχή გამარჯობა բարեւ सत्यमेव जयते क्षत्रिय বাংলা தமிழ் ไทยแลนด์ ភាសាខ្មែរ မြန်မာ".split(" "),
  ..."東京 日本語 漢字かな交じり文 カタカナ 你好 世界 繁體字 한국어 안녕하세요 㐀 𠀀 𪜶".split(" "),
  ..."שלום עולם שָׁלוֹם مرحبا بالعالم اَلْعَرَبِيَّةُ فارسی ܐܪܡܝܐ ߒߞߏ".split(" "),
];

const EMOJI = [
  ..."😀 🗼 ❤️ ☺︎ 👍🏽 👩‍👩‍👧‍👦 👩🏿‍🚀 🏳️‍🌈 🏴‍☠️ 🇩🇪 🇯🇵🇫🇷 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ #️⃣ 🧑‍💻 🫠 ©️ ™".split(" "),
];

/** Fragments of programs, with their indentation. */
const CODE = [
  "def f(x: int) -> int:\n\treturn x**2  # square\n",
  "for (let i = 0; i < n; i++) {\n    sum += a[i]?.b ?? 0;\n}\n",
  "SELECT * FROM t WHERE a != 'b' AND c LIKE \"%d_\";\r\n",
  '{"key": [1, 2.5e-10, null, true], "π": "\\u00e9"}',
  '#include <stdio.h>\nint main(void) { printf("%d\\n", 0x1F); }\n',
  "<a href='https://example.org/?q=1&r=%20'>link</a>\n\n\n",
  "fn main() { let v: Vec<&'a str> = vec![]; }\n        \n",
  "\\frac{\\partial^2 u}{\\partial x^2} \\leq \\sum_{i=1}^{n} \\alpha_i",
  "x=$((1<<3)); echo \"${x:-y}\" | sed -E 's/^(a+)b?$/\\1/g'\n",
];

/** What the families take for one token, or write in place of one. */
const SPECIAL = [
  ..."<s> </s> <unk> <pad> [INST] [/INST] <<SYS>> <|begin_of_text|> <|end_of_text|> <|eot_id|>".split(" "),
  ..."<|start_header_id|> <|end_header_id|> <|im_start|> <|im_end|> <|endoftext|> <tool_call> <0x0A> <0xE2> ▁ ▁▁ Ġ Ċ"
    .split(" "),
];

const SPACES = [
  "  ",
  "   ",
  "\t",
  "\t\t",
  "\n",
  "\n\n",
  "\r\n",
  "\r",
  " \n ",
  "\u00a0",
  "\u3000",
  "\u2003",
  "\u200b",
  "\u0085",
  "\u2028",
];
const MARKS = [
  ..."\u0300\u0301\u0308\u0323\u0327\u0345\u05b4\u064b\u0670\u093c\u094d\u0e48\u3099\u20dd\ufe0f\u200d\u1161\u11a8",
];
const LETTERS = [..."aeinostuAEKZſçéİıяω가ㅎかハक漢ا ש"];

/** Ranges of characters that all versions of Unicode in use agree on, from its version 13 or before. */
const RANGES: readonly (readonly [number, number])[] = [
  [0x20, 0x7e],
  [0xa1, 0x24f],
  [0x250, 0x36f],
  [0x384, 0x3a1],
  [0x400, 0x52f],
  [0x5d0, 0x5ea],
  [0x600, 0x6ff],
  [0x904, 0x939],
  [0xe01, 0xe3a],
  [0x1100, 0x11ff],
  [0x1e00, 0x1eff],
  [0x2000, 0x206f],
  [0x2070, 0x218b],
  [0x2190, 0x23ff],
  [0x2500, 0x27bf],
  [0x3041, 0x30ff],
  [0x3400, 0x4db5],
  [0x4e00, 0x9fef],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xe000, 0xe0ff],
  [0xf900, 0xfa6d],
  [0xfb00, 0xfb06],
  [0xfe00, 0xfe0f],
  [0xff01, 0xffef],
  [0x10330, 0x1034a],
  [0x1d400, 0x1d454],
  [0x1f100, 0x1f10c],
  [0x1f300, 0x1f5ff],
  [0x1f600, 0x1f64f],
  [0x20000, 0x2a6d6],
  [0xe0001, 0xe007f],
];

type Make = (rng: Rng) => string;

/** Ways to make a text; each is used equally often. */
const KINDS: Readonly<Record<string, Make>> = {
  prose: (rng) => joined(rng, 1, 25, () => pick(rng, WORDS), " "),
  sentences: (rng) =>
    joined(
      rng,
      1,
      6,
      () => `${joined(rng, 1, 9, () => pick(rng, WORDS), " ")}${pick(rng, [".", "?!", "…", ",", ";", "。"])}`,
      " ",
    ),
  code: (rng) => joined(rng, 1, 4, () => " ".repeat(rng.integer(9)) + pick(rng, CODE)),
  emoji: (rng) =>
    joined(rng, 1, 8, () => pick(rng, rng.integer(3) === 0 ? WORDS : EMOJI), pick(rng, ["", " "])),
  marks: (rng) => joined(rng, 1, 12, () => pick(rng, LETTERS) + joined(rng, 0, 4, () => pick(rng, MARKS))),
  scripts: (rng) => joined(rng, 1, 8, () => pick(rng, WORDS)),
  spaces: (rng) =>
    joined(
      rng,
      1,
      9,
      () => rng.integer(3) === 0 ? pick(rng, WORDS) : pick(rng, SPACES).repeat(1 + rng.integer(7)),
    ),
  digits: (rng) =>
    joined(rng, 1, 5, () => digits(rng, 1 + rng.integer(19)), pick(rng, [" ", ",", ".", "-", ""])),
  numerals: (rng) => joined(rng, 1, 10, () => pick(rng, [..."7²½Ⅷ٣९໒①㊿𝟘𒐀Ⅻ", "42", "x"])),
  controls: (rng) => joined(rng, 1, 12, () => rng.integer(2) === 0 ? pick(rng, WORDS) : control(rng)),
  special: (rng) =>
    joined(rng, 1, 9, () => pick(rng, rng.integer(2) === 0 ? SPECIAL : WORDS), pick(rng, ["", " ", "\n"])),
  invalid: (rng) => invalidUtf8(rng),
  characters: (rng) => joined(rng, 1, 20, () => character(rng)),
  long: (rng) =>
    pick(rng, [...LETTERS, ...EMOJI, ...SPACES, "ab", "://", "=-", "'s"]).repeat(40 + rng.integer(160)),
  latin: (rng) => joined(rng, 1, 150, () => String.fromCharCode(97 + rng.integer(26))),
  contractions: (rng) =>
    joined(
      rng,
      1,
      6,
      () =>
        `${pick(rng, WORDS)}${pick(rng, ["'", "’"])}${
          pick(rng, ["s", "S", "ſ", "t", "re", "VE", "Ll", "d", "m", "x"])
        }`,
      " ",
    ),
  edges: (rng) =>
    pick(rng, ["", " ", "\n", "\ufeff", "\0", "a", "▁"]) + pick(rng, [...WORDS, ...SPACES, ...SPECIAL]) +
    pick(rng, ["", " ", "  ", "\n", "\ufeff", "\0"]),
  mixed: (rng) => joined(rng, 2, 6, () => MIXED[rng.integer(MIXED.length)](rng)),
};

const MIXED = ["code", "emoji", "marks", "spaces", "digits", "special", "characters", "sentences"].map((
  kind,
) => KINDS[kind]);

/** The texts of a seed; the same texts on every machine. */
export function tokenizerCorpus(seed: number = CORPUS_SEED): string[] {
  const rng = createRng(seed);
  return Object.entries(KINDS).flatMap(([kind, make]) => {
    const own = rng.split(kind);
    return Array.from({ length: TEXTS_OF_A_KIND }, () => make(own));
  });
}

function pick<T>(rng: Rng, choices: readonly T[]): T {
  return choices[rng.integer(choices.length)];
}

/** From `least` to `most` parts, joined. */
function joined(rng: Rng, least: number, most: number, part: () => string, separator = ""): string {
  return Array.from({ length: least + rng.integer(most - least + 1) }, part).join(separator);
}

function digits(rng: Rng, count: number): string {
  return Array.from({ length: count }, () => rng.integer(10)).join("");
}

function control(rng: Rng): string {
  const code = pick(rng, [
    rng.integer(0x20),
    rng.integer(0x20),
    0x7f + rng.integer(0x21),
    0xfeff,
    0x2066,
    0xfffd,
    0xffff,
  ]);
  return String.fromCharCode(code);
}

/** What a reader makes of bytes of which some are not UTF-8: replacement characters. */
function invalidUtf8(rng: Rng): string {
  const bytes = new TextEncoder().encode(joined(rng, 1, 8, () => pick(rng, WORDS), " "));
  for (let hit = 0; hit <= rng.integer(6); hit++) bytes[rng.integer(bytes.length)] = 0x80 + rng.integer(0x80);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

function character(rng: Rng): string {
  const [first, last] = pick(rng, RANGES);
  return String.fromCodePoint(first + rng.integer(last - first + 1));
}
