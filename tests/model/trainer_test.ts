import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { createRng } from "../../core/rng.ts";
import type { TrainingExample } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { LoraAdapter } from "../../model/adapter.ts";
import type { Llama } from "../../model/llama.ts";
import { loadAdapter } from "../../model/peft.ts";
import { SafetensorsFile, writeSafetensors } from "../../model/safetensors.ts";
import { LoraTrainer } from "../../model/trainer.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { withFolder } from "./_files.ts";
import {
  type Divergence,
  FAMILY_CASES,
  GOLDEN_CASES,
  goldenPath,
  readGolden,
  withGolden,
} from "./_golden.ts";
import { byName, peftPath } from "./_peft.ts";

/** Of the largest gradient of a tensor: small entries are sums that nearly cancel. */
const GRADIENT = 1e-3;

const LOSSES = { absolute: 1e-6, relative: 1e-3 };

/** The recorded trainings: every divergence on the first models, one on those of each family. */
const TRAININGS: readonly (readonly [string, Divergence])[] = [
  ...GOLDEN_CASES.flatMap((name) =>
    (["jsd", "forward_kl", "reverse_kl"] as const).map((type) => [name, type] as const)
  ),
  ...FAMILY_CASES.map((name) => [name, "jsd"] as const),
];

for (const [name, type] of TRAININGS) {
  gpuTest(`${name}, ${type}: LoRA gradients are those of PEFT and autograd`, async (gpu) => {
    const { training } = await readGolden(name);
    await withGolden(gpu, name, async (model) => {
      const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const trainer = new LoraTrainer(model, adapter, training[type].optimizer, 1);
      await trainer.train([training[type].examples], 0);
      const gradient = await trainer.gradient();
      using file = await SafetensorsFile.open(goldenPath(name, `gradients_${type}.safetensors`));
      for (const [tensor, values] of byName(adapter, gradient)) {
        const expected = await file.values(file.tensors.get(tensor)!);
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        assertClose(values, expected, { absolute: GRADIENT * largest, relative: 0 });
      }
      trainer.free();
      adapter.free();
    });
  });

  gpuTest(`${name}, ${type}: ten steps give the losses and the adapter that torch gives`, async (gpu) => {
    const { training } = await readGolden(name);
    const { examples, optimizer, learning_rate, losses } = training[type];
    await withGolden(gpu, name, async (model) => {
      const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const trainer = new LoraTrainer(model, adapter, optimizer, 1);
      for (const expected of losses) {
        const { choice, divergence, gradientNorm } = await trainer.train([examples], learning_rate);
        assertClose([choice, divergence, gradientNorm], expected, LOSSES);
      }
      using file = await SafetensorsFile.open(goldenPath(name, `adapter_after_${type}.safetensors`));
      for (const [tensor, values] of byName(adapter, await gpu.readF32(adapter.values))) {
        const expected = await file.values(file.tensors.get(tensor)!);
        // A tenth of one step: AdamW moves each value by about the learning rate, whatever its gradient.
        assertClose(values, expected, { absolute: 0.1 * learning_rate, relative: 1e-3 });
      }
      trainer.free();
      adapter.free();
    });
  });
}

for (const name of [...GOLDEN_CASES, ...FAMILY_CASES]) {
  gpuTest(`${name}: a shared prefix gives the same gradients as two full passes`, async (gpu) => {
    const { training: { jsd: { examples, optimizer } } } = await readGolden(name);
    await withGolden(gpu, name, async (model) => {
      const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const gradientOf = async (batch: readonly TrainingExample[]) => {
        const trainer = new LoraTrainer(model, adapter, optimizer, 1);
        await trainer.train([batch], 0);
        const gradient = await trainer.gradient();
        trainer.free();
        return gradient;
      };
      const shared = await gradientOf(examples);
      const apart = await gradientOf(examples.flatMap(inTwo));
      const largest = shared.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      // Twice as many examples, so each counts half.
      assertClose(apart.map((value) => 2 * value), shared, { absolute: 1e-5 * largest, relative: 1e-4 });
      adapter.free();
    });
  });
}

/** Where the trainings with a reference adapter are recorded. */
const REFERENCE = new URL("../golden/reference/", import.meta.url).pathname;

/** Lends a recorded model with an adapter to train and one that divergences are measured from. */
function withReference(
  gpu: Gpu,
  work: (model: Llama, adapter: LoraAdapter, reference: LoraAdapter) => Promise<void>,
): Promise<void> {
  return withGolden(gpu, "mha-f32", async (model) => {
    const adapter = await loadAdapter(gpu, model.description, goldenPath("mha-f32", "adapter"));
    const reference = await loadAdapter(gpu, model.description, `${REFERENCE}adapter`);
    await work(model, adapter, reference);
    adapter.free();
    reference.free();
  });
}

