import { assert, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../../core/errors.ts";
import { createRng, type Rng } from "../../../core/rng.ts";
import { TorchFile, TorchTensor } from "../../../core/torch/torch_file.ts";
import { withFolder } from "../../model/_files.ts";
import { describe, expectedFiles, memorySource, tensorsOf, torchPath, zipOf } from "./_torch_files.ts";

for (const [name, expected] of Object.entries(expectedFiles)) {
  if (name === "torch") continue;
  Deno.test(`TorchFile reads ${name} as torch does`, async () => {
    using file = await TorchFile.open(torchPath(name));
    assertEquals(await describe(file), expected);
  });
}

Deno.test("TorchFile tells the shape, strides and offset of a view, and shares its storage", async () => {
  using file = await TorchFile.open(torchPath("views.pt"));
  assert(file.value instanceof Map);
  const base = file.value.get("base"), view = file.value.get("window");
  assert(base instanceof TorchTensor && view instanceof TorchTensor);
  assertEquals([view.shape, view.strides, view.offset], [[3, 2], [4, 1], 13]);
  assertEquals(view.storage, base.storage);
});

const REFUSED: readonly (readonly [name: string, what: string])[] = [
  ["os_system.pt", "it names posix.system, which is not among what a state dictionary needs"],
  ["eval.pt", "it names __builtin__.eval, which is not among what a state dictionary needs"],
  ["getattr.pt", "it names __builtin__.getattr, which is not among what a state dictionary needs"],
  ["set.pt", "it names __builtin__.set, which is not among what a state dictionary needs"],
  ["bytes.pt", "it names _codecs.encode, which is not among what a state dictionary needs"],
  ["whole_module.pt", "it names torch.nn.modules.linear.Linear, which is not among"],
  ["sparse.pt", "it names torch._utils._rebuild_sparse_tensor, which is not among"],
  ["complex.pt", "it names torch.ComplexFloatStorage, which is not among"],
  ["float8.pt", "it names torch._utils._rebuild_tensor_v3, which is not among"],
  ["expanded.pt", "a tensor of shape [1000] has more values than its storage"],
  ["large_number.pt", "it has a number of 11 bytes"],
  ["legacy.pt", "it has the format from before torch 1.6"],
  ["torchscript.pt", 'linear.py" is compressed, which torch.save never does'],
  ["compressed.pt", '" is compressed, which torch.save never does'],
  ["duplicate.pt", 'data.pkl" stands in its directory twice'],
  ["two_pickles.pt", "it has 2 records called data.pkl"],
  ["no_pickle.pt", "it has 0 records called data.pkl"],
  ["strange_byteorder.pt", 'its byteorder is "middle"'],
  ["missing_storage.pt", 'its storage "0" is missing'],
  ["short_storage.pt", 'its storage "0" has 2 bytes, but 1 values of float32 take 4'],
];

for (const [name, what] of REFUSED) {
  Deno.test(`TorchFile refuses ${name}, naming the file and why`, async () => {
    const error = await assertRejects(() => TorchFile.open(torchPath(name)), UserError, what);
    assertEquals([error.kind, error.where], ["data", torchPath(name)]);
  });
}

Deno.test("TorchFile says how to save a file anew that is in the format from before torch 1.6", async () => {
  const error = await assertRejects(() => TorchFile.open(torchPath("legacy.pt")), UserError);
  assert(error.fix.includes("torch.save(torch.load(path, weights_only=True), path)"), error.fix);
});

Deno.test("TorchFile refuses a whole number that a double does not hold", async () => {
  using file = await TorchFile.open(torchPath("beyond_double.pt"));
  const error = await assertRejects(() => describe(file), UserError, "beyond 2⁵³");
  assertEquals(error.where, torchPath("beyond_double.pt"));
});

for (
  const [title, text, what] of [
    ["nothing", "", "it has 0 bytes"],
    ["a bare pickle", "\x80\x02}.", "it is a bare pickle"],
    ["a pointer to Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"],
    ["a web page", `<!DOCTYPE html>${" ".repeat(40)}`, "does not end with a zip directory"],
  ]
) {
  Deno.test(`TorchFile refuses ${title}, saying what it is`, async () => {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    await assertRejects(() => TorchFile.read("x.bin", memorySource(bytes)), UserError, what);
  });
}

Deno.test("TorchFile refuses a folder, and a path where nothing is", async () => {
  await withFolder(async (folder) => {
    await assertRejects(() => TorchFile.open(folder), UserError, "is a folder");
    await assertRejects(() => TorchFile.open(`${folder}/none.bin`), UserError, "Cannot open");
  });
});

/** A file whose pickle is `text`, with a storage "0" of 4 values. */
function fileOf(text: string): Promise<TorchFile> {
  const pickle = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const source = memorySource(zipOf([["a/data.pkl", pickle], ["a/data/0", new Uint8Array(16)]]));
  return TorchFile.read("x.bin", source);
}

const word = (text: string) => `X${String.fromCharCode(text.length)}\0\0\0${text}`;
const storage = (kind: string, key: string, count: string) =>
  `(${word("storage")}c${kind}\n${word(key)}${word("cpu")}${count}tQ`;
const whole = storage("torch\nFloatStorage", "0", "K\x04");
/** A tensor of the arguments in front of what nobody reads. */
const rebuilt = (args: string) =>
  `\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(${args}\x89ccollections\nOrderedDict\n)RtR.`;

Deno.test("TorchFile reads a tensor that reaches to the last value of its storage", async () => {
  using file = await fileOf(rebuilt(`${whole}K\x01K\x02K\x02\x86K\x01K\x01\x86`));
  assert(file.value instanceof TorchTensor);
  assertEquals([...await file.values(file.value)], [0, 0, 0, 0]);
});

for (
  const [title, text, what] of [
    ["one value beyond its storage", rebuilt(`${whole}K\x02K\x02K\x02\x86K\x01K\x01\x86`), "reaches beyond"],
    [
      "an offset below 0",
      rebuilt(`${whole}J\xff\xff\xff\xff(K\x01tK\x01\x85`),
      "without a valid storage, offset",
    ],
    [
      "a stride below 0",
      rebuilt(`${whole}K\x03K\x02\x85J\xff\xff\xff\xff\x85`),
      "without a valid storage, offset",
    ],
    [
      "a shape of another length than its strides",
      rebuilt(`${whole}K\0K\x02\x85))`),
      "without a valid storage",
    ],
    [
      "a size that overflows",
      rebuilt(`${whole}K\0J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86K\0K\0\x86`),
      "more values",
    ],
    [
      "a storage of another size",
      rebuilt(`${storage("torch\nFloatStorage", "0", "K\x05")}K\0))`),
      "has 16 bytes, but 5",
    ],
    [
      "a storage that is not there",
      rebuilt(`${storage("torch\nFloatStorage", "../0", "K\x04")}K\0))`),
      "is missing",
    ],
    [
      "a storage of no storage's kind",
      rebuilt(`${storage("torch\nSize", "0", "K\x04")}K\0))`),
      "that is no storage",
    ],
    ["text for a storage", rebuilt(`${word("0")}K\0))`), "without a valid storage"],
    ["an outside value that is no storage", `\x80\x02${word("module")}Q.`, "that is no storage"],
    ["a call of a storage", `\x80\x02ctorch\nFloatStorage\n)R.`, "calls torch.FloatStorage with what"],
    [
      "a dictionary made of a list",
      `\x80\x02ccollections\nOrderedDict\n]\x85R.`,
      "calls collections.OrderedDict",
    ],
  ]
) {
  Deno.test(`TorchFile refuses ${title}`, async () => {
    await assertRejects(() => fileOf(text), UserError, what);
  });
}

const MUTATIONS = 20_000;

Deno.test(`TorchFile gives an error of its own, or values, for each of ${MUTATIONS} damaged files`, async () => {
  const rng = createRng(9);
  const names = ["dtypes.pt", "views.pt", "nested.pt", "module.pt", "protocol4.pt", "temperature_model.pt"];
  const files = await Promise.all(names.map((name) => Deno.readFile(torchPath(name))));
  const outcomes = { read: 0, refused: 0 };
  for (let count = 0; count < MUTATIONS; count++) {
    const bytes = mutated(files[count % files.length], rng);
    try {
      const file = await TorchFile.read("x.bin", memorySource(bytes));
      for (const tensor of tensorsOf(file.value)) await file.values(tensor);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof UserError) || error.kind !== "data" || error.where !== "x.bin") throw error;
      outcomes.refused++;
    }
  }
  assert(outcomes.read > MUTATIONS / 100 && outcomes.refused > MUTATIONS / 10, JSON.stringify(outcomes));
});

