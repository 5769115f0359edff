import { assertEquals } from "@std/assert";
import { dependsOnLength, ropeFrequencies, ropeTable } from "../../model/rope.ts";
import { llama } from "../../plugins/models/llama.ts";
import { assertClose } from "../close.ts";
import recorded from "../golden/families/rope.json" with { type: "json" };

// transformers computes frequencies in f32, through powers and logarithms.
const SPEEDS = { absolute: 0, relative: 4e-6 };

for (const { config, length, amplitude, speeds } of recorded) {
  const { rope_type: type, rope_theta: _, ...rest } = config.rope_parameters as Record<string, unknown>;
  const details = Object.entries(rest).map(([name, value]) => `${name} ${value}`).join(", ");
  Deno.test(`ropeFrequencies() of ${type} (${details}) at ${length} tokens are those of transformers`, () => {
    const description = llama.describe({
      model_type: "llama",
      num_hidden_layers: 1,
      vocab_size: 8,
      intermediate_size: 8,
      ...config,
    });
    const got = ropeFrequencies(description, length);
    assertClose(got.speeds, speeds, SPEEDS);
    assertClose([got.amplitude], [amplitude], SPEEDS);
  });
}

const dynamic = {
  headDim: 8,
  ropeTheta: 10000,
  ropeScaling: { type: "dynamic", factor: 2, originalContext: 16 },
} as const;

Deno.test("dependsOnLength() is true for dynamic scaling beyond the original context only", () => {
  assertEquals([16, 17].map((length) => dependsOnLength(dynamic, length)), [false, true]);
  const linear = { ...dynamic, ropeScaling: { type: "linear", factor: 2 } } as const;
  assertEquals(dependsOnLength(linear, 17), false);
});

Deno.test("ropeFrequencies() of dynamic scaling are unscaled up to the original context", () => {
  const plain = ropeFrequencies({ headDim: 8, ropeTheta: 10000 }).speeds;
  assertEquals(ropeFrequencies(dynamic, 16).speeds, plain);
  assertEquals(ropeFrequencies(dynamic, 17).speeds[3] < plain[3], true);
});

Deno.test("ropeTable() holds cosine and sine of each pair's angle, times the amplitude", () => {
  const frequencies = { speeds: Float64Array.of(1, 0.5), amplitude: 2 };
  const expected = [0, 3].flatMap((position) =>
    [1, 0.5].flatMap((speed) => [2 * Math.cos(position * speed), 2 * Math.sin(position * speed)])
  );
  assertClose(ropeTable([0, 3], 2, () => frequencies), expected, { absolute: 2e-7, relative: 0 });
});
