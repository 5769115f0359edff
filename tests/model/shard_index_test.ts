import { assert, assertEquals, assertRejects } from "@std/assert";
import { createRng } from "../../core/rng.ts";
import { UserError } from "../../core/errors.ts";
import { Checkpoint } from "../../model/checkpoint.ts";
import { readShardIndex } from "../../model/shard_index.ts";
import { editIndex, editTensors, type Index, type RawTensor, shard, withFolder, writeRaw } from "./_files.ts";

const INDEX = "model.safetensors.index.json";

/** Tensors `t0` to `t6` of eight bytes each; {@linkcode shard} puts the first five into `one.safetensors`. */
const tensor = (byte: number): RawTensor => ({
  dtype: "F16",
  shape: [4],
  bytes: new Uint8Array(8).fill(byte),
});

/** Runs with a sound checkpoint in two files. */
async function withShards(work: (folder: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const tensors = Array.from({ length: 7 }, (_, index) => [`t${index}`, tensor(index)] as const);
    await writeRaw(`${folder}/model.safetensors`, new Map(tensors));
    await shard(folder);
    await work(folder);
  });
}

/** Opens a folder's checkpoint and closes it. */
async function open(folder: string): Promise<void> {
  using _ = await Checkpoint.open(folder);
}

async function assertRefused(folder: string, what: string, file: string): Promise<UserError> {
  const error = await assertRejects(() => open(folder), UserError);
  assertEquals([error.kind, error.what, error.where], ["data", what, `${folder}/${file}`]);
  return error;
}

Deno.test("Checkpoint.open() finds each tensor in the file that the index names for it", async () => {
  await withShards(async (folder) => {
    using checkpoint = await Checkpoint.open(folder);
    const files = ["t0", "t4", "t5", "t6"].map((name) => checkpoint.find(name).file.path);
    assertEquals(files, ["one", "one", "two", "two"].map((name) => `${folder}/${name}.safetensors`));
  });
});

Deno.test("Checkpoint.open() takes an index that gives no size, or nothing but the map", async () => {
  await withShards(async (folder) => {
    await editIndex(folder, (index) => delete index.metadata!.total_size);
    await open(folder);
    await editIndex(folder, (index) => delete index.metadata);
    await open(folder);
  });
});

Deno.test("Checkpoint.open() refuses a tensor that is missing from the file the index names, naming the file", async () => {
  await withShards(async (folder) => {
    await editTensors(`${folder}/two.safetensors`, (tensors) => tensors.delete("t6"));
    const what = 'The index says that two.safetensors holds "t6", but it is missing there';
    await assertRefused(folder, what, "two.safetensors");
  });
});

Deno.test("Checkpoint.open() refuses a tensor in another file than the index says, naming both", async () => {
  await withShards(async (folder) => {
    await editIndex(folder, (index) => index.weight_map.t0 = "two.safetensors");
    const what = 'The index says that two.safetensors holds "t0", but it is in one.safetensors';
    await assertRefused(folder, what, "two.safetensors");
  });
});

Deno.test("Checkpoint.open() refuses a tensor that the index does not know, naming the file", async () => {
  await withShards(async (folder) => {
    await editTensors(`${folder}/one.safetensors`, (tensors) => tensors.set("t7", tensor(7)));
    const what = 'one.safetensors holds "t7", which the index does not know';
    await assertRefused(folder, what, "one.safetensors");
  });
});

Deno.test("Checkpoint.open() takes the frequencies of old exporters whether or not the index knows them", async () => {
  await withShards(async (folder) => {
    const name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    await editTensors(`${folder}/one.safetensors`, (tensors) => tensors.set(name, tensor(7)));
    await open(folder);
    await editIndex(folder, (index) => {
      index.weight_map[name] = "one.safetensors";
      index.metadata!.total_size = 64;
    });
    await open(folder);
  });
});

Deno.test("Checkpoint.open() refuses a tensor that two files hold, naming both", async () => {
  await withShards(async (folder) => {
    await editTensors(`${folder}/one.safetensors`, (tensors) => tensors.set("t5", tensor(5)));
    const what = 'one.safetensors holds "t5", which belongs in two.safetensors';
    await assertRefused(folder, what, "one.safetensors");
  });
});

Deno.test("Checkpoint.open() refuses shards of two revisions: one of another type than the index counted", async () => {
  await withShards(async (folder) => {
    const f32 = { dtype: "F32", shape: [4], bytes: new Uint8Array(16) };
    await editTensors(`${folder}/two.safetensors`, (tensors) => tensors.set("t5", f32).set("t6", f32));
    const what = "The index says that all tensors take 56 bytes, but those in its files take 72";
    const { fix } = await assertRefused(folder, what, INDEX);
    assert(fix.endsWith("set metadata.total_size to 72"), fix);
  });
});