const OPTIMIZER = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 };

for (const type of ["jsd", "forward_kl", "reverse_kl"] as const) {
  gpuTest(
    `${type} from another adapter gives the losses and gradients that PEFT and torch give`,
    async (gpu) => {
      const recorded = JSON.parse(await Deno.readTextFile(`${REFERENCE}expected.json`));
      const { examples, losses } = recorded[type];
      await withReference(gpu, async (model, adapter, reference) => {
        const trainer = new LoraTrainer(model, adapter, OPTIMIZER, 1, { reference });
        for (const [step, expected] of losses.entries()) {
          const { choice, divergence, gradientNorm } = await trainer.train(
            [examples],
            recorded.learning_rate,
          );
          assertClose([choice, divergence, gradientNorm], expected, LOSSES);
          if (step > 0 || type !== "jsd") continue;
          using file = await SafetensorsFile.open(`${REFERENCE}gradients_jsd.safetensors`);
          for (const [tensor, values] of byName(adapter, await trainer.gradient())) {
            const gradient = await file.values(file.tensors.get(tensor)!);
            const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
            assertClose(values, gradient, { absolute: GRADIENT * largest, relative: 0 });
          }
        }
        trainer.free();
      });
    },
  );
}

gpuTest("examples without a divergence need no pass of the reference adapter", async (gpu) => {
  const { jsd: { examples } } = JSON.parse(await Deno.readTextFile(`${REFERENCE}expected.json`));
  const choices = examples.map((example: TrainingExample) => ({
    ...example,
    losses: example.losses.slice(0, 1),
  }));
  await withReference(gpu, async (model, adapter, reference) => {
    const results = [];
    for (const given of [reference, undefined]) {
      const trainer = new LoraTrainer(model, adapter, OPTIMIZER, 1, { reference: given });
      results.push(await trainer.evaluate(choices));
      trainer.free();
    }
    assertEquals(results[0], results[1]);
  });
});

gpuTest("a fresh adapter is no divergence from the frozen model", async (gpu) => {
  const name = "mha-f32";
  const { training: { jsd: { examples, optimizer } } } = await readGolden(name);
  await withGolden(gpu, name, async (model) => {
    const options = { rank: 8, alpha: 32, dropout: 0.1, targetModules: ["q_proj", "v_proj"] };
    const adapter = new LoraAdapter(gpu, model.description, options);
    adapter.initialise(createRng(1));
    const trainer = new LoraTrainer(model, adapter, optimizer, 1);
    assert((await trainer.evaluate(examples)).divergence < 1e-6);
    trainer.free();
    adapter.free();
  });
});

gpuTest("training twice with one seed gives byte-equal adapters, with another seed others", async (gpu) => {
  const name = "gqa2-bf16";
  const { training: { jsd: { examples, optimizer } } } = await readGolden(name);
  await withGolden(gpu, name, async (model) => {
    const train = async (seed: number) => {
      const loaded = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const adapter = new LoraAdapter(gpu, model.description, { ...loaded.options, dropout: 0.1 });
      gpu.write(adapter.values, await gpu.readF32(loaded.values));
      const trainer = new LoraTrainer(model, adapter, optimizer, seed);
      for (let step = 0; step < 3; step++) {
        await trainer.train([examples.slice(0, 2), examples.slice(2)], 1e-3);
      }
      const values = await gpu.readF32(adapter.values);
      [trainer, loaded, adapter].forEach((item) => item.free());
      return values;
    };
    const first = await train(1);
    assertEquals(await train(1), first);
    assertEquals((await train(2)).every((value, index) => value === first[index]), false);
  });
});

gpuTest("a trainer that takes up saved state goes on exactly as one that never stopped", async (gpu) => {
  const name = "mha-f32";
  const { training: { jsd: { examples, optimizer } } } = await readGolden(name);
  await withGoldenAndFolder(gpu, name, async (model, folder) => {
    const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
    const straight = new LoraTrainer(model, adapter, optimizer, 1);
    for (let step = 0; step < 2; step++) await straight.train([examples], 1e-3);
    await straight.save(folder);
    const middle = await gpu.readF32(adapter.values);
    for (let step = 0; step < 2; step++) await straight.train([examples], 1e-3);
    const expected = await gpu.readF32(adapter.values);

    gpu.write(adapter.values, middle);
    const resumed = new LoraTrainer(model, adapter, optimizer, 1);
    await resumed.load(folder);
    assertEquals(resumed.step, 2);
    for (let step = 0; step < 2; step++) await resumed.train([examples], 1e-3);
    assertEquals(await gpu.readF32(adapter.values), expected);
    [straight, resumed, adapter].forEach((item) => item.free());
  });
});

