import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { TransformerDescription } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { Checkpoint } from "../../model/checkpoint.ts";
import { tensorShapes, type Weights } from "../../model/layout.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { allTensors, loadWeights } from "../../model/weights.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { editTensors, type RawTensor, withFolder } from "./_files.ts";
import { GOLDEN_CASES, goldenPath, readDescription, withLimit } from "./_golden.ts";

/** Loads a recorded model after its tensors were changed, and frees it. */
async function load(
  gpu: Gpu,
  name: string,
  edit: (tensors: Map<string, RawTensor>) => void,
  work: (weights: Weights, path: string) => Promise<void> | void = () => {},
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/model.safetensors`;
    await Deno.copyFile(goldenPath(name, "model", "model.safetensors"), path);
    await editTensors(path, edit);
    using checkpoint = await Checkpoint.open(folder);
    const weights = await loadWeights(gpu, checkpoint, await readDescription(name));
    try {
      await work(weights, path);
    } finally {
      gpu.free(...allTensors(weights));
    }
  });
}

for (const name of GOLDEN_CASES) {
  gpuTest(
    `loadWeights() of ${name} puts matrices on the GPU as they lie in the file, norms as f32`,
    async (gpu) => {
      await load(gpu, name, () => {}, async ({ layers, finalNorm, embedding }, path) => {
        using file = await SafetensorsFile.open(path);
        const entry = (tensor: string) => file.tensors.get(tensor)!;
        for (
          const [matrix, stored] of [
            [embedding, "model.embed_tokens.weight"],
            [layers.at(-1)!.k, `model.layers.${layers.length - 1}.self_attn.k_proj.weight`],
            [layers[0].down!, "model.layers.0.mlp.down_proj.weight"],
          ] as const
        ) {
          const [{ tensor }, ...others] = matrix.parts;
          assertEquals(others, []);
          const [values] = await gpu.read(tensor);
          assertEquals(new Uint8Array(values.buffer), await file.bytes(entry(stored)));
          assertEquals(tensor.shape, entry(stored).shape);
        }
        assertEquals(await gpu.readF32(finalNorm), await file.values(entry("model.norm.weight")));
        const stored = "model.layers.0.post_attention_layernorm.weight";
        assertEquals(await gpu.readF32(layers[0].postNorm), await file.values(entry(stored)));
      });
    },
  );
}

gpuTest(
  "loadWeights() uses the embedding for the output where they are tied, and loads it once",
  async (gpu) => {
    await load(gpu, "gqa2-bf16", () => {}, (weights) => {
      assertEquals(weights.head, weights.embedding);
      assertEquals(allTensors(weights).length, 2 + 9 * weights.layers.length);
    });
    await load(gpu, "mha-f32", () => {}, (weights) => {
      assertEquals(weights.head.parts[0].tensor.label, "lm_head.weight");
      assertEquals(allTensors(weights).length, 3 + 9 * weights.layers.length);
    });
  },
);

gpuTest("loadWeights() reports every byte once", async (gpu) => {
  const name = "mha-f32";
  using checkpoint = await Checkpoint.open(goldenPath(name, "model"));
  const model = await readDescription(name);
  const total = [...tensorShapes(model).keys()].reduce(
    (sum, key) => sum + checkpoint.find(key).entry.bytes,
    0,
  );
  const updates: [number, number][] = [];
  const progress = { update: (done: number, of: number) => void updates.push([done, of]) };
  gpu.free(...allTensors(await loadWeights(gpu, checkpoint, model, { progress })));
  assertEquals(updates.at(-1), [total, total]);
  assertEquals(updates.map(([done]) => done), updates.map(([done]) => done).toSorted((a, b) => a - b));
});

for (const tensor of ["model.norm.weight", "model.layers.1.mlp.up_proj.weight"]) {
  gpuTest(
    `loadWeights() refuses ${tensor} of a type it cannot decode, naming tensor, type and file`,
    async (gpu) => {
      const edit = (tensors: Map<string, RawTensor>) => {
        const { shape } = tensors.get(tensor)!;
        const count = shape.reduce((product, extent) => product * extent, 1);
        tensors.set(tensor, { dtype: "I8", shape, bytes: new Uint8Array(count) });
      };
      const error = await assertRejects(() => load(gpu, "mha-f32", edit), UserError);
      assertEquals([error.kind, error.what], ["data", `Tensor "${tensor}" is of type I8`]);
      assertStringIncludes(error.where, "model.safetensors");
    },
  );
}

gpuTest("loadWeights() takes a checkpoint whose tensors are of different types", async (gpu) => {
  const name = "model.layers.0.self_attn.q_proj.weight";
  const edit = (tensors: Map<string, RawTensor>) => {
    const { bytes, shape } = tensors.get(name)!;
    const half = new Uint8Array(new Float16Array(new Float32Array(bytes.buffer)).buffer);
    tensors.set(name, { dtype: "F16", shape, bytes: half });
  };
  await load(gpu, "mha-f32", edit, ({ layers: [{ q, k }] }) => {
    assertEquals([q, k].map(({ parts }) => parts[0].tensor.dtype), ["f16", "f32"]);
  });
});

gpuTest(
  "loadWeights() splits a matrix one byte too large for the adapter, to the same values",
  async (gpu) => {
    const model = await readDescription("mha-f32");
    const path = goldenPath("mha-f32", "model");
    using checkpoint = await Checkpoint.open(path);
    using file = await SafetensorsFile.open(`${path}/model.safetensors`);
    // The largest tensors: the embedding and the output layer, [101, 32] f32.
    const bytes = 101 * 32 * 4;
    for (const [limit, rows] of [[bytes, [101]], [bytes - 1, [64, 37]]] as const) {
      const weights = await loadWeights(withLimit(gpu, limit), checkpoint, model);
      const { parts } = weights.head;
      assertEquals(parts.map(({ tensor }) => tensor.shape), rows.map((count) => [count, 32]));
      assertEquals(parts.map(({ first }) => first), rows.length === 1 ? [0] : [0, 64]);
      const values = await gpu.read(...parts.map(({ tensor }) => tensor));
      const stored = await file.values(file.tensors.get("lm_head.weight")!);
      assertEquals(values.flatMap((part) => [...part]), [...stored]);
      gpu.free(...allTensors(weights));
    }
  },
);

gpuTest(
  "loadWeights() refuses a matrix too wide to be split the adapter before it loads any",
  async (gpu) => {
    const name = "mha-f32";
    const model = await readDescription(name);
    const bytes = 32 * 88 * 4;
    using checkpoint = await Checkpoint.open(goldenPath(name, "model"));
    gpu.free(...allTensors(await loadWeights(withLimit(gpu, bytes), checkpoint, model)));

    const progress = {
      update: () => {
        throw new Error("something was loaded");
      },
    };
    const error = await assertRejects(
      () => loadWeights(withLimit(gpu, bytes - 1), checkpoint, model, { progress }),
      UserError,
    );
    assertEquals(error.kind, "adapter");
    assertEquals(
      error.what,
      `32 rows of tensor "model.layers.0.mlp.down_proj.weight" take ${bytes} bytes, but this adapter binds at most ${
        bytes - 1
      }`,
    );
    assertStringIncludes(error.fix, `at least ${bytes}`);
  },
);

const W1 = (expert: number) => `model.layers.0.block_sparse_moe.experts.${expert}.w1.weight`;

gpuTest("loadWeights() puts experts one below the other, also where a part ends within one", async (gpu) => {
  const name = "families/mixtral", model = await readDescription(name);
  const { count } = model.experts!, { feedForward, width } = model;
  using checkpoint = await Checkpoint.open(goldenPath(name, "model"));
  const names = Array.from({ length: count }, (_, expert) => W1(expert)).flatMap((
    w1,
  ) => [w1, w1.replace("w1", "w3")]);
  const stored: number[] = [];
  for (const each of names) {
    const { file, entry } = checkpoint.find(each);
    stored.push(...await file.values(entry));
  }
  // 64 rows of the widest matrix; of the experts' 48 rows each, a part holds one and a third.
  for (const limit of [Infinity, 64 * feedForward * 4]) {
    const weights = await loadWeights(withLimit(gpu, limit), checkpoint, model);
    const { rows, columns, parts } = weights.layers[0].experts!.gateUp;
    assertEquals([rows, columns], [2 * count * feedForward, width]);
    assertEquals(parts.length, limit === Infinity ? 1 : Math.ceil(rows / 64));
    const values = await gpu.read(...parts.map(({ tensor }) => tensor));
    assertEquals(values.flatMap((part) => [...part]), stored);
    gpu.free(...allTensors(weights));
  }
});

/** The same tensors as transformers 5 holds them: those of all experts one below the other, in one tensor. */
function fuseExperts(tensors: Map<string, RawTensor>, { layers, experts }: TransformerDescription): void {
  const { count } = experts!;
  const join = (target: string, names: readonly string[]) => {
    const stored = names.map((name) => tensors.get(name)!);
    const [{ dtype, shape: [rows, columns] }] = stored;
    names.forEach((name) => tensors.delete(name));
    const shape = [count, names.length / count * rows, columns];
    const bytes = new Uint8Array(stored.flatMap(({ bytes }) => [...bytes]));
    tensors.set(target, { dtype, shape, bytes });
  };
  for (let layer = 0; layer < layers; layer++) {
    const block = `model.layers.${layer}.block_sparse_moe`, mlp = `model.layers.${layer}.mlp`;
    const each = Array.from({ length: count }, (_, expert) => `${block}.experts.${expert}`);
    join(
      `${mlp}.experts.gate_up_proj`,
      each.flatMap((expert) => [`${expert}.w1.weight`, `${expert}.w3.weight`]),
    );
    join(`${mlp}.experts.down_proj`, each.map((expert) => `${expert}.w2.weight`));
    tensors.set(`${mlp}.gate.weight`, tensors.get(`${block}.gate.weight`)!);
    tensors.delete(`${block}.gate.weight`);
  }
}

gpuTest(
  "loadWeights() reads experts in one tensor for all to the same values as in one each",
  async (gpu) => {
    const name = "families/mixtral", model = await readDescription(name);
    const read = async (edit: (tensors: Map<string, RawTensor>) => void) => {
      const values: number[][] = [];
      await load(gpu, name, edit, async ({ layers }) => {
        for (const { experts } of layers) {
          const { router, gateUp, down } = experts!;
          const parts = [router, gateUp, down].flatMap(({ parts }) => parts.map(({ tensor }) => tensor));
          values.push(...(await gpu.read(...parts)).map((part) => [...part]));
        }
      });
      return values;
    };
    assertEquals(await read((tensors) => fuseExperts(tensors, model)), await read(() => {}));
  },
);

for (
  const [title, name, edit] of [
    [
      "lacks one of them",
      "model.layers.1.mlp.experts.down_proj",
      (tensors: Map<string, RawTensor>, name: string) => tensors.delete(name),
    ],
    [
      "has an expert of its own besides",
      W1(0),
      (tensors: Map<string, RawTensor>, name: string) => tensors.set(name, [...tensors.values()][0]),
    ],
  ] as const
) {
  gpuTest(
    `loadWeights() refuses a checkpoint of experts in one tensor that ${title}, by name`,
    async (gpu) => {
      const model = await readDescription("families/mixtral");
      const change = (tensors: Map<string, RawTensor>) => {
        fuseExperts(tensors, model);
        edit(tensors, name);
      };
      const error = await assertRejects(() => load(gpu, "families/mixtral", change), UserError);
      assertEquals(error.kind, "data");
      assertStringIncludes(error.what, `"${name}"`);
    },
  );
}

for (const [dtype, parts] of [["int8", 2], ["int4", 1]] as const) {
  gpuTest(
    `loadWeights() as ${dtype} gives the same codes and scales when the adapter binds little, in ${parts} parts`,
    async (gpu) => {
      const name = "families/mixtral", model = await readDescription(name);
      using checkpoint = await Checkpoint.open(goldenPath(name, "model"));
      const read = async (limit: number) => {
        const weights = await loadWeights(withLimit(gpu, limit), checkpoint, model, { dtype });
        const tensors = weights.layers[1].experts!.gateUp.parts.map(({ tensor }) => tensor);
        const codes = await gpu.read(...tensors),
          scales = await gpu.read(...tensors.map(({ scales }) => scales!));
        gpu.free(...allTensors(weights));
        return {
          parts: tensors.length,
          values: [codes, scales].map((parts) => parts.flatMap((part) => [...part])),
        };
      };
      const whole = await read(Infinity);
      assertEquals(whole.parts, 1);
      // 64 rows of the embedding, which stays in f32.
      assertEquals(await read(64 * model.width * 4), { ...whole, parts });
    },
  );
}

gpuTest(
  "loadWeights() refuses experts of different types before it loads any, naming both and the file",
  async (gpu) => {
    const edit = (tensors: Map<string, RawTensor>) => {
      const { bytes, shape } = tensors.get(W1(2))!;
      const half = new Uint8Array(new Float16Array(new Float32Array(bytes.buffer)).buffer);
      tensors.set(W1(2), { dtype: "F16", shape, bytes: half });
    };
    const error = await assertRejects(() => load(gpu, "families/mixtral", edit), UserError);
    assertEquals(error.what, `Tensor "${W1(2)}" is of type F16, but "${W1(0)}" of type F32`);
    assertEquals(error.kind, "data");
    assertStringIncludes(error.where, "model.safetensors");
  },
);

gpuTest("loadWeights() gives all memory back when a file ends too early", async (gpu) => {
  await withFolder(async (folder) => {
    gpu.trim();
    const before = gpu.bytes;
    const path = `${folder}/model.safetensors`;
    await Deno.copyFile(goldenPath("mha-f32", "model", "model.safetensors"), path);
    using checkpoint = await Checkpoint.open(folder);
    await Deno.truncate(path, (await Deno.stat(path)).size - 1);
    const model = await readDescription("mha-f32");
    const error = await assertRejects(() => loadWeights(gpu, checkpoint, model), UserError, "bytes early");
    assertEquals([error.kind, error.where], ["data", path]);
    assertEquals(gpu.bytes, before);
  });
});
