import { assert, assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import type { Tensor } from "../../kernels/tensor.ts";
import {
  checkSequences,
  type GroupBatch,
  inBatches,
  packCached,
  type PackedBatch,
  packGroups,
  TOKENS_AT_ONCE,
} from "../../model/batch.ts";
import { gpuTest } from "../kernels/_gpu.ts";

for (
  const { lengths, size, cut, why } of [
    { lengths: [], size: 2, cut: [], why: "nothing" },
    { lengths: [1, 2, 3], size: 2, cut: [[1, 2], [3]], why: "as many as fit" },
    {
      lengths: [TOKENS_AT_ONCE - 1, 1, 1],
      size: 8,
      cut: [[TOKENS_AT_ONCE - 1, 1], [1]],
      why: "as many tokens as are read at once",
    },
    {
      lengths: [1, TOKENS_AT_ONCE + 1, 1],
      size: 8,
      cut: [[1], [TOKENS_AT_ONCE + 1], [1]],
      why: "what is longer by itself",
    },
  ]
) {
  Deno.test(`inBatches() of ${size} cuts lengths ${lengths.join(", ")}: ${why}`, () =>
    assertEquals([...inBatches(lengths, size, (length) => length)], cut));
}

/** Runs with a packed batch, and frees it. */
async function withBatch(
  gpu: Gpu,
  batch: Partial<GroupBatch>,
  work: (packed: PackedBatch, read: (tensor: Tensor) => Promise<number[]>) => Promise<void>,
): Promise<void> {
  const packed = packGroups(gpu, { adapted: [], plain: [], outputs: [], backward: false, ...batch }, 2);
  try {
    await work(packed, async (tensor) => [...(await gpu.read(tensor))[0]]);
  } finally {
    packed.free();
  }
}

/** Tiles in the order of their rows; they are stored in the order of their work. */
function sorted(values: readonly number[], width: number): number[][] {
  const rows = Array.from(
    { length: values.length / width },
    (_, row) => values.slice(row * width, (row + 1) * width),
  );
  return rows.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]);
}

gpuTest(
  "packGroups() lays tokens end to end, prefix before branches, and counts positions along each path",
  async (gpu) => {
    const plain = [
      { id: 0, prefix: [10, 11, 12], branches: [[20, 21], [30]] },
      { id: 1, prefix: [40], branches: [] },
    ];
    await withBatch(gpu, { plain }, async (packed, read) => {
      assertEquals(await read(packed.ids), [10, 11, 12, 20, 21, 30, 40]);
      assertEquals(await read(packed.positions), [0, 1, 2, 3, 4, 3, 0]);
      assertEquals(packed.rowPositions, [0, 1, 2, 3, 4, 3, 0]);
      assertEquals(packed.rowLengths, [5, 5, 5, 5, 5, 5, 1]);
      assertEquals(packed.rows, 7);
    });
  },
);

gpuTest("packGroups() lets a branch read its prefix and itself, not the other branches", async (gpu) => {
  const plain = [
    { id: 0, prefix: [1], branches: [] },
    { id: 1, prefix: [1, 1, 1], branches: [[1, 1], [1]] },
  ];
  await withBatch(gpu, { plain }, async ({ schedule }, read) => {
    // first_row, first_item, item_count, prefix_start, prefix_end, own_start, own_end, unused; two items a row.
    assertEquals(sorted(await read(schedule.tiles), 8), [
      [0, 0, 2, 0, 0, 0, 1, 0],
      [1, 0, 6, 0, 0, 1, 2, 0],
      [4, 0, 4, 1, 4, 4, 5, 0],
      [6, 0, 2, 1, 4, 6, 7, 0],
    ]);
  });
});

gpuTest("packGroups() accepts an empty prefix and an empty branch", async (gpu) => {
  const plain = [{ id: 0, prefix: [], branches: [[5, 6], []] }, { id: 1, prefix: [7], branches: [[]] }];
  await withBatch(gpu, { plain, outputs: [1, 2] }, async (packed, read) => {
    assertEquals(await read(packed.ids), [5, 6, 7]);
    assertEquals(await read(packed.positions), [0, 1, 0]);
    assertEquals(sorted(await read(packed.schedule.tiles), 8).map(([first, , count]) => [first, count]), [[
      0,
      4,
    ], [2, 2]]);
  });
});

gpuTest("packGroups() puts adapted groups first, and counts their rows and outputs", async (gpu) => {
  const adapted = [{ id: 0, prefix: [1, 2], branches: [[3]] }],
    plain = [{ id: 0, prefix: [4, 5], branches: [] }];
  await withBatch(gpu, { adapted, plain, outputs: [1, 2, 4] }, async (packed, read) => {
    assertEquals(await read(packed.ids), [1, 2, 3, 4, 5]);
    assertEquals(await read(packed.outputs), [1, 2, 4]);
    assertEquals([packed.adaptedRows, packed.adaptedOutputs, packed.outputRows], [3, 2, 3]);
  });
});

gpuTest(
  "packGroups() schedules a backward pass for adapted rows only, and only if one follows",
  async (gpu) => {
    const adapted = [{ id: 0, prefix: [1, 2], branches: [[3]] }],
      plain = [{ id: 0, prefix: [4, 5], branches: [] }];
    await withBatch(gpu, { adapted, plain, backward: true }, async ({ schedule: { backward } }, read) => {
      assertEquals(sorted(await read(backward!.tiles), 8).map(([row]) => row), [0, 2]);
      // first_key, key_count, query_end, unused: the branch reads the prefix's keys too.
      assertEquals(sorted(await read(backward!.keyTiles), 4), [[0, 2, 3, 0], [2, 1, 3, 0]]);
    });
    await withBatch(gpu, { adapted, plain }, ({ schedule }) => {
      assertEquals(schedule.backward, undefined);
      return Promise.resolve();
    });
  },
);

