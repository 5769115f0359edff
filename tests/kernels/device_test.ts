import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { type DeviceOptions, openDevice } from "../../kernels/device.ts";
import { deviceTest } from "./_gpu.ts";

const LIMITS = {
  maxBufferSize: 1000,
  maxStorageBufferBindingSize: 500,
  maxStorageBuffersPerShaderStage: 8,
  maxBindGroups: 4,
};

interface FakeAdapter {
  readonly description?: string;
  readonly isFallbackAdapter?: boolean;
  readonly subgroups?: readonly [number, number];
  /** Features it grants; a request for others fails, and uses it up. */
  readonly features?: readonly string[];
}

/** What a device was asked for. */
type Requested = { requiredFeatures: string[]; requiredLimits: Record<string, number> };

/** An adapter that describes itself as told, and notes the requests that it grants. */
function fakeAdapter(
  { description = "", isFallbackAdapter = false, subgroups = [4, 64], features = [] }: FakeAdapter,
  granted: Requested[],
): GPUAdapter {
  let consumed = false;
  return {
    limits: LIMITS,
    features: new Set(features),
    info: {
      description,
      vendor: "4318",
      device: "9000",
      isFallbackAdapter,
      subgroupMinSize: subgroups[0],
      subgroupMaxSize: subgroups[1],
    },
    requestDevice: (request: Requested) => {
      const refused = request.requiredFeatures.filter((name) => !features.includes(name));
      if (consumed) return Promise.reject(new TypeError("the adapter was used before"));
      consumed = true;
      if (refused.length > 0) return Promise.reject(new TypeError(`refused ${refused}`));
      granted.push(request);
      return Promise.resolve({ limits: LIMITS, features: new Set(request.requiredFeatures) });
    },
  } as unknown as GPUAdapter;
}

/** Opens a device of a machine whose adapter is this one, or that has none. */
async function openOn(adapter: FakeAdapter | undefined, options?: DeviceOptions) {
  const granted: Requested[] = [];
  const requestAdapter = () => Promise.resolve(adapter ? fakeAdapter(adapter, granted) : null);
  const own = Object.getOwnPropertyDescriptor(globalThis.navigator, "gpu");
  Object.defineProperty(globalThis.navigator, "gpu", { value: { requestAdapter }, configurable: true });
  try {
    return { ...await openDevice(options), granted };
  } finally {
    if (own) Object.defineProperty(globalThis.navigator, "gpu", own);
    else delete (globalThis.navigator as { gpu?: unknown }).gpu;
  }
}

Deno.test("openDevice() without an adapter says which driver to install", async () => {
  const error = await assertRejects(() => openOn(undefined), UserError, "No usable WebGPU adapter");
  assertEquals(error.exitCode, 3);
  assertStringIncludes(error.fix, "apt-get install -y --no-install-recommends mesa-vulkan-drivers");
});

Deno.test("openDevice() raises the limits that matter to what the adapter has, and no others", async () => {
  const { granted, adapter } = await openOn({});
  const { maxBindGroups: _, ...expected } = LIMITS;
  assertEquals(granted.map(({ requiredLimits }) => requiredLimits), [expected]);
  assertEquals(adapter.maxBindingBytes, 500);
});

Deno.test("openDevice() asks for features that the adapter grants without listing them", async () => {
  const features = ["timestamp-query", "subgroups", "shader-f16"];
  assertEquals((await openOn({ features })).adapter.features, ["shader-f16", "subgroups", "timestamp-query"]);
});

Deno.test("openDevice() makes do with the features there are, with a new adapter", async () => {
  const { adapter, granted } = await openOn({ features: ["timestamp-query"] });
  assertEquals(adapter.features, ["timestamp-query"]);
  assertEquals(granted.length, 1);
});

for (
  const { named, expected, ...adapter } of [
    { named: "llvmpipe", description: "llvmpipe (LLVM 15.0.6, 256 bits)", expected: true },
    { named: "SwiftShader", description: "SwiftShader Device (Subzero)", expected: true },
    { named: "a fallback adapter", isFallbackAdapter: true, expected: true },
    { named: "NVIDIA H100", description: "NVIDIA H100 PCIe", expected: false },
  ]
) {
  const kind = expected ? "software, of the cpu family" : "hardware, of the gpu family";
  Deno.test(`openDevice() takes ${named} for ${kind}`, async () => {
    const { software, family } = (await openOn(adapter)).adapter;
    assertEquals([software, family], [expected, expected ? "cpu" : "gpu"]);
  });
}

for (
  const { why, adapter, exchange, lanes } of [
    {
      why: "subgroups of one size",
      adapter: { features: ["shader-f16", "subgroups", "timestamp-query"], subgroups: [32, 32] as const },
      exchange: "subgroup",
      lanes: 32,
    },
    {
      why: "subgroups of several sizes",
      adapter: { features: ["shader-f16", "subgroups", "timestamp-query"], subgroups: [8, 32] as const },
      exchange: "workgroup",
      lanes: 32,
    },
    { why: "no subgroups", adapter: { subgroups: [32, 32] as const }, exchange: "workgroup", lanes: 32 },
    {
      why: "no subgroups in software",
      adapter: { description: "llvmpipe", subgroups: [8, 8] as const },
      exchange: "workgroup",
      lanes: 8,
    },
  ]
) {
  Deno.test(`openDevice() exchanges values of ${lanes} lanes by ${exchange} with ${why}`, async () => {
    const summary = (await openOn(adapter)).adapter;
    assertEquals([summary.exchange, summary.lanes], [exchange, lanes]);
  });
}

Deno.test("openDevice() lets the caller choose family and exchange", async () => {
  const adapter = { features: ["shader-f16", "subgroups", "timestamp-query"], subgroups: [8, 8] as const };
  const { family, exchange } = (await openOn(adapter, { family: "cpu", exchange: "workgroup" })).adapter;
  assertEquals([family, exchange], ["cpu", "workgroup"]);
});

Deno.test("openDevice() describes an adapter without a description by its numbers", async () => {
  assertEquals((await openOn({})).adapter.description, "vendor 4318 device 9000");
});

deviceTest("openDevice() opens what this machine has, with a label", ({ device, adapter }) => {
  assertEquals(device.label, "credence");
  assert(adapter.description.length > 0);
  assertEquals(adapter.maxBindingBytes, device.limits.maxStorageBufferBindingSize);
  assert(Number.isInteger(Math.log2(adapter.lanes)), `${adapter.lanes} lanes`);
  device.destroy();
  return Promise.resolve();
});
