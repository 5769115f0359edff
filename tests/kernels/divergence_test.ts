import { assert } from "@std/assert";
import { divergence, DIVERGENCE_KIND } from "../../kernels/divergence.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { assertClose } from "../close.ts";
import { centralDifferences } from "../reference/central_differences.ts";
import { divergence as reference, divergenceBackward, type DivergenceKind } from "../reference/loss.ts";
import { gpuTest, noise, wideGpuTest } from "./_gpu.ts";

// Log probabilities down to -20 are rounded to 2e-6, and WGSL allows log an absolute error of 5e-7.
const TOLERANCE = { absolute: 4e-6, relative: 4e-6 };
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-9, relative: 1e-8 };
const KINDS = Object.keys(DIVERGENCE_KIND) as DivergenceKind[];

const TORCH: Readonly<Record<DivergenceKind, { loss: number; gradient: number[] }>> = {
  jsd: {
    loss: 0.23801871574166825,
    gradient: [-0.07076766416612464, -0.022645929216625296, 0.1375611297522387, -0.044147536369488774],
  },
  forward_kl: {
    loss: 0.9135080789228176,
    gradient: [-0.3197560209699158, -0.13995704637420905, 0.6270848453121736, -0.16737177796804853],
  },
  reverse_kl: {
    loss: 1.309424458364882,
    gradient: [-0.37512009996784274, -0.10090782861377985, 0.7381422055053551, -0.26211427692373285],
  },
};

interface Case {
  readonly rows: number;
  readonly vocabulary: number;
  readonly stride: number;
}

async function run(
  gpu: Gpu,
  logits: Float32Array<ArrayBuffer>,
  teacher: Float32Array<ArrayBuffer>,
  { rows, vocabulary, stride, kind, scale }: Case & { kind: DivergenceKind; scale: number },
): Promise<{ losses: Float32Array; gradients: Float32Array }> {
  const tensors = {
    logits: gpu.upload("logits", logits, [rows, stride]),
    reference: gpu.upload("reference", teacher, [rows, stride]),
    loss: gpu.upload("loss", noise(rows, 9)),
  };
  gpu.run(divergence, {
    params: { rows, vocabulary, stride, kind: DIVERGENCE_KIND[kind], scale },
    buffers: tensors,
  });
  const losses = await gpu.readF32(tensors.loss), gradients = await gpu.readF32(tensors.logits);
  gpu.free(...Object.values(tensors));
  return { losses, gradients };
}

for (const kind of KINDS) {
  Deno.test(`the reference of divergence, ${kind}, agrees with torch's kl_div`, () => {
    const student = [0.5, -1, 2, 0.25], teacher = [1, 0, -1, 0.5];
    assertClose([reference(student, teacher, kind)], [TORCH[kind].loss], DIFFERENCES);
    assertClose(divergenceBackward(student, teacher, kind), TORCH[kind].gradient, DIFFERENCES);
  });

  Deno.test(`the reference of divergence's gradient, ${kind}, is the gradient of its loss`, () => {
    const student = noise(9, 1).map((value) => value * 4), teacher = noise(9, 2).map((value) => value * 4);
    const gradient = centralDifferences((at) => reference(at, teacher, kind), student);
    assertClose(divergenceBackward(student, teacher, kind), gradient, DIFFERENCES);
  });

  for (
    const { size, wide, why, ...shape } of [
      { rows: 0, vocabulary: 8, stride: 8, size: 4, why: "no rows" },
      { rows: 1, vocabulary: 2, stride: 4, size: 4, why: "one row, two tokens" },
      { rows: 3, vocabulary: 28, stride: 28, size: 4, why: "a vector short of 8 lanes" },
      { rows: 3, vocabulary: 32, stride: 32, size: 4, why: "a vector for each of 8 lanes" },
      { rows: 3, vocabulary: 33, stride: 36, size: 4, why: "a token past 8 lanes" },
      {
        rows: 3,
        vocabulary: 129,
        stride: 136,
        size: 4,
        wide: true,
        why: "a token past 32 lanes, a vector of padding",
      },
      { rows: 17, vocabulary: 1003, stride: 1004, size: 8, why: "many vectors for each lane" },
      { rows: 5, vocabulary: 19, stride: 20, size: 80, why: "probabilities that underflow" },
    ]
  ) {
    const { rows, vocabulary, stride } = shape;
    const name = `divergence ${kind} [${rows}, ${vocabulary} of ${stride}] of logits up to ${size}`;
    const test = wide ? wideGpuTest : gpuTest;
    test(`${name} matches the reference (${why})`, async (gpu) => {
      const scale = 0.5;
      const logits = noise(rows * stride, 1).map((value) => value * size);
      // Far above the student, so that neither may be shifted by the other's maximum.
      const teacher = noise(rows * stride, 2).map((value) => value * size + 100);
      const losses: number[] = [], gradients = new Float64Array(rows * stride);
      for (let r = 0; r < rows; r++) {
        const student = logits.subarray(r * stride, r * stride + vocabulary);
        const other = teacher.subarray(r * stride, r * stride + vocabulary);
        losses.push(reference(student, other, kind));
        gradients.set(divergenceBackward(student, other, kind).map((value) => scale * value), r * stride);
      }
      const actual = await run(gpu, logits, teacher, { ...shape, kind, scale });
      assertClose(actual.losses, losses, TOLERANCE);
      assertClose(actual.gradients, gradients, TOLERANCE, [rows, stride]);
      const padding = actual.gradients.filter((_, index) => index % stride >= vocabulary);
      assert(padding.every((value) => value === 0), "padding is not exactly zero");
    });
  }

  gpuTest(`divergence ${kind} of equal rows is zero, and so is its gradient`, async (gpu) => {
    const shape = { rows: 7, vocabulary: 101, stride: 104 };
    const logits = noise(shape.rows * shape.stride, 1).map((value) => value * 10);
    const { losses, gradients } = await run(gpu, logits, logits, { ...shape, kind, scale: 1 });
    assertClose(losses, new Float64Array(shape.rows), { absolute: 1e-7, relative: 0 });
    assertClose(gradients, new Float64Array(gradients.length), { absolute: 1e-9, relative: 0 });
  });
}
