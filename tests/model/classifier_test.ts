import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { createRng } from "../../core/rng.ts";
import { Classifier, FeatureTrainer } from "../../model/classifier.ts";
import { writeClassifier } from "../../model/classifier_file.ts";
import { assertClose } from "../close.ts";
import { gpuTest, noise } from "../kernels/_gpu.ts";
import { centralDifferences } from "../reference/central_differences.ts";
import { classifierGradient, classify } from "../reference/classifier.ts";
import { readRaw, withFolder } from "./_files.ts";
import { classifierPath, layersOf, readGoldenClassifier, readTensors } from "./_classifier.ts";

/** f32 sums of up to a few hundred products. */
const CLOSE = { absolute: 1e-5, relative: 1e-4 };
const LOSSES = { absolute: 1e-6, relative: 1e-3 };

/** Rows of a flat list of features. */
function rowsOf(values: Float32Array<ArrayBuffer>, width: number): Float32Array<ArrayBuffer>[] {
  return Array.from(
    { length: values.length / width },
    (_, row) => values.slice(row * width, (row + 1) * width),
  );
}

const features = async () =>
  rowsOf((await readTensors(classifierPath("features", "features.safetensors"))).get("features")!, 48);

gpuTest("A classifier gives the logits that torch gives, and takes its shape from the file", async (gpu) => {
  const { features: { logits } } = await readGoldenClassifier();
  const classifier = await Classifier.load(gpu, classifierPath("features"));
  assertEquals(classifier.shape, { inputs: 48, hidden: [32, 16, 8] });
  assertClose((await classifier.logits(await features())).flat(), logits.flat(), CLOSE);
  classifier.free();
});

gpuTest(
  "A classifier's ten steps give the losses, norms and values that torch's AdamW gives",
  async (gpu) => {
    const { features: { labels, batch, optimizer, learning_rate: learningRate, losses } } =
      await readGoldenClassifier();
    const all = await features();
    const classifier = await Classifier.load(gpu, classifierPath("features"));
    const trainer = new FeatureTrainer(classifier, optimizer);
    const batches = losses.map((_, step) => {
      const rows = Array.from({ length: batch }, (_, row) => (step * batch + row) % all.length);
      return {
        features: rows.map((row) => all[row]),
        labels: rows.map((row) => labels[row]),
        learningRate,
      };
    });
    const results = [...await trainer.train(batches.slice(0, 3)), ...await trainer.train(batches.slice(3))];
    assertClose(
      results.flatMap(({ choice, gradientNorm }) => [choice, gradientNorm]),
      losses.flat(),
      LOSSES,
    );
    const after = await readTensors(classifierPath("features", "classifier_after.safetensors"));
    for (const { name, weight, bias } of layersOf(classifier.shape, await gpu.readF32(classifier.values))) {
      // A tenth of one step: AdamW moves each value by about the learning rate, whatever its gradient.
      const tolerance = { absolute: 0.1 * learningRate, relative: 1e-3 };
      assertClose(weight, after.get(`${name}.weight`)!, tolerance);
      assertClose(bias, after.get(`${name}.bias`)!, tolerance);
    }
    trainer.free();
    classifier.free();
  },
);

Deno.test("the reference of a classifier's gradient is that of its loss", () => {
  const widths = [3, 5, 4, 2];
  const layers = widths.slice(1).map((outputs, index) => ({
    inputs: widths[index],
    outputs,
    weight: Float64Array.from(noise(outputs * widths[index], index + 1)),
    bias: Float64Array.from(noise(outputs, index + 9)),
  }));
  const rows = [noise(3, 20), noise(3, 21)], labels = [0, 1];
  const { weights, biases, features } = classifierGradient(layers, rows, labels);
  const tolerance = { absolute: 1e-8, relative: 1e-7 };
  layers.forEach((layer, index) => {
    const lossWith = (part: Partial<typeof layer>) =>
      classifierGradient(layers.with(index, { ...layer, ...part }), rows, labels).loss;
    const weight = centralDifferences(
      (at) => lossWith({ weight: at as Float64Array<ArrayBuffer> }),
      layer.weight,
    );
    const bias = centralDifferences((at) => lossWith({ bias: at as Float64Array<ArrayBuffer> }), layer.bias);
    assertClose(weights[index], weight, tolerance);
    assertClose(biases[index], bias, tolerance);
  });
  const lossAt = (at: ArrayLike<number>) => classifierGradient(layers, [at, rows[1]], labels).loss;
  assertClose(features[0], centralDifferences(lossAt, rows[0]), tolerance);
});

