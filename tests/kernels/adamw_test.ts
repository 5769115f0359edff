import { adamw } from "../../kernels/adamw.ts";
import { gradientNorm, gradientNormGroups } from "../../kernels/gradient_norm.ts";
import { assertClose } from "../close.ts";
import { adamw as reference, type AdamwOptions, type AdamwState } from "../reference/optimizer.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Ten steps of at most 0.01 each, with 1 - 0.999 off by 1.3e-5 in f32, and rounding of parameters up to 1.
const PARAMETERS = { absolute: 2e-6, relative: 1e-6 };
const NORM = { absolute: 0, relative: 5e-6 };
const GOLDEN = { absolute: 1e-12, relative: 1e-12 };

const OPTIONS: AdamwOptions = {
  learningRate: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0.1,
  maxNorm: 1,
};

const stateOf = (parameters: ArrayLike<number>): AdamwState => ({
  parameters: Float64Array.from(parameters),
  m: new Float64Array(parameters.length),
  v: new Float64Array(parameters.length),
});

Deno.test("the reference of adamw agrees with torch's clip_grad_norm_ and AdamW", () => {
  const state = stateOf([0.5, -0.25, 1, 0]);
  const norms = [[3, -4, 0, 1], [0.1, 0.2, -0.3, 0], [-1, 0.5, 2, 0.25]].map((gradient, index) =>
    reference(state, gradient, index + 1, OPTIONS)
  );
  assertClose(norms, [5.0990195135927845, 0.37416573867739417, 2.3048861143232218], GOLDEN);
  const parameters = [0.47952640321756274, -0.23280256485590434, 1.0002778413491273, -0.024299450536716068];
  assertClose(state.parameters, parameters, GOLDEN);
});

for (
  const { count, wide, why, ...changed } of [
    { count: 4, why: "one vector" },
    { count: 36, why: "a vector past 8 lanes" },
    { count: 1024, why: "a group" },
    { count: 1028, why: "a vector past a group" },
    { count: 20000, why: "more groups than 8 lanes" },
    { count: 40000, wide: true, why: "more groups than 32 lanes" },
    { count: 200, maxNorm: 0, why: "no clipping" },
    { count: 200, maxNorm: 1000, why: "a norm below the limit" },
    { count: 200, weightDecay: 0, why: "no weight decay" },
  ] satisfies ({ count: number; wide?: true; why: string } & Partial<AdamwOptions>)[]
) {
  const test = wide ? wideGpuTest : gpuTest;
  test(`adamw of ${count} values follows the reference for ten steps (${why})`, async (gpu) => {
    const options = { ...OPTIONS, ...changed }, groups = gradientNormGroups(count);
    const state = stateOf(noise(count, 1));
    const tensors = {
      gradient: gpu.tensor("gradient", "f32", [count]),
      partial: gpu.tensor("partial", "f32", [groups]),
      parameters: gpu.upload("parameters", noise(count, 1)),
      m: gpu.upload("m", new Float32Array(count)),
      v: gpu.upload("v", new Float32Array(count)),
      norm: gpu.upload("norm", noise(1, 2)),
    };
    for (let t = 1; t <= 10; t++) {
      const gradient = noise(count, 10 + t);
      gpu.write(tensors.gradient, gradient);
      gpu.run(gradientNorm, { params: { count, splits: 1 }, buffers: tensors });
      gpu.run(adamw, {
        params: {
          count,
          groups,
          learning_rate: options.learningRate,
          beta1: options.beta1,
          beta2: options.beta2,
          eps: options.eps,
          weight_decay: options.weightDecay,
          correction1: 1 - options.beta1 ** t,
          correction2: 1 - options.beta2 ** t,
          max_norm: options.maxNorm,
        },
        buffers: tensors,
      });
      const norm = reference(state, gradient, t, options);
      assertClose(await gpu.readF32(tensors.norm), [norm], NORM);
      assertClose(await gpu.readF32(tensors.parameters), state.parameters, PARAMETERS);
    }
    gpu.free(...Object.values(tensors));
  });
}
