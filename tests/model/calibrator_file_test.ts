import { assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import type { Calibrator } from "../../core/calibrators.ts";
import { UserError } from "../../core/errors.ts";
import { exists } from "../../core/files.ts";
import { hasCalibrator, loadCalibrator, saveCalibrator } from "../../model/calibrator_file.ts";
import { withFolder } from "./_files.ts";

const OTHERS: readonly Calibrator[] = [
  { kind: "platt", slope: 0.7, intercept: -0.1 },
  { kind: "beta", a: 0.5, b: 2, c: 0 },
  { kind: "isotonic", confidences: [0.1, 0.5, 0.9], probabilities: [0, 0.25, 1] },
];

for (const calibrator of OTHERS) {
  Deno.test(`loadCalibrator() reads what saveCalibrator() wrote of ${calibrator.kind}, to the bit`, () =>
    withFolder(async (folder) => {
      const path = await saveCalibrator(join(folder, "checkpoint-0"), calibrator);
      assertEquals(path, join(folder, "checkpoint-0", "calibrator.json"));
      assertEquals(await loadCalibrator(join(folder, "checkpoint-0")), calibrator);
    }));
}

Deno.test("a checkpoint has one calibrator: the one that was fitted last", () =>
  withFolder(async (folder) => {
    assertEquals(await hasCalibrator(folder), false);
    for (const calibrator of [OTHERS[0], { kind: "temperature", temperature: 1.5 } as const, OTHERS[1]]) {
      await saveCalibrator(folder, calibrator);
      assertEquals(await hasCalibrator(folder), true);
      const loaded = await loadCalibrator(folder);
      assertEquals(loaded.kind, calibrator.kind);
      assertEquals(await exists(join(folder, "calibrator.json")), calibrator.kind !== "temperature");
      assertEquals(
        await exists(join(folder, "temperature_model.safetensors")),
        calibrator.kind === "temperature",
      );
      if (loaded.kind === "temperature") assertAlmostEquals(loaded.temperature, 1.5, 1e-6);
    }
  }));

Deno.test("loadCalibrator() takes the research code's temperature of answers for answers alone, unless another is there", () =>
  withFolder(async (folder) => {
    const theirs = new URL("../golden/torch_files/temperature_head.bin", import.meta.url);
    await Deno.copyFile(theirs, join(folder, "temperature_head.bin"));
    const found = await loadCalibrator(folder, true);
    assertAlmostEquals(found.kind === "temperature" ? found.temperature : NaN, Math.exp(0.125), 1e-7);
    await assertRejects(() => loadCalibrator(folder), UserError, "is not used here");
    await saveCalibrator(folder, { kind: "platt", slope: 2, intercept: 0 });
    assertEquals((await loadCalibrator(folder, true)).kind, "platt");
  }));

Deno.test("loadCalibrator() of a folder without one says how to get it", () =>
  withFolder(async (folder) => {
    const error = await assertRejects(() => loadCalibrator(folder), UserError, "No temperature was fitted");
    assertEquals(error.kind, "data");
  }));

for (
  const text of [
    "{",
    "null",
    "{}",
    '{"kind":"plat","slope":1,"intercept":0}',
    '{"kind":"platt","slope":1}',
    '{"kind":"beta","a":1,"b":"2","c":0}',
    '{"kind":"isotonic","confidences":[],"probabilities":[]}',
    '{"kind":"isotonic","confidences":[0.1,0.2],"probabilities":[0.1]}',
    '{"kind":"isotonic","confidences":[0.2,0.1],"probabilities":[0.1,0.2]}',
    '{"kind":"isotonic","confidences":[0.1,0.2],"probabilities":[0.1,1.2]}',
  ]
) {
  Deno.test(`loadCalibrator() refuses ${text}, naming the file`, () =>
    withFolder(async (folder) => {
      const path = join(folder, "calibrator.json");
      await Deno.writeTextFile(path, text);
      const error = await assertRejects(() => loadCalibrator(folder), UserError);
      assertEquals([error.kind, error.where.startsWith(path)], ["data", true]);
    }));
}
