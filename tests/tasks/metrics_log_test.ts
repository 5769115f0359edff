import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { UserError } from "../../core/mod.ts";
import { MetricsLog } from "../../tasks/_metrics_log.ts";
import { withFolder } from "./_cli.ts";

Deno.test("MetricsLog appends one line a step to what is there", () =>
  withFolder(async (folder) => {
    const path = join(folder, "run", "metrics.jsonl");
    for (const step of [1, 2]) {
      using log = new MetricsLog(path);
      log.write(step, { loss: step / 2 });
    }
    assertEquals(await Deno.readTextFile(path), '{"step":1,"loss":0.5}\n{"step":2,"loss":1}\n');
  }));

/** Writes steps to a log as one session does. */
function session(path: string, steps: readonly number[]): void {
  using log = new MetricsLog(path);
  for (const step of steps) log.write(step, { loss: step });
}

const lines = (...steps: number[]) => steps.map((step) => `{"step":${step},"loss":${step}}\n`).join("");

for (
  const { what, before, steps, after } of [
    {
      what: "steps that are taken again",
      before: lines(1, 2, 3, 4),
      steps: [3, 4, 5],
      after: [1, 2, 3, 4, 5],
    },
    { what: "both lines of a step", before: lines(1, 2, 3, 3), steps: [3], after: [1, 2, 3] },
    { what: "all steps", before: lines(1, 2), steps: [1], after: [1] },
    { what: "half a line", before: lines(1, 2) + '{"step":3,"lo', steps: [3], after: [1, 2, 3] },
    { what: "half a line only", before: '{"st', steps: [1], after: [1] },
    { what: "nothing", before: lines(1, 2), steps: [3], after: [1, 2, 3] },
    { what: "nothing of an empty file", before: "", steps: [1, 2], after: [1, 2] },
  ]
) {
  Deno.test(`MetricsLog replaces ${what} when it goes on`, () =>
    withFolder(async (folder) => {
      const path = join(folder, "metrics.jsonl");
      await Deno.writeTextFile(path, before);
      session(path, steps);
      assertEquals(await Deno.readTextFile(path), lines(...after));
    }));
}

Deno.test("MetricsLog keeps all lines of a file that it writes nothing to", () =>
  withFolder(async (folder) => {
    const path = join(folder, "metrics.jsonl");
    await Deno.writeTextFile(path, lines(1, 2));
    session(path, []);
    assertEquals(await Deno.readTextFile(path), lines(1, 2));
  }));

Deno.test("MetricsLog makes no file before there is something to write", () =>
  withFolder(async (folder) => {
    session(join(folder, "metrics.jsonl"), []);
    assertEquals(await Array.fromAsync(Deno.readDir(folder)), []);
  }));

Deno.test("MetricsLog refuses a file of something else, and leaves it as it is", () =>
  withFolder(async (folder) => {
    const path = join(folder, "metrics.jsonl");
    for (const text of ["my notes\n", '{"step":1}\n\n', '{"loss":1}\n', "null\n"]) {
      await Deno.writeTextFile(path, text);
      const { kind, where } = assertThrows(() => session(path, [5]), UserError);
      assertEquals([kind, where], ["data", `${path}, line ${text.startsWith('{"step"') ? 2 : 1}`]);
      assertEquals(await Deno.readTextFile(path), text);
    }
  }));

Deno.test({
  name: "MetricsLog says that the disk is full",
  ignore: Deno.build.os !== "linux",
  fn: () => {
    using log = new MetricsLog("/dev/full");
    const { kind, what } = assertThrows(() => log.write(1, { loss: 1 }), UserError);
    assertEquals({ kind, what }, { kind: "data", what: "Cannot write /dev/full: the disk is full" });
  },
});
