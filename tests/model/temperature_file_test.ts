import { assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { SafetensorsFile, writeSafetensors } from "../../model/safetensors.ts";
import { loadTemperature, saveTemperature } from "../../model/temperature_file.ts";
import { withFolder } from "./_files.ts";

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

Deno.test("loadTemperature() says that none was fitted where there is no file, naming it", async () => {
  await withFolder(async (folder) => {
    const error = await assertRejects(() => loadTemperature(folder), UserError, "No temperature was fitted");
    assertEquals([error.kind, error.where], ["data", `${folder}/temperature_model.safetensors`]);
  });
});

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
