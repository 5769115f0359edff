import { assertEquals, assertRejects } from "@std/assert";
import type { OptimizerOptions } from "../../core/types.ts";
import { Classifier } from "../../model/classifier.ts";
import { loadAdapter } from "../../model/peft.ts";
import { LoraTrainer } from "../../model/trainer.ts";
import { assertClose } from "../close.ts";
import { gpuTest, noise } from "../kernels/_gpu.ts";
import { inner } from "../reference/central_differences.ts";
import { classifierPath, layersOf, readGoldenClassifier, readTensors } from "./_classifier.ts";
import { withFolder } from "./_files.ts";
import { goldenPath, withGolden } from "./_golden.ts";
import { byName } from "./_peft.ts";

/** Of the largest gradient of a tensor: small entries are sums that nearly cancel. */
const GRADIENT = 1e-3;
const LOSSES = { absolute: 1e-6, relative: 1e-3 };

const golden = await readGoldenClassifier();

for (const [name, { examples, optimizer, learning_rate: rate, losses }] of Object.entries(golden.lora)) {
  gpuTest(
    `${name}: gradients of a classifier and the adapter below it are those of PEFT and autograd`,
    async (gpu) => {
      await withGolden(gpu, name, async (model) => {
        const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
        const classifier = await Classifier.load(gpu, classifierPath("lora", name));
        const trainer = new LoraTrainer(model, adapter, optimizer, 1, { classifier });
        await trainer.train([examples], 0);
        const expected = await readTensors(classifierPath("lora", name, "gradients.safetensors"));
        const ours = new Map([
          ...byName(adapter, await trainer.gradient()),
          ...classifierTensors(classifier, await trainer.classifierGradient()),
        ]);
        assertEquals([...ours.keys()].sort(), [...expected.keys()].sort());
        for (const [tensor, values] of ours) {
          const theirs = expected.get(tensor)!;
          const largest = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          assertClose(values, theirs, { absolute: GRADIENT * largest, relative: 0 });
        }
        [trainer, classifier, adapter].forEach((item) => item.free());
      });
    },
  );

  gpuTest(
    `${name}: ten steps of adapter and classifier give the losses and values that torch gives`,
    async (gpu) => {
      await withGolden(gpu, name, async (model) => {
        const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
        const classifier = await Classifier.load(gpu, classifierPath("lora", name));
        const trainer = new LoraTrainer(model, adapter, optimizer, 1, { classifier });
        for (const expected of losses) {
          const { choice, divergence, gradientNorm } = await trainer.train([examples], rate);
          assertClose([choice, gradientNorm], expected, LOSSES);
          assertEquals(divergence, 0);
        }
        // A tenth of one step: AdamW moves each value by about the learning rate, whatever its gradient.
        const tolerance = { absolute: 0.1 * rate, relative: 1e-3 };
        const adapterAfter = await readTensors(classifierPath("lora", name, "adapter_after.safetensors"));
        for (const [tensor, values] of byName(adapter, await gpu.readF32(adapter.values))) {
          assertClose(values, adapterAfter.get(tensor)!, tolerance);
        }
        const after = await readTensors(classifierPath("lora", name, "classifier_after.safetensors"));
        for (const [tensor, values] of classifierTensors(classifier, await gpu.readF32(classifier.values))) {
          assertClose(values, after.get(tensor)!, tolerance);
        }
        [trainer, classifier, adapter].forEach((item) => item.free());
      });
    },
  );

  gpuTest(`${name}: the gradient of adapter and classifier predicts how the loss changes`, async (gpu) => {
    await withGolden(gpu, name, async (model) => {
      const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
      const classifier = await Classifier.load(gpu, classifierPath("lora", name));
      const trainer = new LoraTrainer(model, adapter, optimizer, 1, { classifier });
      await trainer.train([examples], 0);
      for (
        const [values, gradient] of [
          [adapter.values, await trainer.gradient()],
          [classifier.values, await trainer.classifierGradient()],
        ] as const
      ) {
        const at = await gpu.readF32(values);
        // Along the gradient and across it; the step keeps the change of the loss far above f32's rounding.
        const direction = gradient.map((value, index) => value + 0.1 * noise(gradient.length, 7)[index % 64]);
        direction.forEach((_, index) => {
          if (at[index] === 0 || Math.abs(at[index]) > 1e9) direction[index] = 0;
        });
        const step = 1e-2 / Math.sqrt(inner(direction, direction));
        const lossAt = async (factor: number) => {
          gpu.write(values, at.map((value, index) => value + factor * step * direction[index]));
          return (await trainer.evaluate(examples)).choice;
        };
        const slope = (await lossAt(1) - await lossAt(-1)) / (2 * step);
        gpu.write(values, at);
        assertClose([slope], [inner(gradient, direction)], { absolute: 1e-4, relative: 1e-2 });
      }
      [trainer, classifier, adapter].forEach((item) => item.free());
    });
  });
}

gpuTest(
  "A trainer of adapter and classifier that takes up saved state goes on as one that never stopped",
  async (gpu) => {
    const name = "mha-f32";
    const { examples, optimizer } = golden.lora[name];
    await withGolden(gpu, name, async (model) => {
      await withFolder(async (folder) => {
        const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
        const classifier = await Classifier.load(gpu, classifierPath("lora", name));
        const first = new LoraTrainer(model, adapter, optimizer, 1, { classifier });
        await first.train([examples], 1e-2);
        await first.save(folder);
        const state = [await gpu.readF32(adapter.values), await gpu.readF32(classifier.values)];
        await first.train([examples], 1e-2);
        const straight = [await gpu.readF32(adapter.values), await gpu.readF32(classifier.values)];
        gpu.write(adapter.values, state[0]);
        gpu.write(classifier.values, state[1]);
        const second = new LoraTrainer(model, adapter, optimizer, 1, { classifier });
        await second.load(folder);
        assertEquals(second.step, 1);
        await second.train([examples], 1e-2);
        assertEquals([await gpu.readF32(adapter.values), await gpu.readF32(classifier.values)], straight);
        [first, second, classifier, adapter].forEach((item) => item.free());
      });
    });
  },
);

gpuTest("A class loss is refused by a trainer that was given no classifier", async (gpu) => {
  const name = "mha-f32";
  await withGolden(gpu, name, async (model) => {
    const adapter = await loadAdapter(gpu, model.description, goldenPath(name, "adapter"));
    const trainer = new LoraTrainer(model, adapter, OPTIMIZER, 1);
    const before = gpu.liveTensors.length;
    const { examples } = golden.lora[name];
    await assertRejects(
      () => trainer.evaluate(examples),
      TypeError,
      "needs a trainer that was given a classifier",
    );
    assertEquals(gpu.liveTensors.length, before);
    [trainer, adapter].forEach((item) => item.free());
  });
});

const OPTIMIZER: OptimizerOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 0,
};

/** The parts of a classifier's flat vector, by torch's names. */
function classifierTensors(
  { shape }: Classifier,
  values: Float32Array<ArrayBuffer>,
): Map<string, Float32Array> {
  return new Map(
    layersOf(shape, values).flatMap(({ name, weight, bias }) => [
      [`${name}.weight`, weight] as const,
      [`${name}.bias`, bias] as const,
    ]),
  );
}
