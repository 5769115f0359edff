import {
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { OpenDevice } from "../../kernels/device.ts";
import { defineKernel, type Kernel } from "../../kernels/kernel.ts";
import { PipelineCache } from "../../kernels/pipeline_cache.ts";
import { deviceTest } from "./_gpu.ts";
import { shift, SHIFT_SOURCE } from "./_kernels.ts";

const HEADER = `struct Params {
  count: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<Packed>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const row_tile = 4u;
`;

/** A kernel with packed weights, lanes and a constant, whose body is these lines from line 12 on. */
function kernelOf(...body: string[]): Kernel {
  return defineKernel({
    name: "test",
    source: {
      file: "tests/test.wgsl",
      text: `${HEADER}
@compute @workgroup_size(lanes)
fn test(@builtin(local_invocation_index) lane: u32) {
${body.join("\n")}
}`,
    },
    uses: ["lanes", "weights"],
    params: { count: "u32" },
    buffers: { weight: "read", y: "read_write" },
    packed: "weight",
    constants: { cpu: { row_tile: 4 }, gpu: { row_tile: 8 } },
    shapes: ({ count }) => ({ weight: [count], y: [count] }),
    workgroups: () => [1, 1, 1],
  }) as unknown as Kernel;
}

const working = kernelOf(
  "  enter(lane);",
  "  y[lane] = unpack(weight[lane], 0u, 1.0).x + f32(row_tile * params.count);",
);

/** A test with a cache for this adapter, where exchange goes through workgroup memory. */
function cacheTest(
  name: string,
  test: (cache: PipelineCache, opened: OpenDevice) => Promise<void> | void,
): void {
  deviceTest(name, async ({ device, adapter }) => {
    const opened: OpenDevice = {
      device,
      adapter: { ...adapter, family: "cpu", exchange: "workgroup", lanes: 8 },
    };
    await test(new PipelineCache(device, opened.adapter), opened);
    device.destroy();
  });
}

cacheTest("PipelineCache.get() compiles a variant once", async (cache) => {
  assertEquals(cache.get(working, { row_tile: 2 }, "f32").id, cache.get(working, { row_tile: 2 }, "f32").id);
  await cache.check();
});

cacheTest("PipelineCache.get() compiles each weight type and each constant by itself", async (cache) => {
  const ids = [
    cache.get(working, {}, "f32"),
    cache.get(working, {}, "f16"),
    cache.get(working, {}, "bf16"),
    cache.get(working, { row_tile: 2 }, "f32"),
  ].map(({ id }) => id);
  assertEquals(new Set(ids).size, 4);
  await cache.check();
});

cacheTest("PipelineCache.get() keeps kernels of one name apart", async (cache) => {
  const other = kernelOf("  enter(lane);", "  y[lane] = 0.0 + unpack(weight[0], 0u, 1.0).x;");
  assertNotEquals(cache.get(working, {}, "f32").id, cache.get(other, {}, "f32").id);
  await cache.check();
});

cacheTest("PipelineCache.get() labels a pipeline with weight type and constants", async (cache) => {
  const { label, name } = cache.get(working, { row_tile: 2 }, "bf16");
  assertEquals([label, name], ["test<bf16, row_tile=2, lanes=8>", "test"]);
  assertEquals(cache.get(shift as unknown as Kernel, {}, undefined).label, "shift");
  await cache.check();
});

cacheTest(
  "PipelineCache.get() takes the family's constants unless the call sets them",
  async (cache, { device, adapter }) => {
    assertEquals(cache.get(working, {}, "f32").constants, { lanes: 8, row_tile: 4 });
    assertEquals(cache.get(working, { row_tile: 2 }, "f32").constants, { lanes: 8, row_tile: 2 });
    const gpu = new PipelineCache(device, { ...adapter, family: "gpu", lanes: 32 });
    assertEquals(gpu.get(working, {}, "f32").constants, { lanes: 32, row_tile: 8 });
    await cache.check();
  },
);

cacheTest(
  "PipelineCache.get() takes the source of the adapter's family",
  async (cache, { device, adapter }) => {
    const { text } = SHIFT_SOURCE;
    const twice = defineKernel({
      ...shift,
      source: {
        cpu: { file: "tests/cpu.wgsl", text },
        gpu: { file: "tests/gpu.wgsl", text: `${text}\nbroken` },
      },
    }) as unknown as Kernel;
    cache.get(twice, {}, undefined);
    await cache.check();
    const gpu = new PipelineCache(device, { ...adapter, family: "gpu" });
    gpu.get(twice, {}, undefined);
    await assertRejects(() => gpu.check(), UserError, "tests/gpu.wgsl:");
  },
);

cacheTest("PipelineCache.get() refuses a constant that the kernel does not have", (cache) => {
  assertThrows(() => cache.get(working, { rows: 2 }, "f32"), UserError, 'No constant named "rows"');
});

cacheTest(
  "PipelineCache.check() points at file and line of a compile error, behind the joined files",
  async (cache) => {
    cache.get(kernelOf("  enter(lane);", "  let a = 1u + missing;"), {}, "f32");
    const error = await assertRejects(
      () => cache.check(),
      UserError,
      "Cannot compile test<f32, row_tile=4, lanes=8>",
    );
    assertEquals([error.where, error.kind], ["tests/test.wgsl:14: let a = 1u + missing;", "internal"]);
    assertStringIncludes(error.what, "missing");
    assertEquals(error.what.split("\n").length, 1);
  },
);

cacheTest("PipelineCache.check() points at the line of an expanded loop's body", async (cache) => {
  const body = [
    "  for (var r = 0u; r < row_tile; r++) { // @unroll",
    "    let a = 1.0 + vec4u(r);",
    "  }",
    "  enter(lane);",
  ];
  cache.get(kernelOf(...body), {}, "f32");
  const error = await assertRejects(() => cache.check(), UserError);
  assertMatch(error.where, /^tests\/test\.wgsl:14: /);
});

cacheTest("PipelineCache.check() throws each error once", async (cache) => {
  cache.get(kernelOf("  missing();"), {}, "f32");
  await assertRejects(() => cache.check(), UserError);
  await cache.check();
});
