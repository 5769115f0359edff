import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { createRng, type Rng } from "../../core/rng.ts";
import { SafetensorsFile, writeSafetensors } from "../../model/safetensors.ts";
import { safetensorsFile, withFile, withFolder } from "./_files.ts";

const F32_2 = { dtype: "F32", shape: [2], data_offsets: [0, 8] };

/** A file of one tensor "a" of eight bytes, some of its fields changed. */
function oneTensor(change: Record<string, unknown>, bytes = 8): Uint8Array<ArrayBuffer> {
  return safetensorsFile({ a: { ...F32_2, ...change } }, new Uint8Array(bytes));
}

/** A file of two tensors of four bytes at these offsets. */
function twoTensors(a: number[], b: number[], bytes: number): Uint8Array<ArrayBuffer> {
  const half = { dtype: "F32", shape: [1] };
  const header = { a: { ...half, data_offsets: a }, b: { ...half, data_offsets: b } };
  return safetensorsFile(header, new Uint8Array(bytes));
}

const REFUSED: Readonly<Record<string, readonly [contents: Uint8Array<ArrayBuffer>, message: string]>> = {
  "an empty file": [new Uint8Array(), "it has 0 bytes"],
  "a file one byte short of a header length": [new Uint8Array(7), "it has 7 bytes"],
  "an empty header": [new Uint8Array(8), "its header is not JSON"],
  "a header of 2^53 bytes": [
    safetensorsFile("{}", new Uint8Array(), 2n ** 53n),
    "claims 9007199254740992 bytes",
  ],
  "a header of 2^64 - 1 bytes": [
    safetensorsFile("{}", new Uint8Array(), 2n ** 64n - 1n),
    "claims 18446744073709551615 bytes",
  ],
  "a header one byte longer than the file": [safetensorsFile("{}", new Uint8Array(), 3n), "claims 3 bytes"],
  "a header that is not JSON": [safetensorsFile('{"a"'), "its header is not JSON"],
  "a header that is not UTF-8": [
    safetensorsFile(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)),
    "its header is not JSON",
  ],
  "a header behind a byte-order mark": [safetensorsFile("\ufeff{}"), "its header is not JSON"],
  "a header that is a list": [safetensorsFile("[]"), "its header is not a JSON object"],
  "a header that is null": [safetensorsFile("null"), "its header is not a JSON object"],
  "a header that begins with a space": [safetensorsFile(" {}"), "its header is not a JSON object"],
  "two tensors of one name": [
    safetensorsFile(`{"a":${JSON.stringify(F32_2)},"a":${JSON.stringify(F32_2)}}`, new Uint8Array(8)),
    'names "a" twice',
  ],
  "two tensors of one name, one of them escaped": [
    safetensorsFile(`{"a":${JSON.stringify(F32_2)},"\\u0061":${JSON.stringify(F32_2)}}`, new Uint8Array(8)),
    'names "a" twice',
  ],
  "a tensor that is null": [safetensorsFile({ a: null }), 'tensor "a" has no valid'],
  "a tensor that is a list": [safetensorsFile({ a: [1] }), 'tensor "a" has no valid'],
  "a tensor without a type": [oneTensor({ dtype: undefined }), 'tensor "a" has no valid'],
  "a tensor of an unknown type": [oneTensor({ dtype: "F128" }), 'unknown type "F128"'],
  "a tensor of a type that every object inherits": [
    oneTensor({ dtype: "constructor" }),
    'unknown type "constructor"',
  ],
  "a tensor without a shape": [oneTensor({ shape: undefined }), 'tensor "a" has no valid'],
  "a negative extent": [oneTensor({ shape: [-1, -2] }), 'tensor "a" has no valid'],
  "a fractional extent": [oneTensor({ shape: [0.5, 4] }), 'tensor "a" has no valid'],
  "an extent of 2^53": [oneTensor({ shape: [2 ** 53, 0] }), 'tensor "a" has no valid'],
  "a shape that is larger than its bytes": [oneTensor({ shape: [3] }), "F32 [3] takes 12"],
  "a shape that is smaller than its bytes": [oneTensor({ shape: [1] }), "F32 [1] takes 4"],
  "a shape whose product no number holds": [oneTensor({ shape: Array(60).fill(2 ** 52) }), "takes Infinity"],
  "a type that is smaller than its bytes": [oneTensor({ dtype: "F16" }), "F16 [2] takes 4"],
  "offsets that decrease": [oneTensor({ data_offsets: [8, 0] }), "has -8 bytes"],
  "offsets that are negative": [oneTensor({ data_offsets: [-8, 0] }), 'tensor "a" has no valid'],
  "offsets that are fractions": [oneTensor({ data_offsets: [0.5, 8.5] }), 'tensor "a" has no valid'],
  "three offsets": [oneTensor({ data_offsets: [0, 8, 8] }), 'tensor "a" has no valid'],
  "offsets as text": [oneTensor({ data_offsets: ["0", "8"] }), 'tensor "a" has no valid'],
  "a tensor that begins behind the file": [oneTensor({ data_offsets: [8, 16] }), 'tensor "a" starts at'],
  "a tensor that begins at 2^53 - 9": [
    oneTensor({ data_offsets: [2 ** 53 - 9, 2 ** 53 - 1] }),
    'tensor "a" starts at',
  ],
  "tensors that overlap": [twoTensors([0, 4], [2, 6], 6), 'tensor "b" starts at'],
  "tensors that share their bytes": [twoTensors([0, 4], [0, 4], 4), 'tensor "b" starts at'],
  "tensors with a hole between them": [twoTensors([0, 4], [5, 9], 9), 'tensor "b" starts at'],
  "a hole in front of the first tensor": [twoTensors([1, 5], [5, 9], 9), 'tensor "a" starts at'],
  "data one byte short": [oneTensor({}, 7), "its tensors end at"],
  "data one byte too long": [oneTensor({}, 9), "its tensors end at"],
  "metadata that is a list": [safetensorsFile({ __metadata__: ["pt"] }), "__metadata__"],
  "metadata that is text": [safetensorsFile({ __metadata__: "pt" }), "__metadata__"],
  "metadata with a number": [safetensorsFile({ __metadata__: { step: 1 } }), "__metadata__"],
};

