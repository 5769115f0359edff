import { routeExpertsBackward } from "../../kernels/route_experts_backward.ts";
import { assertClose } from "../close.ts";
import { centralDifferences, inner } from "../reference/central_differences.ts";
import { expertWeights, routeExperts, routeExpertsBackward as reference } from "../reference/experts.ts";
import { gpuTest, noise } from "./_gpu.ts";

// Sums of a few products of values up to 1, which may cancel.
const TOLERANCE = { absolute: 5e-7, relative: 2e-6 };
// Truncation and rounding of differences with a step of 1e-5 in f64.
const DIFFERENCES = { absolute: 1e-9, relative: 1e-8 };

Deno.test("the reference of route_experts_backward is the gradient of the weights of route_experts", () => {
  const shape = { tokens: 3, count: 5, perToken: 3 };
  const logits = noise(15, 1), dweights = noise(9, 2);
  const routing = routeExperts(logits, shape);
  const numeric = centralDifferences(
    (at) => inner(expertWeights(at, routing.experts, shape), dweights),
    logits,
  );
  assertClose(reference(routing, dweights, shape), numeric, DIFFERENCES, [3, 5]);
});

for (
  const { tokens, count, perToken, why } of [
    { tokens: 0, count: 4, perToken: 2, why: "no tokens" },
    { tokens: 1, count: 1, perToken: 1, why: "one expert, whose weight is always 1" },
    { tokens: 63, count: 8, perToken: 2, why: "a token less than a workgroup" },
    { tokens: 64, count: 5, perToken: 5, why: "a workgroup, all experts chosen" },
    { tokens: 65, count: 6, perToken: 3, why: "a token more than a workgroup" },
  ]
) {
  gpuTest(
    `route_experts_backward of ${tokens} tokens, ${perToken} of ${count} matches the reference (${why})`,
    async (gpu) => {
      const shape = { tokens, count, perToken }, stride = Math.ceil(count / 4) * 4;
      const dweights = noise(tokens * perToken, 2);
      const routing = routeExperts(noise(tokens * count, 1), shape);
      const tensors = {
        experts: gpu.upload("experts", Uint32Array.from(routing.experts)),
        weights: gpu.upload("weights", Float32Array.from(routing.weights)),
        dweights: gpu.upload("dweights", dweights),
        dlogits: gpu.upload("dlogits", noise(tokens * stride, 3), [tokens, stride]),
      };
      gpu.run(routeExpertsBackward, { params: { tokens, per_token: perToken, stride }, buffers: tensors });
      const compact = reference(routing, dweights, shape);
      const expected = Float64Array.from({ length: tokens * stride }, (_, index) => {
        const column = index % stride;
        return column < count ? compact[Math.floor(index / stride) * count + column] : 0;
      });
      assertClose(await gpu.readF32(tensors.dlogits), expected, TOLERANCE, [tokens, stride]);
      gpu.free(...Object.values(tensors));
    },
  );
}
