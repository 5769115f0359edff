import { UserError } from "../core/errors.ts";
import type { Family } from "./kernel.ts";

/** Features that are used where they are to be had. Deno accepts `subgroups` but does not list it. */
const WANTED_FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

/** Limits that are raised to what the adapter has; the rest stay at WebGPU's defaults. */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
] as const;

/** What an adapter is and can do, for reports and for choosing algorithms. */
export interface AdapterSummary {
  /** As the driver names itself, e.g. "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly description: string;
  /** True for a software driver, which computes on the CPU. */
  readonly software: boolean;
  /** Which algorithms it gets. */
  readonly family: Family;
  /** How invocations of a workgroup exchange values: registers of a subgroup, or workgroup memory. */
  readonly exchange: "subgroup" | "workgroup";
  /** Invocations that exchange values: the subgroup size, or that of a workgroup. */
  readonly lanes: number;
  /** WebGPU features that the device has, sorted. */
  readonly features: readonly string[];
  /** Largest buffer a kernel can bind, in bytes. */
  readonly maxBindingBytes: number;
}

/** Choices a caller can take over from the adapter, for tests and measurements. */
export interface DeviceOptions {
  /** Algorithms to use, whatever the adapter is. */
  readonly family?: Family;
  /** How invocations exchange values; `subgroup` needs subgroups of one size. */
  readonly exchange?: AdapterSummary["exchange"];
}

/** A device with everything it has to offer, and the summary of its adapter. */
export interface OpenDevice {
  /** Has every wanted feature that the adapter grants, and its largest buffers. */
  readonly device: GPUDevice;
  /** What the adapter is, as far as kernels care. */
  readonly adapter: AdapterSummary;
}

/**
 * Opens the best adapter there is.
 *
 * @throws {UserError} of kind `adapter` when there is none
 */
export async function openDevice(options: DeviceOptions = {}): Promise<OpenDevice> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new UserError({
      kind: "adapter",
      what: "No usable WebGPU adapter",
      where: "navigator.gpu.requestAdapter()",
      fix: "install your GPU vendor's Vulkan driver, or the software one: " +
        "sudo apt-get install -y --no-install-recommends mesa-vulkan-drivers",
    });
  }
  const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]));
  const device = await requestWithFeatures(adapter, requiredLimits);
  return { device, adapter: summarise(adapter, device, options) };
}

/**
 * Asks for all wanted features, then for those the adapter lists.
 * A refused request consumes the adapter, so the second try needs a new one.
 */
async function requestWithFeatures(
  adapter: GPUAdapter,
  requiredLimits: Record<string, number>,
): Promise<GPUDevice> {
  const label = "credence";
  try {
    return await adapter.requestDevice({
      label,
      requiredLimits,
      requiredFeatures: WANTED_FEATURES as unknown as GPUFeatureName[],
    });
  } catch {
    const again = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
    const listed = WANTED_FEATURES.filter((name) => again?.features.has(name)) as unknown as GPUFeatureName[];
    return await again!.requestDevice({ label, requiredLimits, requiredFeatures: listed });
  }
}

function summarise(adapter: GPUAdapter, device: GPUDevice, options: DeviceOptions): AdapterSummary {
  const { description, vendor, device: model, isFallbackAdapter, subgroupMinSize, subgroupMaxSize } =
    adapter.info;
  const software = isFallbackAdapter || /llvmpipe|swiftshader|lavapipe/i.test(description);
  const fixedSubgroups = device.features.has("subgroups") && subgroupMinSize === subgroupMaxSize;
  const family = options.family ?? (software ? "cpu" : "gpu");
  const exchange = options.exchange ?? (fixedSubgroups ? "subgroup" : "workgroup");
  return {
    description: description || `vendor ${vendor} device ${model}`,
    software,
    family,
    exchange,
    lanes: exchange === "subgroup" ? subgroupMinSize : software ? 8 : 32,
    features: [...device.features].sort(),
    maxBindingBytes: device.limits.maxStorageBufferBindingSize,
  };
}
