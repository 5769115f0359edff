import { assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { SafetensorsFile, writeSafetensors } from "../../model/safetensors.ts";
import {
  findTemperature,
  loadTemperature,
  readTemperature,
  saveTemperature,
} from "../../model/temperature_file.ts";
import { withFolder } from "./_files.ts";
import { peftPath } from "./_peft.ts";
import { torchPath } from "../core/torch/_torch_files.ts";

for (const temperature of [0.01, 0.5, 1, 1.7, 100]) {
  Deno.test(`loadTemperature() gives back the ${temperature} that saveTemperature() wrote`, async () => {
    await withFolder(async (folder) => {
      assertEquals(await saveTemperature(folder, temperature), `${folder}/temperature_model.safetensors`);
      // The logarithm is stored in f32: 24 bits of a number up to 4.6.
      assertAlmostEquals(await loadTemperature(folder), temperature, temperature * 5 * 2 ** -24);
    });
  });
}

Deno.test("saveTemperature() writes one log_temperature in f32, as the research code reads it", async () => {
  await withFolder(async (folder) => {
    using file = await SafetensorsFile.open(await saveTemperature(folder, Math.E));
    const [entry, ...others] = file.tensors.values();
    assertEquals([entry.name, entry.dtype, entry.shape, others], ["log_temperature", "F32", [], []]);
    assertEquals(await file.values(entry), Float32Array.of(1));
  });
});

Deno.test("loadTemperature() reads a log_temperature of shape [1] too", async () => {
  await withFolder(async (folder) => {
    await write(folder, "log_temperature", [1], [Math.LN2]);
    assertAlmostEquals(await loadTemperature(folder), 2, 1e-6);
  });
});

Deno.test("loadTemperature() says that none was fitted where there is no file, naming what it looked for", async () => {
  await withFolder(async (folder) => {
    const error = await assertRejects(() => loadTemperature(folder), UserError, "No temperature was fitted");
    assertEquals([error.kind, error.where], ["data", folder]);
    assertEquals(error.what.split("there is no ")[1], FILES.join(", "));
  });
});

/** In the order in which they count. */
const FILES = ["temperature_model.safetensors", "temperature_model.pt", "query_temperature_head.bin"];

Deno.test("loadTemperature() takes the first of the files that may hold it", async () => {
  await withFolder(async (folder) => {
    await Deno.copyFile(torchPath("query_temperature_head.bin"), `${folder}/query_temperature_head.bin`);
    assertAlmostEquals(await loadTemperature(folder), Math.exp(-0.5), 1e-7);
    assertEquals(await findTemperature(folder), `${folder}/query_temperature_head.bin`);
    await Deno.copyFile(torchPath("temperature_model.pt"), `${folder}/temperature_model.pt`);
    assertAlmostEquals(await loadTemperature(folder), Math.exp(0.4375), 1e-7);
    await saveTemperature(folder, 3);
    assertAlmostEquals(await loadTemperature(folder), 3, 1e-6);
  });
});

Deno.test("loadTemperature() reads the temperature of a released adapter", async () => {
  assertAlmostEquals(await loadTemperature(peftPath("calibrated")), Math.exp(0.4375), 1e-7);
});

Deno.test("loadTemperature() does not take the temperature of answers for that of confidences, and says so", async () => {
  await withFolder(async (folder) => {
    await Deno.copyFile(torchPath("temperature_head.bin"), `${folder}/temperature_head.bin`);
    assertEquals(await findTemperature(folder), undefined);
    await assertRejects(
      () => loadTemperature(folder),
      UserError,
      "temperature_head.bin scales the model's own answers",
    );
  });
});

Deno.test("readTemperature() reads the temperature of answers, with the name of its module in front", async () => {
  assertAlmostEquals(await readTemperature(torchPath("temperature_head.bin")), Math.exp(0.125), 1e-7);
});

for (
  const [name, what] of [
    ["two_temperatures.pt", "no usable"],
    ["classifier_model.bin", "no usable"],
    ["dtypes.pt", "no usable"],
    ["os_system.pt", "it names posix.system"],
    ["legacy.pt", "the format from before torch 1.6"],
  ]
) {
  Deno.test(`readTemperature() refuses ${name}, naming it`, async () => {
    const error = await assertRejects(() => readTemperature(torchPath(name)), UserError, what);
    assertEquals([error.kind, error.where], ["data", torchPath(name)]);
  });
}

for (
  const [title, name, shape, values] of [
    ["another tensor only", "temperature", [], [1]],
    ["two values", "log_temperature", [2], [0, 0]],
    ["no values", "log_temperature", [0], []],
    ["NaN", "log_temperature", [], [NaN]],
    ["an infinite value", "log_temperature", [], [Infinity]],
    ["a value whose exponential is infinite", "log_temperature", [], [710]],
    ["a value whose exponential is 0", "log_temperature", [], [-746]],
  ] as const
) {
  Deno.test(`loadTemperature() refuses a file with ${title}, naming it`, async () => {
    await withFolder(async (folder) => {
      await write(folder, name, shape, values);
      const error = await assertRejects(() => loadTemperature(folder), UserError, "no usable");
      assertEquals([error.kind, error.where], ["data", `${folder}/temperature_model.safetensors`]);
    });
  });
}

Deno.test("loadTemperature() refuses a damaged file, naming it", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/temperature_model.safetensors`, "not safetensors");
    const error = await assertRejects(() => loadTemperature(folder), UserError);
    assertEquals([error.kind, error.where], ["data", `${folder}/temperature_model.safetensors`]);
  });
});

async function write(
  folder: string,
  name: string,
  shape: readonly number[],
  values: readonly number[],
): Promise<void> {
  await writeSafetensors(`${folder}/temperature_model.safetensors`, [
    { name, shape, values: Float32Array.from(values) },
  ]);
}

Deno.test("loadTemperature() reads the temperature in the research code's classifier where there is no other", async () => {
  await withFolder(async (folder) => {
    await Deno.copyFile(torchPath("scaled_classifier_model.bin"), `${folder}/classifier_model.bin`);
    assertAlmostEquals(await loadTemperature(folder), Math.exp(0.25));
    await saveTemperature(folder, 2);
    assertAlmostEquals(await loadTemperature(folder), 2);
  });
  await withFolder(async (folder) => {
    await Deno.copyFile(torchPath("classifier_model.bin"), `${folder}/classifier_model.bin`);
    await assertRejects(() => loadTemperature(folder), UserError, "No temperature was fitted");
  });
});
