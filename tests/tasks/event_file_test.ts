import { assert, assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { UserError } from "../../core/mod.ts";
import { encodeEvent, type Event, EventFile, tfRecord } from "../../tasks/_event_file.ts";
import { withFolder } from "./_cli.ts";

/** What TensorBoard's own writer makes of some events: see tests/golden/README.md. */
const { records } = JSON.parse(
  await Deno.readTextFile(new URL("../golden/events.json", import.meta.url)),
) as { records: { event: Event; seconds: number; bytes: string }[] };

const hex = (bytes: Uint8Array) => bytes.toHex();

for (const { event, seconds, bytes } of records) {
  Deno.test(`An event has the bytes that TensorBoard's writer gives it: ${JSON.stringify(event).slice(0, 80)}`, () => {
    assertEquals(hex(tfRecord(encodeEvent(event, seconds))), bytes);
  });
}

/** The files of a folder, in the order in which TensorBoard reads them, as hexadecimal. */
const filesIn = async (folder: string) => {
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
  return await Promise.all(
    names.map(async (name) => [name, hex(await Deno.readFile(join(folder, name)))] as const),
  );
};

const record = (event: Event, seconds: number) => hex(tfRecord(encodeEvent(event, seconds)));

Deno.test("EventFile begins with its version and the step from which readers drop what an earlier session wrote", () =>
  withFolder(async (folder) => {
    {
      using file = new EventFile(folder, () => 1_700_000_000_123);
      file.write(7, { "train/loss": 0.5 });
      file.write(8, { "train/loss": 0.25 });
    }
    const at = 1_700_000_000.123;
    assertEquals(await filesIn(folder), [[
      "events.out.tfevents.1700000000.123.credence",
      [
        record({ fileVersion: "brain.Event:2" }, at),
        record({ start: true, step: 7 }, at),
        record({ step: 7, values: { "train/loss": 0.5 } }, at),
        record({ step: 8, values: { "train/loss": 0.25 } }, at),
      ].join(""),
    ]]);
  }));

Deno.test("EventFile writes each session to a file that sorts behind those of earlier ones", () =>
  withFolder(async (folder) => {
    for (const now of [999, 1_000, 1_700_000_000_009, 1_700_000_000_010]) {
      using file = new EventFile(folder, () => now);
      file.write(now, { loss: 1 });
    }
    const files = await filesIn(folder);
    for (const [index, step] of [999, 1_000, 1_700_000_000_009, 1_700_000_000_010].entries()) {
      assert(files[index][1].includes(record({ step, values: { loss: 1 } }, step / 1000)));
    }
  }));

Deno.test("EventFile leaves no file where nothing was written", () =>
  withFolder(async (folder) => {
    new EventFile(folder)[Symbol.dispose]();
    assertEquals(await filesIn(folder), []);
  }));

Deno.test("EventFile names the file that it cannot write", () => {
  const { kind, what } = assertThrows(() => {
    using file = new EventFile("/nonexistent", () => 1_700_000_000_123);
    file.write(1, { loss: 1 });
  }, UserError);
  assertEquals(kind, "data");
  assertEquals(what.includes("/nonexistent/events.out.tfevents.1700000000.123.credence"), true);
});