for (
  const { inputs, hidden, rows, why } of [
    { inputs: 8, hidden: [], rows: 1, why: "linear, one row" },
    { inputs: 4, hidden: [4], rows: 3, why: "the narrowest" },
    { inputs: 40, hidden: [256, 128, 64], rows: 5, why: "the research code's widths" },
    { inputs: 132, hidden: [12], rows: 70, why: "many rows, odd widths" },
  ]
) {
  gpuTest(`A classifier's gradients and logits match the reference (${why})`, async (gpu) => {
    const shape = { inputs, hidden };
    const classifier = Classifier.create(gpu, shape, createRng(1));
    const x = noise(rows * inputs, 2), labels = Array.from({ length: rows }, (_, row) => row % 2);
    const count = classifier.values.shape[0];
    const tensors = {
      x: gpu.upload("x", x, [rows, inputs]),
      labels: gpu.upload("labels", Uint32Array.from(labels)),
      loss: gpu.tensor("loss", "f32", [rows]),
      gradient: gpu.tensor("gradient", "f32", [1, count]),
      dx: gpu.tensor("dx", "f32", [rows, inputs]),
    };
    gpu.clear(tensors.gradient);
    classifier.loss(
      { ...tensors, rows, scale: 1 / rows },
      { values: tensors.gradient, splits: 1 },
      tensors.dx,
    );
    const layers = layersOf(shape, await gpu.readF32(classifier.values));
    const expected = classifierGradient(layers, rowsOf(x, inputs), labels);
    const loss = (await gpu.readF32(tensors.loss)).reduce((sum, value) => sum + value, 0) / rows;
    assertClose([loss], [expected.loss], CLOSE);
    const gradient = await gpu.readF32(tensors.gradient);
    layersOf(shape, gradient).forEach(({ weight, bias }, index) => {
      assertClose(weight, expected.weights[index], CLOSE);
      assertClose(bias, expected.biases[index], CLOSE);
    });
    assertClose(await gpu.readF32(tensors.dx), expected.features.flatMap((dx) => [...dx]), CLOSE);
    const logits = rowsOf(x, inputs).flatMap((row) => [...classify(layers, row).at(-1)!]);
    assertClose((await classifier.logits(rowsOf(x, inputs))).flat(), logits, CLOSE);
    gpu.free(...Object.values(tensors));
    classifier.free();
  });
}

gpuTest(
  "A fresh classifier is Xavier-normal, with biases in ±1/√inputs, the same for one seed",
  async (gpu) => {
    const shape = { inputs: 64, hidden: [256, 128] };
    const classifier = Classifier.create(gpu, shape, createRng(1));
    const values = await gpu.readF32(classifier.values);
    for (const { inputs, outputs, weight, bias } of layersOf(shape, values).slice(0, 2)) {
      const square = weight.reduce((sum, value) => sum + value * value, 0) / weight.length;
      // 16,384 and 32,768 draws: the mean square is within 5 % of its expectation but once in 10^5.
      assertClose([square], [2 / (inputs + outputs)], { absolute: 0, relative: 0.05 });
      assert(bias.every((value) => Math.abs(value) <= 1 / Math.sqrt(inputs)));
    }
    const again = Classifier.create(gpu, shape, createRng(1)),
      other = Classifier.create(gpu, shape, createRng(2));
    assertEquals(await gpu.readF32(again.values), values);
    assert((await gpu.readF32(other.values)).some((value, index) => value !== values[index]));
    [classifier, again, other].forEach((one) => one.free());
  },
);

gpuTest(
  "A classifier is saved as torch saved it, and what no softmax sees is neither trained nor saved",
  async (gpu) => {
    await withFolder(async (folder) => {
      const { features: { labels, optimizer } } = await readGoldenClassifier();
      const classifier = await Classifier.load(gpu, classifierPath("features"));
      await classifier.save(folder);
      assertEquals(
        await readRaw(`${folder}/classifier_model.safetensors`),
        await readRaw(classifierPath("features", "classifier_model.safetensors")),
      );
      const { biasFirst } = (await import("./_classifier.ts")).flatLayers(classifier.shape).at(-1)!;
      const trainer = new FeatureTrainer(classifier, { ...optimizer, weightDecay: 0 });
      const before = await gpu.readF32(classifier.values);
      await trainer.train([{ features: await features(), labels, learningRate: 0.1 }]);
      const after = await gpu.readF32(classifier.values);
      assert(after[biasFirst] !== before[biasFirst]);
      assertEquals(after.slice(biasFirst + 2, biasFirst + 4), before.slice(biasFirst + 2, biasFirst + 4));
      trainer.free();
      classifier.free();
    });
  },
);

gpuTest("A classifier refuses features of another width, naming both", async (gpu) => {
  const classifier = Classifier.create(gpu, { inputs: 8, hidden: [] }, createRng(1));
  const error = await assertRejects(
    () => classifier.logits([new Float32Array(8), new Float32Array(12)]),
    UserError,
  );
  assertEquals([error.kind, error.what], ["data", "A feature has 12 values, but the classifier takes 8"]);
  classifier.free();
});

gpuTest("A classifier whose widths are no multiples of 4 is refused", (gpu) => {
  assertThrows(() => new Classifier(gpu, { inputs: 8, hidden: [6] }), UserError, "widths are 8, 6");
  return Promise.resolve();
});

gpuTest(
  "Loading a classifier names what is wrong: none there, or values that are no numbers",
  async (gpu) => {
    await withFolder(async (folder) => {
      await assertRejects(
        () => Classifier.load(gpu, folder),
        UserError,
        "There is no classifier_model.safetensors",
      );
      const bad = {
        name: "0",
        inputs: 4,
        outputs: 2,
        weight: new Float32Array(8).fill(NaN),
        bias: new Float32Array(2),
      };
      await writeClassifier(`${folder}/classifier_model.safetensors`, [bad]);
      await assertRejects(() => Classifier.load(gpu, folder), UserError, "no finite numbers");
    });
  },
);
