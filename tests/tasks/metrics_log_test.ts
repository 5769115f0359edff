import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { UserError } from "../../core/mod.ts";
import { MetricsLog } from "../../tasks/_metrics_log.ts";
import { withFolder } from "./_cli.ts";

Deno.test("MetricsLog appends one line a step to what is there", () =>
  withFolder(async (folder) => {
    const path = join(folder, "run", "metrics.jsonl");
    for (const step of [1, 2]) {
      using log = await MetricsLog.open(path);
      log.write(step, { loss: step / 2 });
    }
    assertEquals(await Deno.readTextFile(path), '{"step":1,"loss":0.5}\n{"step":2,"loss":1}\n');
  }));

Deno.test({
  name: "MetricsLog says that the disk is full",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    using log = await MetricsLog.open("/dev/full");
    const { kind, what } = assertThrows(() => log.write(1, { loss: 1 }), UserError);
    assertEquals({ kind, what }, { kind: "data", what: "Cannot write /dev/full: the disk is full" });
  },
});
