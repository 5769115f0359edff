import { assert, assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { createRng } from "../../core/rng.ts";
import type { LoraOptions, TransformerDescription } from "../../core/types.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { LINEAR_NAMES, LoraAdapter } from "../../model/adapter.ts";
import { gpuTest } from "../kernels/_gpu.ts";

/** Every width differs from every other. */
const MODEL: TransformerDescription = {
  layers: 2,
  width: 40,
  heads: 6,
  kvHeads: 3,
  headDim: 8,
  feedForward: 72,
  vocabulary: 10,
  contextLength: 32,
  normEpsilon: 1e-5,
  ropeTheta: 10000,
  tiedEmbeddings: true,
};

const OPTIONS: LoraOptions = { rank: 8, alpha: 32, dropout: 0.1, targetModules: ["q_proj", "v_proj"] };

/** Runs with an adapter, and frees it. */
async function withAdapter(
  gpu: Gpu,
  options: Partial<LoraOptions>,
  work: (adapter: LoraAdapter) => Promise<void> | void,
): Promise<void> {
  const adapter = new LoraAdapter(gpu, MODEL, { ...OPTIONS, ...options });
  try {
    await work(adapter);
  } finally {
    adapter.free();
  }
}

/** All values of an adapter fresh from a seed. */
async function initialValues(gpu: Gpu, options: Partial<LoraOptions>, seed: number): Promise<Float32Array> {
  let values = new Float32Array();
  await withAdapter(gpu, options, async (adapter) => {
    adapter.initialise(createRng(seed));
    values = await gpu.readF32(adapter.values);
  });
  return values;
}

gpuTest("LoraAdapter has A and B of every named layer, in the layers' shapes", async (gpu) => {
  await withAdapter(gpu, { targetModules: LINEAR_NAMES }, (adapter) => {
    const shapes = adapter.sites.filter(({ layer }) => layer === 1).map((
      { name, a, b },
    ) => [name, a.shape, b.shape]);
    assertEquals(shapes, [
      ["q_proj", [8, 40], [48, 8]],
      ["k_proj", [8, 40], [24, 8]],
      ["v_proj", [8, 40], [24, 8]],
      ["o_proj", [8, 48], [40, 8]],
      ["gate_proj", [8, 40], [72, 8]],
      ["up_proj", [8, 40], [72, 8]],
      ["down_proj", [8, 72], [40, 8]],
    ]);
    assertEquals(adapter.sites.map(({ index }) => index), [...Array(14).keys()]);
  });
});

gpuTest("LoraAdapter.site() finds a layer that is adapted and no other", async (gpu) => {
  await withAdapter(gpu, {}, (adapter) => {
    assertEquals(adapter.site(1, "v_proj")?.index, 3);
    assertEquals(adapter.site(1, "k_proj"), undefined);
    assertEquals(adapter.site(2, "v_proj"), undefined);
  });
});

gpuTest("LoraAdapter scales by alpha / rank, whatever the rank in memory", async (gpu) => {
  await withAdapter(gpu, { rank: 3, alpha: 6 }, ({ sites: [{ scale, rank, paddedRank }] }) => {
    assertEquals([scale, rank, paddedRank], [2, 3, 4]);
  });
});

for (const [rank, stored] of [[1, 4], [4, 4], [5, 8], [8, 8]]) {
  gpuTest(
    `LoraAdapter of rank ${rank} keeps ${stored} rows of A, counts ${rank}, and leaves the others 0`,
    async (gpu) => {
      await withAdapter(gpu, { rank }, async (adapter) => {
        adapter.initialise(createRng(1));
        // Two layers of q_proj [48, 40] and v_proj [24, 40].
        assertEquals(adapter.parameters, 2 * rank * (48 + 40 + 24 + 40));
        const values = await gpu.readF32(adapter.values);
        for (const { a, aFirst, inputs } of adapter.sites) {
          assertEquals(a.shape, [stored, inputs]);
          const zeros = values.subarray(aFirst, aFirst + stored * inputs).map((value) => value === 0 ? 1 : 0);
          assertEquals(zeros.indexOf(1), rank === stored ? -1 : rank * inputs);
        }
      });
    },
  );
}

gpuTest(
  "LoraAdapter lays its matrices one behind the other, each at a multiple of 256 bytes",
  async (gpu) => {
    await withAdapter(gpu, { rank: 3, targetModules: LINEAR_NAMES }, ({ sites, values }) => {
      let end = 0;
      for (const { paddedRank: rank, inputs, outputs, a, aFirst, b, bFirst } of sites) {
        for (
          const [tensor, first, count] of [[a, aFirst, rank * inputs], [b, bFirst, outputs * rank]] as const
        ) {
          assert(first >= end && first - end < 64, `${tensor.label} begins at ${first}, not at ${end}`);
          assertEquals([first % 64, tensor.offset], [0, values.offset + 4 * first]);
          end = first + count;
        }
      }
      assert(values.shape[0] >= end && values.shape[0] - end < 64);
    });
  },
);

gpuTest(
  "LoraAdapter.initialise() draws A from ±1/√inputs, all over, and leaves B and the gaps 0",
  async (gpu) => {
    await withAdapter(gpu, {}, async (adapter) => {
      adapter.initialise(createRng(1));
      const values = await gpu.readF32(adapter.values);
      for (const { aFirst, inputs } of adapter.sites) {
        const a = values.subarray(aFirst, aFirst + 8 * inputs), bound = 1 / Math.sqrt(inputs);
        assert(a.every((value) => Math.abs(value) <= bound));
        const mean = a.reduce((sum, value) => sum + value, 0) / a.length;
        const square = a.reduce((sum, value) => sum + value ** 2, 0) / a.length;
        // 320 draws: five standard errors of the mean and of the mean square of a uniform distribution.
        assert(Math.abs(mean) < 5 * bound / Math.sqrt(3 * a.length), `mean ${mean}`);
        assert(
          Math.abs(square - bound ** 2 / 3) < 5 * bound ** 2 * Math.sqrt(4 / 45 / a.length),
          `square ${square}`,
        );
        a.fill(0);
      }
      assertEquals(values, new Float32Array(values.length));
    });
  },
);

gpuTest("LoraAdapter.initialise() gives the same values for a seed, others for another", async (gpu) => {
  const first = await initialValues(gpu, {}, 1);
  assertEquals(await initialValues(gpu, {}, 1), first);
  const other = await initialValues(gpu, {}, 2);
  assert(first.some((value, index) => value !== other[index]));
});

gpuTest("LoraAdapter does not depend on the order in which layers are named", async (gpu) => {
  const first = await initialValues(gpu, { targetModules: ["q_proj", "v_proj"] }, 1);
  assertEquals(await initialValues(gpu, { targetModules: ["v_proj", "q_proj", "v_proj"] }, 1), first);
});

for (
  const [title, options, message] of [
    ["targets of which no layer has the name", { targetModules: ["c_attn"] }, "names no layer of the model"],
    ["no targets", { targetModules: [] }, "names no layer of the model"],
    ["the output layer", { targetModules: ["q_proj", "lm_head"] }, 'reaches "lm_head"'],
    ["rank 0 for some layer", { rankPattern: { v_proj: 0 } }, "The rank is 0"],
    ["alpha 0 for some layer", { alphaPattern: { v_proj: 0 } }, "Alpha is 0"],
    ["rank 0", { rank: 0 }, "The rank is 0"],
    ["rank 1.5", { rank: 1.5 }, "The rank is 1.5"],
    ["alpha 0", { alpha: 0 }, "Alpha is 0"],
    ["an infinite alpha", { alpha: Infinity }, "Alpha is Infinity"],
    ["dropout 1", { dropout: 1 }, "The dropout is 1"],
    ["a dropout below 0", { dropout: -0.1 }, "The dropout is -0.1"],
    ["a dropout that is no number", { dropout: NaN }, "The dropout is NaN"],
  ] as const
) {
  gpuTest(`LoraAdapter refuses ${title}`, async (gpu) => {
    await Promise.resolve();
    assertThrows(() => new LoraAdapter(gpu, MODEL, { ...OPTIONS, ...options }), UserError, message);
  });
}

gpuTest("LoraAdapter with biases counts them, and begins with zeros", async (gpu) => {
  await withAdapter(gpu, { loraBias: true }, async (adapter) => {
    adapter.initialise(createRng(1));
    // Two layers of q_proj [48, 40] and v_proj [24, 40].
    assertEquals(adapter.parameters, 2 * (8 * (48 + 40 + 24 + 40) + 48 + 24));
    const values = await gpu.readF32(adapter.values);
    for (const { bias, biasFirst, bFirst, outputs } of adapter.sites) {
      assertEquals([bias?.shape, bias?.offset], [[outputs], adapter.values.offset + 4 * biasFirst!]);
      assert(biasFirst! >= bFirst + 8 * outputs && biasFirst! % 64 === 0);
      assertEquals(values.slice(biasFirst, biasFirst! + outputs), new Float32Array(outputs));
    }
  });
});
