/** `deno task setup`: is everything there? The launcher has installed a driver by the time this runs. */
import { print } from "./_io.ts";
import type { Task } from "./_task.ts";
import { runTask } from "./_task.ts";
import { parseFlags } from "./_flags.ts";

const task: Task = {
  command: "deno task setup",
  summary:
    "Check that there is a GPU driver, installing the software one where possible, and show what it offers.",
  example: "deno task setup",
  flags: {},
  async run(args, session) {
    parseFlags(this.command, {}, args);
    const { adapter } = await session.gpu();
    const { description, software, family, exchange, lanes, features, maxBindingBytes } = adapter;
    print(`adapter   ${description}${software ? ", computing on the CPU: slow, but right" : ""}`);
    print(`kernels   ${family} family, ${lanes} lanes exchanging through ${exchange} memory`);
    print(`features  ${features.join(", ") || "none"}`);
    print(`buffers   up to ${(maxBindingBytes / 2 ** 20).toFixed(0)} MiB each`);
    return adapter;
  },
};

if (import.meta.main) await runTask(task);