for (const [name, [contents, message]] of Object.entries(REFUSED)) {
  Deno.test(`SafetensorsFile.open() refuses ${name}`, async () => {
    await withFile(contents, async (path) => {
      const error = await assertRejects(() => SafetensorsFile.open(path), UserError, message);
      assertEquals([error.kind, error.where], ["data", path]);
    });
  });
}

Deno.test("SafetensorsFile.open() refuses a folder, and a file that does not exist", async () => {
  await withFolder(async (folder) => {
    for (const path of [folder, `${folder}/none`]) {
      const error = await assertRejects(() => SafetensorsFile.open(path), UserError, path);
      assertEquals(error.kind, "data");
    }
  });
});

Deno.test("SafetensorsFile.open() reads a header that fills the file to its last byte", async () => {
  await withFile(safetensorsFile("{}", new Uint8Array(), 2n), async (path) => {
    using file = await SafetensorsFile.open(path);
    assertEquals([file.tensors.size, file.metadata], [0, {}]);
  });
});

Deno.test("SafetensorsFile.open() accepts padding, metadata, and a header in another order than the data", async () => {
  const first = { dtype: "U8", shape: [3], data_offsets: [0, 3] };
  const second = { dtype: "F16", shape: [1, 2], data_offsets: [3, 7] };
  const header = JSON.stringify({ second, __metadata__: { format: "pt" }, first }) + "   \n";
  await withFile(safetensorsFile(header, Uint8Array.of(1, 2, 3, 0x00, 0x3c, 0x00, 0xc0)), async (path) => {
    using file = await SafetensorsFile.open(path);
    assertEquals(file.metadata, { format: "pt" });
    assertEquals(await file.bytes(file.tensors.get("first")!), Uint8Array.of(1, 2, 3));
    assertEquals(await file.values(file.tensors.get("second")!), Float32Array.of(1, -2));
  });
});

Deno.test("SafetensorsFile.open() accepts tensors without values, wherever they lie", async () => {
  const empty = (at: number) => ({ dtype: "F32", shape: [0, 5], data_offsets: [at, at] });
  const header = { last: empty(8), a: F32_2, first: empty(0), alsoFirst: empty(0) };
  await withFile(safetensorsFile(header, new Uint8Array(8)), async (path) => {
    using file = await SafetensorsFile.open(path);
    for (const name of ["first", "alsoFirst", "last"]) {
      const entry = file.tensors.get(name)!;
      assertEquals([entry.shape, await file.values(entry)], [[0, 5], new Float32Array()]);
      for await (const _ of file.chunks(entry)) throw new Error("a tensor without values has no pieces");
    }
  });
});

