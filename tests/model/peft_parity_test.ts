import { assert, assertEquals } from "@std/assert";
import type { OptimizerOptions } from "../../core/types.ts";
import { moduleName } from "../../model/lora_sites.ts";
import { loadAdapter, saveAdapter } from "../../model/peft.ts";
import { SafetensorsFile } from "../../model/safetensors.ts";
import { LoraTrainer } from "../../model/trainer.ts";
import { assertClose } from "../close.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { readRaw, withFolder } from "./_files.ts";
import { readDescription, withGolden } from "./_golden.ts";
import { allLogits } from "./_logits.ts";
import { byName, OUR_KINDS, PEFT_KINDS, peftPath, readGoldenAdapter, writeOurs } from "./_peft.ts";

/** As for the models without these adapters: f32 against f32 in another order of summation. */
const LOGITS = { absolute: 2e-4, relative: 1e-4 };

/** Of the largest gradient of a tensor: small entries are sums that nearly cancel. */
const GRADIENT = 1e-3;

const OPTIMIZER: OptimizerOptions = {
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0,
  maxGradientNorm: 0,
};

for (const kind of [...PEFT_KINDS, ...Object.keys(OUR_KINDS)]) {
  gpuTest(`${kind}: the same layers are adapted as in PEFT, with the same scales and logits`, async (gpu) => {
    const { model: name, scales, sequences } = await readGoldenAdapter(kind);
    await withGolden(gpu, name, async (model) => {
      const adapter = await loadAdapter(gpu, model.description, peftPath(kind));
      const ours = adapter.sites.map(({ layer, name, scale }) => [moduleName(layer, name), scale] as const);
      assertEquals(ours.map(([module]) => module).sort(), Object.keys(scales).sort());
      for (const [module, scale] of ours) {
        assertClose([scale], [scales[module]], { absolute: 0, relative: 1e-8 });
      }
      for (const { tokens, logits } of sequences) {
        assertClose((await allLogits(model, tokens, adapter)).at(-1)!, logits, LOGITS);
      }
      adapter.free();
    });
  });
}

for (const kind of ["patterns", "patterns-rslora"]) {
  gpuTest(`${kind}: gradients of sites of different ranks and scales are those of autograd`, async (gpu) => {
    const { model: name, training } = await readGoldenAdapter(kind);
    await withGolden(gpu, name, async (model) => {
      const adapter = await loadAdapter(gpu, model.description, peftPath(kind));
      const trainer = new LoraTrainer(model, adapter, OPTIMIZER, 1);
      const { choice, divergence } = await trainer.train([training!.examples], 0);
      const { loss } = training!;
      assertClose([choice, divergence], [loss.choice, loss.divergence], { absolute: 1e-6, relative: 1e-3 });
      using file = await SafetensorsFile.open(peftPath(kind, "gradients.safetensors"));
      const gradients = byName(adapter, await trainer.gradient());
      assertEquals([...gradients.keys()].sort(), [...file.tensors.keys()].sort());
      for (const [tensor, values] of gradients) {
        const expected = await file.values(file.tensors.get(tensor)!);
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        assertClose(values, expected, { absolute: GRADIENT * largest, relative: 0 });
      }
      trainer.free();
      adapter.free();
    });
  });
}

gpuTest("The bias of an adapter acts where A and B are 0", async (gpu) => {
  const { model: name, sequences } = await readGoldenAdapter("lora-bias");
  await withGolden(gpu, name, async (model) => {
    const adapter = await loadAdapter(gpu, model.description, peftPath("lora-bias"));
    const { values } = adapter;
    // Without A and B the bias is all that is left, so its part shows.
    const numbers = await gpu.readF32(values);
    for (const { aFirst, biasFirst } of adapter.sites) numbers.fill(0, aFirst, biasFirst);
    gpu.write(values, numbers);
    const { tokens } = sequences[1];
    const plain = (await allLogits(model, tokens)).at(-1)!;
    const biased = (await allLogits(model, tokens, adapter)).at(-1)!;
    assert(plain.some((value, index) => Math.abs(value - biased[index]) > 0.1));
    adapter.free();
  });
});

for (const kind of Object.keys(OUR_KINDS)) {
  gpuTest(`saveAdapter() writes ${kind} as when PEFT loaded it, byte for byte`, async (gpu) => {
    await withFolder(async (folder) => {
      await writeOurs(gpu, kind, folder);
      for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
        assertEquals(await Deno.readFile(`${folder}/${name}`), await Deno.readFile(peftPath(kind, name)));
      }
    });
  });

  Deno.test(`PEFT knows every setting of ${kind}, and saves it again as it is`, async () => {
    const ours = await readObject(peftPath(kind, "adapter_config.json"));
    const theirs = await readObject(peftPath(kind, "resaved_config.json"));
    const { fields } = await readObject(peftPath("config_fields.json"));
    assertEquals(Object.keys(ours).filter((key) => !(fields as string[]).includes(key)), []);
    assertEquals(ours, Object.fromEntries(Object.keys(ours).map((key) => [key, theirs[key]])));
  });

  gpuTest(`loadAdapter() of ${kind} gives back the options it was made with`, async (gpu) => {
    const { model, options } = OUR_KINDS[kind];
    const adapter = await loadAdapter(gpu, await readDescription(model), peftPath(kind));
    assertEquals(adapter.options, options);
    adapter.free();
  });
}

for (const kind of PEFT_KINDS.filter((kind) => !["default-names", "f16", "bf16"].includes(kind))) {
  gpuTest(`saveAdapter() of ${kind} writes the tensors that PEFT wrote, byte for byte`, async (gpu) => {
    await withFolder(async (folder) => {
      const { model } = await readGoldenAdapter(kind);
      const adapter = await loadAdapter(gpu, await readDescription(model), peftPath(kind));
      await saveAdapter(adapter, folder, model);
      adapter.free();
      assertEquals(
        await readRaw(`${folder}/adapter_model.safetensors`),
        await readRaw(peftPath(kind, "adapter_model.safetensors")),
      );
      const written = await readObject(`${folder}/adapter_config.json`);
      const theirs = await readObject(peftPath(kind, "adapter_config.json"));
      const expected = Object.fromEntries(Object.keys(written).map((key) => [key, theirs[key]]));
      // A file of ours is always of the plain type, and names a list even where there is one name.
      if (kind === "calibrated") Object.assign(expected, { peft_type: "LORA", task_type: "CAUSAL_LM" });
      for (const key of ["layers_to_transform", "layers_pattern"]) {
        if (expected[key] != null) expected[key] = [expected[key]].flat();
      }
      assertEquals(written, expected);
    });
  });
}

async function readObject(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(path));
}
