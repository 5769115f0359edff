import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../kernels/gpu.ts";
import { routeExperts } from "../../kernels/route_experts.ts";
import { assertClose } from "../close.ts";
import { routeExperts as reference } from "../reference/experts.ts";
import { crowded, type Spread } from "./_expert_cases.ts";
import { gpuTest, noise, noiseIndices, wideGpuTest } from "./_gpu.ts";

// A few exponentials of numbers from -4 to 0 at 3 + 2 |x| ULP, and a division.
const TOLERANCE = { absolute: 1e-6, relative: 2e-6 };

/** What the kernel gives, from logits in rows of `stride`. */
async function run(
  gpu: Gpu,
  logits: Float32Array<ArrayBuffer>,
  { tokens, count, perToken, adapted = tokens }: Omit<Spread, "why">,
  stride = count,
) {
  const choice = (label: string) => gpu.upload(label, new Uint32Array(tokens * perToken).fill(0xffff));
  const tensors = {
    logits: gpu.upload("logits", logits, [tokens, stride]),
    experts: choice("experts"),
    weights: gpu.upload("weights", noise(tokens * perToken, 3)),
    slots: choice("slots"),
    choices: choice("choices"),
    spans: gpu.upload("spans", new Uint32Array(count * 3).fill(0xffff)),
  };
  gpu.run(routeExperts, {
    params: { tokens, count, per_token: perToken, stride, adapted },
    buffers: tensors,
  });
  const { experts, weights, slots, choices, spans } = tensors;
  const values = await gpu.read(experts, slots, choices, spans, weights);
  gpu.free(...Object.values(tensors));
  const [chosen, slotOf, choiceIn, bounds] = values.slice(0, 4).map((list) => [...list]);
  return { experts: chosen, slots: slotOf, choices: choiceIn, spans: bounds, weights: [...values[4]] };
}

const SPREADS: readonly (Spread & { readonly wide?: boolean })[] = [
  { tokens: 1, count: 1, perToken: 1, why: "one token, one expert" },
  { tokens: 1, count: 8, perToken: 2, why: "one token, as in decoding: experts without any" },
  { tokens: 2, count: 4, perToken: 4, why: "all experts chosen" },
  { tokens: 7, count: 3, perToken: 2, why: "a token less than lanes, an expert less than four" },
  { tokens: 8, count: 4, perToken: 2, why: "a token for each lane, four experts" },
  { tokens: 9, count: 5, perToken: 2, why: "a token more than lanes, an expert more than four" },
  { tokens: 31, count: 8, perToken: 2, why: "a token less than 32 lanes", wide: true },
  { tokens: 32, count: 8, perToken: 2, why: "a token for each of 32 lanes", wide: true },
  { tokens: 33, count: 9, perToken: 3, why: "a token more than 32 lanes", wide: true },
  { tokens: 300, count: 8, perToken: 2, adapted: 171, why: "many tokens, some with an adapter" },
  { tokens: 20, count: 8, perToken: 2, adapted: 0, why: "no token with an adapter" },
  { tokens: 40, count: 6, perToken: 2, logits: crowded(40, 6), why: "all tokens on the last two experts" },
  {
    tokens: 40,
    count: 6,
    perToken: 3,
    logits: Float32Array.from(noiseIndices(240, 3, 5)),
    why: "ties, of which the first expert counts",
  },
  { tokens: 9, count: 6, perToken: 3, logits: new Float32Array(54).fill(2), why: "all logits equal" },
  {
    tokens: 9,
    count: 6,
    perToken: 2,
    logits: noise(54, 4).map((value) => value * 1e4),
    why: "logits whose exponentials underflow",
  },
];

for (const { logits, why, wide, ...shape } of SPREADS) {
  const { tokens, count, perToken } = shape;
  const test = wide ? wideGpuTest : gpuTest;
  test(`route_experts of ${tokens} tokens to ${perToken} of ${count} matches the reference (${why})`, async (gpu) => {
    const values = logits ?? noise(tokens * count, 1).map((value) => 2 * value);
    const { weights, ...choices } = await run(gpu, values, shape);
    const { weights: expected, ...places } = reference(values, shape);
    assertEquals(choices, places);
    assertClose(weights, expected, TOLERANCE, [tokens, perToken]);
  });
}

gpuTest("route_experts reads only the first columns of wider rows", async (gpu) => {
  const shape = { tokens: 5, count: 3, perToken: 2 };
  const logits = noise(15, 1);
  const wide = Float32Array.from(
    { length: 20 },
    (_, index) => index % 4 < 3 ? logits[index - (index >> 2)] : NaN,
  );
  const { weights, ...choices } = await run(gpu, wide, shape, 4);
  const { weights: expected, ...places } = reference(logits, shape);
  assertEquals(choices, places);
  assertClose(weights, expected, TOLERANCE);
});

gpuTest("route_experts with no tokens does nothing", async (gpu) => {
  const { experts, spans } = await run(gpu, new Float32Array(), { tokens: 0, count: 2, perToken: 2 });
  assertEquals([experts, spans], [[], new Array(6).fill(0xffff)]);
});

gpuTest("route_experts gives every choice a slot of its own, also where logits are NaN", async (gpu) => {
  const shape = { tokens: 6, count: 5, perToken: 3 };
  const logits = noise(30, 1);
  logits.fill(NaN, 5, 10);
  logits[12] = logits[14] = logits[11] = NaN;
  const { experts, slots, choices, weights, spans } = await run(gpu, logits, shape);
  assert(experts.every((expert) => expert < shape.count), `${experts}`);
  assertEquals(slots.toSorted((a, b) => a - b), slots.map((_, index) => index));
  assertEquals(slots.map((slot) => choices[slot]), slots.map((_, index) => index));
  assertEquals(spans.at(-1), 18);
  const sound = reference(logits, shape);
  for (const token of [0, 3, 4, 5]) {
    const own = [3 * token, 3 * token + 3] as const;
    assertEquals(experts.slice(...own), sound.experts.slice(...own));
    assertClose(weights.slice(...own), sound.weights.slice(...own), TOLERANCE);
  }
});