Deno.test("SafetensorsFile.open() reads names of 10 MB and brackets inside them", async () => {
  const name = '{["\\'.repeat(2_500_000);
  await withFile(safetensorsFile({ [name]: F32_2 }, new Uint8Array(8)), async (path) => {
    using file = await SafetensorsFile.open(path);
    assertEquals([...file.tensors.keys()], [name]);
  });
});

Deno.test("SafetensorsFile.values() decodes f32, f16 and bf16 exactly, subnormals and infinities too", async () => {
  const header = {
    f32: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
    f16: { dtype: "F16", shape: [3], data_offsets: [8, 14] },
    bf16: { dtype: "BF16", shape: [3], data_offsets: [14, 20] },
  };
  const data = new Uint8Array([
    ...new Uint8Array(Float32Array.of(Math.fround(0.1), -Infinity).buffer),
    ...new Uint8Array(Uint16Array.of(0x0001, 0x7bff, 0xfc00).buffer),
    ...new Uint8Array(Uint16Array.of(0x0001, 0x3f80, 0xff80).buffer),
  ]);
  await withFile(safetensorsFile(header, data), async (path) => {
    using file = await SafetensorsFile.open(path);
    const values = (name: string) => file.values(file.tensors.get(name)!);
    assertEquals(await values("f32"), Float32Array.of(0.1, -Infinity));
    assertEquals(await values("f16"), Float32Array.of(2 ** -24, 65504, -Infinity));
    assertEquals(await values("bf16"), Float32Array.of(2 ** -133, 1, -Infinity));
  });
});

Deno.test("SafetensorsFile.values() refuses a type that is not a float of 16 or 32 bits, naming it", async () => {
  await withFile(oneTensor({ dtype: "I32" }), async (path) => {
    using file = await SafetensorsFile.open(path);
    const error = await assertRejects(
      () => file.values(file.tensors.get("a")!),
      UserError,
      '"a" is of type I32',
    );
    assertEquals([error.kind, error.where], ["data", path]);
  });
});

Deno.test("SafetensorsFile.chunks() gives all bytes, also while another tensor is read in between", async () => {
  const header = {
    a: { dtype: "U8", shape: [10], data_offsets: [0, 10] },
    b: { dtype: "U8", shape: [3], data_offsets: [10, 13] },
  };
  await withFile(safetensorsFile(header, Uint8Array.from({ length: 13 }, (_, at) => at)), async (path) => {
    using file = await SafetensorsFile.open(path);
    const pieces: number[][] = [];
    for await (const chunk of file.chunks(file.tensors.get("a")!, new Uint8Array(4))) {
      pieces.push([...chunk]);
      assertEquals(await file.bytes(file.tensors.get("b")!), Uint8Array.of(10, 11, 12));
    }
    assertEquals(pieces, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);
  });
});

Deno.test("SafetensorsFile refuses a file that was cut after it was opened", async () => {
  await withFile(oneTensor({}), async (path) => {
    using file = await SafetensorsFile.open(path);
    const entry = file.tensors.get("a")!;
    await Deno.truncate(path, entry.start + 3);
    const error = await assertRejects(() => file.bytes(entry), UserError, "ended 5 bytes early");
    assertEquals([error.kind, error.where], ["data", path]);
  });
});

