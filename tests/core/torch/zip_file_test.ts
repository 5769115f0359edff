import { assertEquals, assertRejects } from "@std/assert";
import { readZipDirectory } from "../../../core/torch/zip_file.ts";
import { memorySource, type ZipEdit, zipOf } from "./_torch_files.ts";

class Refused extends Error {}

const text = (value: string) => new TextEncoder().encode(value);

const RECORDS = [["folder/first", text("one")], ["folder/second", text("")], ["é", text("three")]] as const;

const read = (file: Uint8Array<ArrayBuffer>) =>
  readZipDirectory(memorySource(file), (what) => new Refused(what));

for (const zip64 of [false, true]) {
  const form = zip64 ? "an archive in the form for more than 4 GiB" : "an archive";
  Deno.test(`readZipDirectory() finds the records of ${form}`, async () => {
    const file = zipOf(RECORDS, { zip64 });
    const found = [...(await read(file)).values()].map(({ name, start, bytes }) =>
      [name, new TextDecoder().decode(file.subarray(start, start + bytes))] as const
    );
    assertEquals(found, [["folder/first", "one"], ["folder/second", ""], ["é", "three"]]);
  });

  Deno.test(`readZipDirectory() refuses ${form} that is cut off anywhere`, async () => {
    const file = zipOf(RECORDS, { zip64 });
    for (let length = 0; length < file.length; length++) {
      await assertRejects(() => read(file.slice(0, length)), Refused);
    }
  });

  Deno.test(`readZipDirectory() refuses ${form} with a byte in front or behind`, async () => {
    const file = zipOf(RECORDS, { zip64 });
    await assertRejects(() => read(Uint8Array.of(0, ...file)), Refused);
    await assertRejects(() => read(Uint8Array.of(...file, 0)), Refused);
  });
}

const one = [["a", text("value")]] as const;

const LIES: readonly (readonly [title: string, edit: ZipEdit, what: string, zip64?: boolean])[] = [
  ["another name at the record itself", { localName: "b" }, '"a" has another name at the record itself'],
  ["a record that is encrypted", { flags: 1 }, '"a" is encrypted'],
  ["two sizes for a record", { stored: 4 }, '"a" takes 4 bytes but is said to have 5'],
  ["a record that starts elsewhere", { start: 1 }, '"a" does not begin with a header'],
  ["a record that starts behind the end", { start: 10_000 }, '"a" lies outside the file'],
  ["more records than its directory has", { entries: 2 }, "its directory ends early"],
  ["fewer records than its directory has", { entries: 0 }, "its directory has bytes left over"],
  ["a directory of another size", { directoryBytes: 40 }, "its directory does not lie in front of its end"],
  [
    "a directory that starts elsewhere",
    { directoryStart: 3 },
    "its directory does not lie in front of its end",
  ],
  ["a comment, which could hide an end of its own", { comment: 5 }, "it does not end with a zip directory"],
  ["a short field for large sizes", { extraBytes: 8 }, '"a" has a damaged', true],
  [
    "a large directory that starts elsewhere",
    { directoryStart: 3 },
    "does not lie in front of its end",
    true,
  ],
  ["two ends that disagree", { smallStart: 3 }, "its two end records disagree", true],
];

for (const [title, edit, what, zip64] of LIES) {
  Deno.test(`readZipDirectory() refuses ${title}`, async () => {
    await assertRejects(() => read(zipOf(one, { edit, zip64 })), Refused, what);
  });
}

Deno.test("readZipDirectory() refuses a name that stands there twice", async () => {
  await assertRejects(() => read(zipOf([...one, ...one])), Refused, '"a" stands in its directory twice');
});

Deno.test("readZipDirectory() refuses a record within another", async () => {
  // The second record's header lies in the first one's bytes, and is what the directory points to.
  const inner = zipOf([["b", text("x")]]);
  const file = zipOf([["a", inner.slice(0, 32)], ["b", text("x")]]);
  const directory = new DataView(file.buffer);
  for (let at = 0; at < file.length - 46; at++) {
    if (directory.getUint32(at, true) === 0x02014b50 && file[at + 46] === 0x62) {
      directory.setUint32(at + 42, 31, true);
    }
  }
  await assertRejects(() => read(file), Refused, '"b" overlaps the record before it');
});

Deno.test("readZipDirectory() refuses a directory that is larger than any of torch's", async () => {
  const name = "n".repeat(60_000);
  const records = Array.from({ length: 70 }, (_, index) => [`${name}${index}`, text("")] as const);
  await assertRejects(() => read(zipOf(records)), Refused, "its directory takes");
});