/** A file with some of its bytes changed, doubled, moved or lost; most often in its pickle or its directory. */
function mutated(file: Uint8Array<ArrayBuffer>, rng: Rng): Uint8Array<ArrayBuffer> {
  const bytes = file.slice();
  const times = 1 + rng.integer(3);
  for (let time = 0; time < times; time++) {
    // The pickle comes first, the directory last.
    const region = rng.integer(3);
    const first = region === 2 ? Math.max(0, bytes.length - 700) : 0;
    const at = first + rng.integer((region === 0 ? Math.min(700, bytes.length) : bytes.length - first) - 1);
    switch (rng.integer(6)) {
      case 0:
        bytes[at] ^= 1 << rng.integer(7);
        break;
      case 1:
        bytes[at] = rng.integer(255);
        break;
      case 2:
        bytes.copyWithin(at, rng.integer(bytes.length - 1), Math.min(bytes.length, at + rng.integer(40)));
        break;
      case 3:
        bytes.fill([0, 0xff, 0x80, 0x2e][rng.integer(3)], at, at + 1 + rng.integer(8));
        break;
      case 4:
        return bytes.slice(0, at);
      case 5: {
        const longer = new Uint8Array(bytes.length + 1);
        longer.set(bytes.subarray(0, at));
        longer[at] = rng.integer(255);
        longer.set(bytes.subarray(at), at + 1);
        return longer;
      }
    }
  }
  return bytes;
}