gpuTest(
  "packGroups() numbers the tokens of examples and branches apart, at the lengths it promises",
  async (gpu) => {
    const path = Array<number>(16384).fill(1);
    const branches = [path.slice(1), path.slice(1), path.slice(1)];
    const adapted = [0, 1, 2, 65535].map((id) =>
      id % 2 ? { id, prefix: path, branches: [] } : { id, prefix: [1], branches }
    );
    await withBatch(gpu, { adapted }, async ({ counters, rows }, read) => {
      assertEquals(new Set(await read(counters)).size, rows);
    });
  },
);

gpuTest("packGroups() gives a token the same number wherever its example lies in the batch", async (gpu) => {
  const one = { id: 3, prefix: [1, 2], branches: [[3], [4, 5]] },
    other = { id: 8, prefix: [6], branches: [] };
  await withBatch(gpu, { adapted: [one, other], outputs: [2, 5] }, async (first, read) => {
    const counters = await read(first.counters);
    assertEquals(await read(first.outputCounters), [counters[2], counters[5]]);
    await withBatch(gpu, { adapted: [other, one], outputs: [3] }, async (second) => {
      assertEquals(await read(second.counters), [counters[5], ...counters.slice(0, 5)]);
      assertEquals(await read(second.outputCounters), [counters[2]]);
    });
  });
});

gpuTest(
  "packCached() counts positions and slots on from what is cached, and puts out each last token",
  async (gpu) => {
    const sequences = [
      { tokens: [7, 8, 9], cached: 0, firstSlot: 20 },
      { tokens: [5], cached: 4, firstSlot: 0 },
    ];
    const packed = packCached(gpu, { sequences, layers: [], adapted: true }, 2);
    const read = async (tensor: Tensor) => [...(await gpu.read(tensor))[0]];
    assertEquals(await read(packed.ids), [7, 8, 9, 5]);
    assertEquals(await read(packed.positions), [0, 1, 2, 4]);
    assertEquals(await read(packed.cache!.slots), [20, 21, 22, 4]);
    assertEquals(await read(packed.outputs), [2, 3]);
    assertEquals([packed.rowPositions, packed.rowLengths], [[0, 1, 2, 4], [3, 3, 3, 5]]);
    assertEquals([packed.adaptedRows, packed.adaptedOutputs], [4, 2]);
    // The first query of each sees what is cached and itself.
    const tiles = sorted(await read(packed.schedule.tiles), 8);
    assertEquals(tiles.map(([row, , , ...keys]) => [row, ...keys.slice(0, 4)]), [
      [0, 20, 20, 20, 21],
      [3, 0, 4, 4, 5],
    ]);
    packed.free();
  },
);

gpuTest(
  "packCached() puts new tokens apart from those they go on from, and differentiates them alone",
  async (gpu) => {
    const sequences = [
      { tokens: [7, 8], cached: 3, firstSlot: 0, newSlot: 40, example: { id: 2, branch: 1 } },
      { tokens: [5], cached: 3, firstSlot: 0, newSlot: 42, length: 9, example: { id: 2, branch: 2 } },
    ];
    const options = { sequences, layers: [], adapted: true, outputs: [0, 2], backward: true };
    const packed = packCached(gpu, options, 2);
    const read = async (tensor: Tensor) => [...(await gpu.read(tensor))[0]];
    assertEquals(await read(packed.cache!.slots), [40, 41, 42]);
    assertEquals([packed.rowPositions, packed.rowLengths], [[3, 4, 3], [5, 5, 9]]);
    const uid = (branch: number) => (2 * 4 + branch) * 2 ** 14 + 3;
    assertEquals(await read(packed.counters), [uid(1), uid(1) + 1, uid(2)]);
    assertEquals([await read(packed.outputs), packed.adaptedOutputs], [[0, 2], 2]);
    const keys = sorted(await read(packed.schedule.backward!.tiles), 8).map((tile) => tile.slice(3, 7));
    assertEquals(keys, [[0, 3, 40, 41], [0, 3, 42, 43]]);
    // Their own keys, each up to the end of its sequence.
    assertEquals(sorted(await read(packed.schedule.backward!.keyTiles), 4), [[0, 2, 2, 0], [2, 1, 3, 0]]);
    packed.free();
  },
);

gpuTest(
  "packCached() takes small tiles where every sequence has one token and few heads share a key",
  async (gpu) => {
    await Promise.resolve();
    const one = { tokens: [1], cached: 2, firstSlot: 0 }, two = { tokens: [1, 2], cached: 0, firstSlot: 8 };
    const rowTile = (sequences: typeof one[], headGroup: number) => {
      const packed = packCached(gpu, { sequences, layers: [], adapted: false }, headGroup);
      packed.free();
      return packed.schedule.rowTile;
    };
    const small = rowTile([one, one], 4), large = rowTile([one, two], 4);
    assert(small < large);
    assertEquals(rowTile([one], 5), large);
  },
);

Deno.test("checkSequences() refuses an empty sequence and one a token too long, naming it", () => {
  checkSequences([], 3);
  checkSequences([[1], [1, 2, 3]], 3);
  const empty = assertThrows(() => checkSequences([[1], []], 3), UserError, "no tokens");
  assertEquals([empty.kind, empty.where], ["data", "sequence 1 of 2"]);
  const long = assertThrows(() => checkSequences([[1, 2, 3, 4], [1]], 3), UserError);
  assertEquals([long.kind, long.where], ["data", "sequence 0 of 2"]);
  assertEquals(long.what, "The sequence has 4 tokens, but the model can take at most 3");
});
