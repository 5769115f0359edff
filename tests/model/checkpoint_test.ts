import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { TransformerDescription } from "../../core/types.ts";
import { Checkpoint, tensorShapes } from "../../model/checkpoint.ts";
import { editTensors, type RawTensor, readRaw, withFolder, writeRaw } from "./_files.ts";

const SHAPE: TransformerDescription = {
  layers: 2,
  width: 8,
  heads: 2,
  kvHeads: 1,
  headDim: 4,
  feedForward: 16,
  vocabulary: 10,
  contextLength: 32,
  normEpsilon: 1e-5,
  ropeTheta: 10000,
  tiedEmbeddings: false,
};

const TIED = { ...SHAPE, tiedEmbeddings: true };

const SECOND_Q = "model.layers.1.self_attn.q_proj.weight";

/** A tensor of this shape, its bytes all the same. */
function tensor(shape: readonly number[], byte = 1, dtype = "F16"): RawTensor {
  const count = shape.reduce((product, extent) => product * extent, dtype === "F32" ? 4 : 2);
  return { dtype, shape, bytes: new Uint8Array(count).fill(byte) };
}

/** Runs with a folder that holds a sound checkpoint, its tensors changed by `edit`. */
async function withCheckpoint(
  model: TransformerDescription,
  edit: (tensors: Map<string, RawTensor>) => void,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/model.safetensors`;
    const shapes = tensorShapes(model);
    await writeRaw(path, new Map([...shapes].map(([name, shape]) => [name, tensor(shape)])));
    await editTensors(path, edit);
    await work(folder);
  });
}

/** Opens the checkpoint of a folder and checks it against a model. */
async function check(folder: string, model: TransformerDescription): Promise<void> {
  using checkpoint = await Checkpoint.open(folder);
  await checkpoint.check(model);
}

async function assertRefused(
  folder: string,
  model: TransformerDescription,
  what: string,
  where: string,
): Promise<void> {
  const error = await assertRejects(() => check(folder, model), UserError);
  assertEquals([error.kind, error.what, error.where], ["data", what, where]);
}

for (const [title, model] of [["own", SHAPE], ["tied", TIED]] as const) {
  Deno.test(`Checkpoint.check() accepts a sound checkpoint with ${title} output weights`, async () => {
    await withCheckpoint(model, () => {}, (folder) => check(folder, model));
  });
}

Deno.test("Checkpoint.check() names each tensor of a model that is missing, and the file", async () => {
  for (const name of tensorShapes(SHAPE).keys()) {
    await withCheckpoint(SHAPE, (tensors) => tensors.delete(name), async (folder) => {
      await assertRefused(folder, SHAPE, `Tensor "${name}" is missing`, `${folder}/model.safetensors`);
    });
  }
});

Deno.test("Checkpoint.check() names a tensor that the model has no place for, and the file", async () => {
  for (
    const name of ["model.layers.2.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.bias", "score"]
  ) {
    await withCheckpoint(SHAPE, (tensors) => tensors.set(name, tensor([8])), async (folder) => {
      const what = `Tensor "${name}" has no place in this model`;
      await assertRefused(folder, SHAPE, what, `${folder}/model.safetensors`);
    });
  }
});

Deno.test("Checkpoint.check() names a tensor of another shape, both shapes, and the file", async () => {
  for (const shape of [[8, 7], [8, 8, 1], [64], []]) {
    await withCheckpoint(SHAPE, (tensors) => tensors.set(SECOND_Q, tensor(shape)), async (folder) => {
      const what = `Tensor "${SECOND_Q}" has shape [${shape.join(", ")}], but config.json needs [8, 8]`;
      await assertRefused(folder, SHAPE, what, `${folder}/model.safetensors`);
    });
  }
});

Deno.test("Checkpoint.check() accepts the frequencies that old exporters wrote, under that name only", async () => {
  const name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  await withCheckpoint(
    SHAPE,
    (tensors) => tensors.set(name, tensor([2], 1, "F32")),
    (folder) => check(folder, SHAPE),
  );
  await withCheckpoint(SHAPE, (tensors) => tensors.set(`${name}_2`, tensor([2])), async (folder) => {
    const what = `Tensor "${name}_2" has no place in this model`;
    await assertRefused(folder, SHAPE, what, `${folder}/model.safetensors`);
  });
});

Deno.test("Checkpoint.check() accepts output weights beside tied ones if they are the embedding", async () => {
  await withCheckpoint(
    TIED,
    (tensors) => tensors.set("lm_head.weight", tensor([10, 8])),
    (folder) => check(folder, TIED),
  );
});

Deno.test("Checkpoint.check() refuses output weights beside tied ones if they are not the embedding", async () => {
  const different = tensor([10, 8]);
  different.bytes[159] ^= 1;
  for (const head of [different, tensor([10, 8], 1, "BF16"), tensor([8, 10]), tensor([10, 7])]) {
    await withCheckpoint(TIED, (tensors) => tensors.set("lm_head.weight", head), async (folder) => {
      const what = 'Tensor "lm_head.weight" is not the embedding, but config.json ties the two';
      await assertRefused(folder, TIED, what, `${folder}/model.safetensors`);
    });
  }
});

Deno.test("Checkpoint.open() refuses a truncated file, naming it", async () => {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    const path = `${folder}/model.safetensors`;
    await Deno.truncate(path, (await Deno.stat(path)).size - 1);
    const error = await assertRejects(() => Checkpoint.open(folder), UserError, "its tensors end at");
    assertEquals([error.kind, error.where], ["data", path]);
  });
});

Deno.test("Checkpoint.open() refuses a folder without weights, naming it", async () => {
  await withFolder(async (folder) => {
    const error = await assertRejects(() => Checkpoint.open(folder), UserError, "No model.safetensors");
    assertEquals([error.kind, error.where], ["data", folder]);
  });
});

/** Splits a folder's checkpoint in two files with an index. */
async function shard(folder: string, index: (names: readonly string[]) => unknown): Promise<void> {
  const all = [...await readRaw(`${folder}/model.safetensors`)];
  await Deno.remove(`${folder}/model.safetensors`);
  await writeRaw(`${folder}/one.safetensors`, new Map(all.slice(0, 5)));
  await writeRaw(`${folder}/two.safetensors`, new Map(all.slice(5)));
  await Deno.writeTextFile(
    `${folder}/model.safetensors.index.json`,
    JSON.stringify(index(all.map(([name]) => name))),
  );
}

/** The index that belongs to {@linkcode shard}. */
function soundIndex(names: readonly string[]) {
  const map = names.map((name, index) => [name, index < 5 ? "one.safetensors" : "two.safetensors"]);
  return { weight_map: Object.fromEntries(map) };
}

Deno.test("Checkpoint.open() finds tensors in all files that the index names", async () => {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    await shard(folder, soundIndex);
    using checkpoint = await Checkpoint.open(folder);
    await checkpoint.check(SHAPE);
    const { file } = checkpoint.find(SECOND_Q);
    assertEquals(file.path, `${folder}/two.safetensors`);
  });
});

Deno.test("Checkpoint.open() refuses a shard without a tensor that the index says it has, naming both", async () => {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    await shard(folder, soundIndex);
    await editTensors(`${folder}/two.safetensors`, (tensors) => tensors.delete(SECOND_Q));
    const error = await assertRejects(() => Checkpoint.open(folder), UserError);
    assertEquals(
      error.what,
      `The index says that two.safetensors has the tensor "${SECOND_Q}", but it has not`,
    );
    assertEquals([error.kind, error.where], ["data", `${folder}/model.safetensors.index.json`]);
  });
});

Deno.test("Checkpoint.check() names the folder when no file of an index has a tensor that a model needs", async () => {
  await withCheckpoint(SHAPE, (tensors) => tensors.delete(SECOND_Q), async (folder) => {
    await shard(folder, soundIndex);
    await assertRefused(folder, SHAPE, `Tensor "${SECOND_Q}" is missing`, folder);
  });
});

Deno.test("Checkpoint.open() refuses shards whose tensors are not as many bytes as the index counts", async () => {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    const all = [...(await readRaw(`${folder}/model.safetensors`)).values()];
    const bytes = all.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const index = (total_size: number) => (names: readonly string[]) => ({
      metadata: { total_size },
      ...soundIndex(names),
    });
    await shard(folder, index(bytes));
    (await Checkpoint.open(folder))[Symbol.dispose]();
    const path = `${folder}/model.safetensors.index.json`;
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace(String(bytes), String(bytes + 1)));
    const error = await assertRejects(() => Checkpoint.open(folder), UserError);
    assertEquals(error.what, `The index counts ${bytes + 1} bytes of tensors, but the files hold ${bytes}`);
    assertEquals([error.kind, error.where], ["data", path]);
  });
});

Deno.test("Checkpoint.open() refuses a tensor that a second shard has too, naming both", async () => {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    await shard(folder, soundIndex);
    await editTensors(`${folder}/one.safetensors`, (tensors) => tensors.set(SECOND_Q, tensor([8, 8])));
    const error = await assertRejects(() => Checkpoint.open(folder), UserError);
    assertEquals(error.what, `Tensor "${SECOND_Q}" is in one.safetensors, but not by the index`);
    assertEquals([error.kind, error.where], ["data", `${folder}/one.safetensors`]);
  });
});

Deno.test("Checkpoint.open() names a file that the index names and that does not exist", async () => {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    await shard(folder, () => ({ weight_map: { a: "one.safetensors", b: "three.safetensors" } }));
    const error = await assertRejects(() => Checkpoint.open(folder), UserError);
    assertEquals([error.kind, error.where], ["data", `${folder}/three.safetensors`]);
  });
});

for (
  const [title, index, message] of [
    ["a file of another folder", { weight_map: { a: "../one.safetensors" } }, "../one.safetensors"],
    ["a file of another format", { weight_map: { a: "pytorch_model.bin" } }, "pytorch_model.bin"],
    ["a number for a file", { weight_map: { a: 1 } }, "names the file 1"],
    ["no files", { weight_map: {} }, "names no files"],
    ["no map", {}, "names no files"],
    ["nothing at all", null, "not a JSON object"],
  ] as const
) {
  Deno.test(`Checkpoint.open() refuses an index that names ${title}`, async () => {
    await withCheckpoint(SHAPE, () => {}, async (folder) => {
      await shard(folder, () => index);
      const error = await assertRejects(() => Checkpoint.open(folder), UserError, message);
      assertEquals([error.kind, error.where], ["data", `${folder}/model.safetensors.index.json`]);
    });
  });
}
