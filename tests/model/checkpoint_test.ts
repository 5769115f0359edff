import { assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { TransformerDescription } from "../../core/types.ts";
import { Checkpoint } from "../../model/checkpoint.ts";
import { tensorShapes } from "../../model/layout.ts";
import { editIndex, editTensors, type RawTensor, shard, withFolder, writeRaw } from "./_files.ts";

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

Deno.test("Checkpoint.open() takes model.safetensors where there is an index too, as transformers does", async () => {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, "of an older upload");
    using checkpoint = await Checkpoint.open(folder);
    assertEquals(checkpoint.find(SECOND_Q).file.path, `${folder}/model.safetensors`);
  });
});

Deno.test("Checkpoint.check() names the index when it knows too few tensors for the model", async () => {
  await withShards(async (folder) => {
    await editTensors(`${folder}/two.safetensors`, (tensors) => tensors.delete(SECOND_Q));
    await editIndex(folder, (index) => {
      delete index.weight_map[SECOND_Q];
      delete index.metadata;
    });
    const where = `${folder}/model.safetensors.index.json`;
    await assertRefused(folder, SHAPE, `Tensor "${SECOND_Q}" is missing`, where);
  });
});

/** Runs with a sound checkpoint in two files with an index. */
async function withShards(work: (folder: string) => Promise<void>): Promise<void> {
  await withCheckpoint(SHAPE, () => {}, async (folder) => {
    await shard(folder);
    await work(folder);
  });
}