Deno.test("writeSafetensors() writes what SafetensorsFile reads: values, shapes, metadata, in order of names", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/new/folder/a.safetensors`;
    const tensors = [
      { name: "matrix", shape: [2, 3], values: Float32Array.of(1, -2, 0.1, NaN, Infinity, 1e-45) },
      { name: "empty", shape: [0], values: new Float32Array() },
      { name: 'a scalar, "quoted" ü', shape: [], values: Float32Array.of(7) },
    ];
    await writeSafetensors(path, tensors, { format: "pt" });
    using file = await SafetensorsFile.open(path);
    assertEquals(file.metadata, { format: "pt" });
    assertEquals([...file.tensors.keys()], ['a scalar, "quoted" ü', "empty", "matrix"]);
    for (const { name, shape, values } of tensors) {
      const entry = file.tensors.get(name)!;
      assertEquals([entry.shape, entry.dtype, await file.values(entry)], [shape, "F32", values]);
    }
  });
});

Deno.test("writeSafetensors() begins the data at a multiple of 8 bytes, however long the names are", async () => {
  await withFolder(async (folder) => {
    for (let length = 1; length <= 8; length++) {
      const path = `${folder}/${length}`;
      await writeSafetensors(path, [{ name: "ü".repeat(length), shape: [1], values: Float32Array.of(1) }]);
      using file = await SafetensorsFile.open(path);
      assertEquals([...file.tensors.values()].map(({ start }) => start % 8), [0]);
    }
  });
});

Deno.test("writeSafetensors() writes only the part of a buffer that the values are", async () => {
  await withFolder(async (folder) => {
    const values = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    await writeSafetensors(`${folder}/a`, [{ name: "a", shape: [2], values }]);
    using file = await SafetensorsFile.open(`${folder}/a`);
    assertEquals(await file.values(file.tensors.get("a")!), Float32Array.of(2, 3));
  });
});

Deno.test("SafetensorsFile meets 2000 damaged files with a UserError or with tensors that lie inside them", async () => {
  const sound = safetensorsFile(
    {
      __metadata__: { format: "pt" },
      a: { dtype: "F32", shape: [8, 8], data_offsets: [0, 256] },
      b: { dtype: "BF16", shape: [3], data_offsets: [256, 262] },
      c: { dtype: "F16", shape: [], data_offsets: [262, 264] },
    },
    Uint8Array.from({ length: 264 }, (_, at) => 37 * at),
  );
  const rng = createRng(137);
  const outcomes = { refused: 0, read: 0 };
  await withFolder(async (folder) => {
    const path = `${folder}/damaged.safetensors`;
    for (let round = 0; round < 2000; round++) {
      let contents = sound;
      for (let count = 1 + rng.integer(3); count > 0; count--) contents = damage(contents, rng);
      await Deno.writeFile(path, contents);
      try {
        using file = await SafetensorsFile.open(path);
        for (const entry of file.tensors.values()) {
          assert(entry.start >= 8 && entry.start + entry.bytes <= contents.length, `round ${round}`);
          assertEquals((await file.bytes(entry)).length, entry.bytes);
        }
        outcomes.read++;
      } catch (error) {
        assert(error instanceof UserError, `round ${round}: ${error}`);
        assertEquals(error.kind, "data");
        assertStringIncludes(error.message, path);
        outcomes.refused++;
      }
    }
  });
  assert(outcomes.read > 100 && outcomes.refused > 1000, JSON.stringify(outcomes));
});

/** What a header could be made to say. */
const SNIPPETS = [
  "9007199254740993",
  "-1",
  "1e999",
  "0.5",
  "null",
  '"a":',
  "[",
  "{}",
  ",",
  '"F64"',
  "\\u0000",
  "\0",
];

/** One change somewhere: a bit, a byte, a cut, a copy, or a piece of JSON. */
function damage(file: Uint8Array<ArrayBuffer>, rng: Rng): Uint8Array<ArrayBuffer> {
  const at = rng.integer(file.length + 1), other = rng.integer(file.length + 1);
  const start = Math.min(at, other), end = Math.max(at, other);
  const join = (...parts: readonly (Uint8Array | readonly number[])[]) =>
    new Uint8Array(parts.flatMap((part) => [...part]));
  switch (rng.integer(6)) {
    case 0:
      return file.map((byte, index) => index === at ? byte ^ (1 << rng.integer(8)) : byte);
    case 1:
      return file.map((byte, index) => index === at ? rng.integer(256) : byte);
    case 2:
      return file.slice(0, at);
    case 3:
      return join(file.subarray(0, start), file.subarray(end));
    case 4:
      return join(file.subarray(0, end), file.subarray(start));
    default: {
      const snippet = new TextEncoder().encode(SNIPPETS[rng.integer(SNIPPETS.length)]);
      return join(file.subarray(0, at), snippet, file.subarray(Math.min(file.length, at + snippet.length)));
    }
  }
}