gpuTest(
  "LoraTrainer.train() takes the same step over micro-batches as over all examples at once",
  async (gpu) => {
    const name = "gqa4-f16";
    const { training: { jsd: { examples, optimizer } } } = await readGolden(name);
    await withGolden(gpu, name, async (model) => {
      const step = async (microBatches: readonly (readonly TrainingExample[])[]) => {
        const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
        const trainer = new LoraTrainer(model, adapter, optimizer, 1);
        const { choice, divergence, gradientNorm } = await trainer.train(microBatches, 1e-3);
        const gradient = await trainer.gradient();
        [trainer, adapter].forEach((item) => item.free());
        return { losses: [choice, divergence, gradientNorm], gradient };
      };
      const whole = await step([examples]), parts = await step(examples.map((example) => [example]));
      const largest = whole.gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      assertClose(parts.losses, whole.losses, { absolute: 1e-6, relative: 1e-5 });
      assertClose(parts.gradient, whole.gradient, { absolute: 1e-5 * largest, relative: 1e-4 });
    });
  },
);

gpuTest(
  "LoraTrainer.evaluate() gives the losses of the next step, without dropout, and changes nothing",
  async (gpu) => {
    const name = "mha-f32";
    const { training: { jsd: { examples, optimizer } } } = await readGolden(name);
    await withGolden(gpu, name, async (model) => {
      const loaded = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const adapter = new LoraAdapter(gpu, model.description, { ...loaded.options, dropout: 0.5 });
      const values = await gpu.readF32(loaded.values);
      gpu.write(adapter.values, values);
      const plain = new LoraTrainer(model, loaded, optimizer, 1);
      const dropping = new LoraTrainer(model, adapter, optimizer, 1);
      const evaluated = await dropping.evaluate(examples);
      assertEquals(evaluated, { ...(await plain.train([examples], 0)), gradientNorm: 0 });
      assertEquals([dropping.step, await gpu.readF32(adapter.values)], [0, values]);
      assert(Math.abs((await dropping.train([examples], 0)).choice - evaluated.choice) > 1e-3);
      [plain, dropping, loaded, adapter].forEach((item) => item.free());
    });
  },
);

for (
  const [title, damage, file] of [
    ["of another adapter", (path: string) => writeState(path, 7), "optimizer.safetensors"],
    ["without moments", (path: string) => writeSafetensors(path, []), "optimizer.safetensors"],
    ["without a step", (path: string) => Deno.writeTextFile(path, "{}"), "optimizer.json"],
    [
      "whose step is no whole number",
      (path: string) => Deno.writeTextFile(path, '{"step":0.5}'),
      "optimizer.json",
    ],
    ["that is no object", (path: string) => Deno.writeTextFile(path, "null"), "optimizer.json"],
    ["that is missing", (path: string) => Deno.remove(path), "optimizer.json"],
  ] as const
) {
  gpuTest(`LoraTrainer.load() refuses state ${title}, naming the file`, async (gpu) => {
    const name = "mha-f32";
    const { training: { jsd: { optimizer } } } = await readGolden(name);
    await withGoldenAndFolder(gpu, name, async (model, folder) => {
      const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const trainer = new LoraTrainer(model, adapter, optimizer, 1);
      await trainer.save(folder);
      await damage(`${folder}/${file}`);
      const error = await assertRejects(() => trainer.load(folder), UserError);
      assertEquals([error.kind, error.where], ["data", `${folder}/${file}`]);
      [trainer, adapter].forEach((item) => item.free());
    });
  });
}

gpuTest(
  "LoraTrainer refuses an adapter with biases, naming the setting, and leaves nothing behind",
  async (gpu) => {
    await withGolden(gpu, "gqa2-bf16", async (model) => {
      const adapter = await loadAdapter(gpu, model.description, peftPath("lora-bias"));
      const { optimizer } = (await readGolden("gqa2-bf16")).training.jsd;
      assertThrows(() => new LoraTrainer(model, adapter, optimizer, 1), UserError, '"lora_bias"');
      adapter.free();
    });
  },
);

/** Optimizer state of an adapter with so many values. */
function writeState(path: string, count: number): Promise<void> {
  const values = new Float32Array(count);
  return writeSafetensors(path, ["exp_avg", "exp_avg_sq"].map((name) => ({ name, shape: [count], values })));
}

/** Runs with a recorded model and a temporary folder. */
function withGoldenAndFolder(
  gpu: Gpu,
  name: string,
  work: (model: Llama, folder: string) => Promise<void>,
): Promise<void> {
  return withFolder((folder) => withGolden(gpu, name, (model) => work(model, folder)));
}

/** An example with two branches as two with one each. */
function inTwo({ id, prefix, branches, losses }: TrainingExample): TrainingExample[] {
  return losses.map((loss) => ({
    id,
    prefix,
    branches: [branches[loss.branch]],
    losses: [{ ...loss, branch: 0 }],
  }));
}
