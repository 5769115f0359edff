import { assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { readClassifier } from "../../model/classifier_file.ts";
import { writeSafetensors } from "../../model/safetensors.ts";
import { withFolder } from "./_files.ts";
import { type Described, expectedFiles, torchPath } from "../core/torch/_torch_files.ts";

/** Values of a tensor of a recorded state dictionary. */
function valuesOf(file: string, name: string): Float32Array {
  const state = expectedFiles[file] as { readonly dictionary: readonly (readonly [string, Described])[] };
  const found = state.dictionary.find(([key]) => key === name)![1] as { readonly values: readonly number[] };
  return Float32Array.from(found.values);
}

for (const [name, prefix] of [["classifier_model.bin", ""], ["scaled_classifier_model.bin", "0."]]) {
  Deno.test(`readClassifier() gives the layers of ${name} by name, with the values that torch saved`, async () => {
    const { layers } = await readClassifier(torchPath(name));
    assertEquals(layers.map((layer) => [layer.name, layer.inputs, layer.outputs]), [
      ["0", 6, 5],
      ["2", 5, 4],
      ["4", 4, 3],
      ["6", 3, 2],
    ]);
    for (const layer of layers) {
      assertEquals(layer.weight, valuesOf(name, `${prefix}${layer.name}.weight`));
      assertEquals(layer.bias, valuesOf(name, `${prefix}${layer.name}.bias`));
    }
  });
}

Deno.test("readClassifier() gives the temperature behind a classifier, or 1", async () => {
  assertAlmostEquals(
    (await readClassifier(torchPath("scaled_classifier_model.bin"))).temperature,
    Math.exp(0.25),
  );
  assertEquals((await readClassifier(torchPath("classifier_model.bin"))).temperature, 1);
});

Deno.test("readClassifier() gives zeros for the bias that the last layer may lack", async () => {
  const { layers } = await readClassifier(torchPath("classifier_without_last_bias.bin"));
  assertEquals(layers.at(-1)!.bias, new Float32Array(2));
});

for (
  const [name, what] of [
    ["os_system.pt", "it names posix.system"],
    ["legacy.pt", "the format from before torch 1.6"],
    ["module.pt", 'tensor "encoder.weight" has no place in it'],
    ["temperature_model.pt", 'tensor "log_temperature" has no place in it'],
    ["with_number.pt", 'it holds "epoch", which is no tensor'],
    ["list.pt", "it holds no dictionary"],
  ]
) {
  Deno.test(`readClassifier() refuses ${name}, naming it and why`, async () => {
    const error = await assertRejects(() => readClassifier(torchPath(name)), UserError, what);
    assertEquals([error.kind, error.where], ["data", torchPath(name)]);
  });
}

/** Shapes of a sound classifier. */
const SOUND = { "0.weight": [3, 4], "0.bias": [3], "2.weight": [2, 3], "2.bias": [2] };

for (
  const [title, change, what] of [
    [
      "a layer that does not take what the one before gives",
      { "2.weight": [2, 4] },
      'layer "2" takes 4 values, but',
    ],
    ["three logits", { "2.weight": [3, 3], "2.bias": [3] }, "it gives 3 logits, not 2"],
    ["a bias of another length", { "0.bias": [4] }, '"0.bias" has shape [4], but the weight [3, 4]'],
    ["a weight that is no matrix", { "0.weight": [12] }, '"0.weight" has shape [12]'],
    ["a layer without inputs", { "0.weight": [3, 0] }, '"0.weight" has shape [3, 0]'],
    ["a layer at an odd place", { "3.weight": [2, 2] }, 'tensor "3.weight" has no place'],
    ["a gap between its layers", { "6.weight": [2, 2] }, 'tensor "6.weight" has no place'],
    ["two temperatures", { "1.log_temperature": [2] }, "no usable"],
    ["another module beside it", { "1.scale": [] }, 'tensor "1.scale" has no place'],
  ] as const
) {
  Deno.test(`readClassifier() refuses ${title}`, async () => {
    await withFolder(async (folder) => {
      const path = `${folder}/classifier_model.safetensors`;
      await write(path, { ...SOUND, ...change });
      await assertRejects(() => readClassifier(path), UserError, what);
    });
  });
}

Deno.test("readClassifier() reads safetensors, and refuses a file without layers", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/classifier_model.safetensors`;
    await write(path, SOUND);
    assertEquals((await readClassifier(path)).layers.map(({ inputs, outputs }) => [inputs, outputs]), [
      [4, 3],
      [3, 2],
    ]);
    await write(path, {});
    await assertRejects(() => readClassifier(path), UserError, "it has no layers");
  });
});

async function write(path: string, shapes: Readonly<Record<string, readonly number[]>>): Promise<void> {
  await writeSafetensors(
    path,
    Object.entries(shapes).map(([name, shape]) => ({
      name,
      shape,
      values: new Float32Array(shape.reduce((product, extent) => product * extent, 1)),
    })),
  );
}
