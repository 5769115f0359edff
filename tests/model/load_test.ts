import { assert, assertEquals } from "@std/assert";
import { benchLoad, largeDescription, writeRandomCheckpoint } from "../../bench/load.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { withFolder } from "./_files.ts";

const MEGA = 1e6;

gpuTest("loadWeights() of 700 MB takes less host memory beyond them than the checkpoint has", async (gpu) => {
  await withFolder(async (folder) => {
    const model = largeDescription(700 * MEGA);
    await writeRandomCheckpoint(folder, model);
    const { bytes, largestTensorBytes, peakHostBytes } = await benchLoad(gpu, folder, model, "auto");
    assert(bytes >= 700 * MEGA, `${bytes} bytes`);
    assertEquals(largestTensorBytes, 2 * 32000 * 4096);
    // Kept whole on the host, its copy would take all 700; in pieces it takes less than the largest tensor and 200.
    assert(peakHostBytes < largestTensorBytes + 200 * MEGA, `${peakHostBytes} bytes at most`);
  });
});