Deno.test("Checkpoint.open() refuses a size that is one byte off, and none that is not", async () => {
  await withShards(async (folder) => {
    for (const size of [55, 57]) {
      await editIndex(folder, (index) => index.metadata!.total_size = size);
      const what = `The index says that all tensors take ${size} bytes, but those in its files take 56`;
      await assertRefused(folder, what, INDEX);
    }
    await editIndex(folder, (index) => index.metadata!.total_size = 56);
    await open(folder);
  });
});

for (const size of ["56", -1, 0.5, null, 2 ** 53]) {
  Deno.test(`Checkpoint.open() refuses ${JSON.stringify(size)} as the size of all tensors`, async () => {
    await withShards(async (folder) => {
      await editIndex(folder, (index) => index.metadata!.total_size = size);
      const what = `The index gives ${JSON.stringify(size)} for total_size, which is no number of bytes`;
      await assertRefused(folder, what, INDEX);
    });
  });
}

Deno.test("Checkpoint.open() names a file that the index names and that does not exist", async () => {
  await withShards(async (folder) => {
    await editIndex(folder, (index) => index.weight_map.t0 = "three.safetensors");
    const error = await assertRejects(() => open(folder), UserError);
    assertEquals([error.kind, error.where], ["data", `${folder}/three.safetensors`]);
  });
});

for (
  const name of [
    "../one.safetensors",
    "..",
    "/etc/one.safetensors",
    "sub/one.safetensors",
    "..\\one.safetensors",
    "C:one.safetensors",
    "one.safetensors\0",
    "pytorch_model.bin",
    ".safetensors/../../one.safetensors",
    "",
    1,
    null,
    ["one.safetensors"],
  ]
) {
  Deno.test(`Checkpoint.open() reads no file for an index that names ${JSON.stringify(name)}`, async () => {
    await withShards(async (folder) => {
      // Were one of the names followed, there would be a sound file at its end.
      const inner = `${folder}/inner`;
      await Deno.mkdir(`${inner}/sub`, { recursive: true });
      await Deno.copyFile(`${folder}/${INDEX}`, `${inner}/${INDEX}`);
      await Deno.copyFile(`${folder}/one.safetensors`, `${inner}/sub/one.safetensors`);
      await Deno.rename(`${folder}/two.safetensors`, `${inner}/two.safetensors`);
      await editIndex(inner, ({ weight_map: map }) => {
        for (const tensor of ["t0", "t1", "t2", "t3", "t4"]) map[tensor] = name as string;
      });
      const what = `The index names the file ${JSON.stringify(name)}, which is none of its own folder`;
      await assertRefused(folder + "/inner", what, INDEX);
    });
  });
}

for (
  const [title, index, message] of [
    ["an empty map", { weight_map: {} }, "names no files"],
    ["a list for a map", { weight_map: ["one.safetensors"] }, "names no files"],
    ["no map", { metadata: { total_size: 56 } }, "names no files"],
    ["a list for itself", [], "not a JSON object"],
    ["null for itself", null, "not a JSON object"],
  ] as const
) {
  Deno.test(`readShardIndex() refuses an index with ${title}`, async () => {
    await withFolder(async (folder) => {
      const path = `${folder}/${INDEX}`;
      await Deno.writeTextFile(path, JSON.stringify(index));
      const error = await assertRejects(() => readShardIndex(path), UserError, message);
      assertEquals([error.kind, error.where], ["data", path]);
    });
  });
}

Deno.test("Checkpoint.open() meets 500 damaged indices with a UserError, or finds every tensor they name", async () => {
  await withShards(async (folder) => {
    const path = `${folder}/${INDEX}`;
    const sound = await Deno.readTextFile(path), rng = createRng(1);
    for (let trial = 0; trial < 500; trial++) {
      const characters = [...sound];
      const at = rng.integer(characters.length);
      if (trial % 2 === 0) characters[at] = String.fromCharCode(32 + rng.integer(95));
      else characters.splice(at, 1 + rng.integer(20));
      await Deno.writeTextFile(path, characters.join(""));
      try {
        using checkpoint = await Checkpoint.open(folder);
        const { weight_map: map } = JSON.parse(characters.join("")) as Index;
        for (const name of Object.keys(map)) checkpoint.find(name);
      } catch (error) {
        assert(error instanceof UserError && error.kind === "data", `${characters.join("")}: ${error}`);
      }
    }
  });
});
