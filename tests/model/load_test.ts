import { assert } from "@std/assert";
import { benchLoad, largeDescription, writeRandomCheckpoint } from "../../bench/load.ts";
import { WEIGHT_TYPES } from "../../model/weights.ts";
import { gpuTest } from "../kernels/_gpu.ts";
import { withFolder } from "./_files.ts";

const MEGA = 1e6;

for (const dtype of WEIGHT_TYPES) {
  gpuTest(
    `loadWeights() of 300 MB as ${dtype} takes less than 100 MB of host memory beyond them`,
    async (gpu) => {
      await withFolder(async (folder) => {
        const model = largeDescription(300 * MEGA, 2048);
        await writeRandomCheckpoint(folder, model);
        const { bytes, peakHostBytes } = await benchLoad(gpu, folder, model, dtype);
        assert(bytes >= 300 * MEGA, `${bytes} bytes`);

        assert(peakHostBytes < 100 * MEGA, `${peakHostBytes} bytes at most`);
      });
    },
  );
}
