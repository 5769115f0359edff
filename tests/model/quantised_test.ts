import { assert, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { Checkpoint } from "../../model/checkpoint.ts";
import { openLanguageModel } from "../../model/language_model.ts";
import { Llama } from "../../model/llama.ts";
import { loadAdapter } from "../../model/peft.ts";
import { LoraTrainer } from "../../model/trainer.ts";
import { allTensors, loadWeights, type WeightType } from "../../model/weights.ts";
import { llama } from "../../plugins/models/llama.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { dequantiseInt4, dequantiseInt8, quantiseInt4, quantiseInt8 } from "../reference/quantise.ts";
import { editTensors, withFolder } from "./_files.ts";
import { FAMILY_CASES, goldenPath, readDescription, readGolden, withLimit } from "./_golden.ts";
import { allLogits, logProbability } from "./_logits.ts";

const FACTS = new URL("../../assets/facts", import.meta.url).pathname;

/** Runs with a recorded model whose blocks are in a type, from another folder if one is given. */
async function withType<T>(
  gpu: Gpu,
  name: string,
  dtype: WeightType,
  work: (model: Llama) => Promise<T>,
  folder = goldenPath(name, "model"),
): Promise<T> {
  const description = await readDescription(name);
  using checkpoint = await Checkpoint.open(folder);
  const weights = await loadWeights(gpu, checkpoint, description, { dtype });
  const model = new Llama(gpu, description, weights);
  try {
    return await work(model);
  } finally {
    model.free();
    gpu.free(...allTensors(weights));
  }
}

/** Logits behind every token of some sequences. */
async function logitsOf(model: Llama, sequences: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (const tokens of sequences) rows.push(...await allLogits(model, tokens));
  return rows;
}

/** Mean KL of the model as stored to the quantised one, over all positions of the recorded sequences, in nats. */
async function meanKl(gpu: Gpu, name: string, dtype: WeightType): Promise<number> {
  const sequences = (await readGolden(name)).sequences.map(({ tokens }) => tokens);
  const rows = (dtype: WeightType) => withType(gpu, name, dtype, (model) => logitsOf(model, sequences));
  return klBetween(await rows("auto"), await rows(dtype));
}

function klBetween(stored: readonly Float32Array[], quantised: readonly Float32Array[]): number {
  const total = stored.reduce((sum, row, index) => {
    const p = logProbabilities(row), q = logProbabilities(quantised[index]);
    return sum + p.reduce((kl, log, token) => kl + Math.exp(log) * (log - q[token]), 0);
  }, 0);
  return total / stored.length;
}

function logProbabilities(logits: Float32Array): Float64Array {
  const first = logProbability(logits, 0);
  return Float64Array.from(logits, (logit) => first + logit - logits[0]);
}

/**
 * Weights here are random and larger than trained ones, so that errors grow from layer to layer; and where experts are
 * chosen, a small error can choose another.
 */
function boundOf(name: string, dtype: "int8" | "int4"): number {
  if (name.includes("mixtral")) return { int8: 0.1, int4: 2.5 }[dtype];
  return { int8: 0.01, int4: 1.5 }[dtype];
}

for (const name of FAMILY_CASES) {
  for (const dtype of ["int8", "int4"] as const) {
    const bound = boundOf(name, dtype);
    gpuTest(
      `${name}: blocks in ${dtype} stay within ${bound} nats of the model as stored`,
      async (gpu) => {
        const kl = await meanKl(gpu, name, dtype);
        assert(kl > 0 && kl < bound, `mean KL ${kl}`);
      },
    );
  }
}

for (const [dtype, bound] of [["int8", 1e-4], ["int4", 0.01]] as const) {
  gpuTest(
    `The embedded model, which is trained, in ${dtype} stays within ${bound} nats of itself`,
    async (gpu) => {
      const questions = (await Deno.readTextFile(`${FACTS}/questions/test.jsonl`)).split("\n", 16).map((
        line,
      ) =>
        JSON.parse(line) as { readonly question: string; readonly choices: string[]; readonly answer: number }
      );
      const rows = async (dtype: WeightType) => {
        const model = await openLanguageModel(gpu, `${FACTS}/model`, [llama], { dtype });
        const texts = questions.map(({ question, choices, answer }) =>
          `Question: ${question}\nAnswer: ${choices[answer]}`
        );
        const logits = await logitsOf(model.transformer, texts.map((text) => model.tokenizer.encode(text)));
        model.close();
        return logits;
      };
      const kl = klBetween(await rows("auto"), await rows(dtype));
      assert(kl > 0 && kl < bound, `mean KL ${kl}`);
    },
  );
}

/** How the reference quantises a matrix, and what its codes stand for. */
const REFERENCE = {
  int8: (values: Float32Array, depth: number) => {
    const { codes, scales } = quantiseInt8(values, depth);
    return dequantiseInt8(codes, scales, depth);
  },
  int4: (values: Float32Array, depth: number) => {
    const { codes, scales } = quantiseInt4(values, depth);
    return dequantiseInt4(codes, scales, depth);
  },
} as const;

for (const dtype of ["int8", "int4"] as const) {
  gpuTest(`LoRA gradients over ${dtype} are those over the weights that its codes stand for`, async (gpu) => {
    const name = "families/llama-biases";
    const { training: { jsd: { examples, optimizer } } } = await readGolden(name);
    const gradientOf = async (model: Llama) => {
      const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const trainer = new LoraTrainer(model, adapter, optimizer, 1);
      await trainer.train([examples], 0);
      const gradient = await trainer.gradient();
      trainer.free();
      adapter.free();
      return gradient;
    };
    const got = await withType(gpu, name, dtype, gradientOf);
    await withFolder(async (folder) => {
      await Deno.copyFile(goldenPath(name, "model", "model.safetensors"), `${folder}/model.safetensors`);
      await editTensors(`${folder}/model.safetensors`, (tensors) => {
        for (const [tensor, { bytes, shape, ...rest }] of tensors) {
          if (!tensor.endsWith("_proj.weight")) continue;
          const values = REFERENCE[dtype](new Float32Array(bytes.buffer), shape[1]);
          tensors.set(tensor, { ...rest, shape, bytes: new Uint8Array(Float32Array.from(values).buffer) });
        }
      });
      const expected = await withType(gpu, name, "auto", gradientOf, folder);
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      assertClose(got, expected, { absolute: 1e-4 * largest, relative: 1e-3 });
    });
  });

  gpuTest(
    `loadWeights() in ${dtype} quantises the blocks' matrices and nothing else, also in parts`,
    async (gpu) => {
      const name = "families/qwen2-window", description = await readDescription(name);
      using checkpoint = await Checkpoint.open(goldenPath(name, "model"));
      const whole = await loadWeights(gpu, checkpoint, description, { dtype });
      // Fewer bytes than the output layer takes as it is stored, and 64 rows of it.
      const parts = await loadWeights(withLimit(gpu, 64 * 64 * 2), checkpoint, description, { dtype });
      const { embedding, layers: [{ q, down, inputNorm, biases }] } = whole;
      assertEquals([q, down!].map(({ parts: [{ tensor }] }) => tensor.dtype), [dtype, dtype]);
      assertEquals([embedding.parts[0].tensor.dtype, inputNorm.dtype, biases.q_proj!.dtype], [
        "f16",
        "f32",
        "f32",
      ]);
      assertEquals([whole.embedding.parts.length, parts.embedding.parts.length], [1, 2]);
      gpu.free(...allTensors(whole), ...allTensors(parts));
    },
  );
}

gpuTest(
  "loadWeights() refuses to quantise rows that are no multiple of 16, naming tensor and file",
  async (gpu) => {
    using checkpoint = await Checkpoint.open(goldenPath("mha-f32", "model"));
    const model = await readDescription("mha-f32");
    const error = await assertRejects(
      () => loadWeights(gpu, checkpoint, model, { dtype: "int8" }),
      UserError,
    );
    assertEquals([error.kind, error.where], ["data", goldenPath("mha-f32", "model", "model.safetensors")]);
    assertEquals(
      error.what,
      'Tensor "model.layers.0.mlp.down_proj.weight" has rows of 88 values, which cannot be quantised',
    );
    assertEquals(error.fix, "only multiples of 16 can; use --dtype=auto");
  },
);
