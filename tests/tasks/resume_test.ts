import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { exists } from "../../core/mod.ts";
import { available, ended, run, start, succeed, withFolder, writeLabels } from "./_cli.ts";

const OUTPUTS = [
  "--dataset=facts",
  "--prompt-style=oe",
  "--model-name=facts",
  "--splits=test",
  "--limit=300",
];

/** Answers are journalled in the order they are finished, so a small batch leaves many moments to be killed in. */
const SLOW = [...OUTPUTS, "--batch-size=4"];

const ROWS = join("outputs", "test", "rows_0.csv");
const JOURNAL = `${ROWS}.journal`;

/** Arguments of a training of ten checkpoints, long enough to be stopped in its middle. */
function tuning(labels: string, logDir: string): string[] {
  return [`--dataset=offline:${labels}`, "--model-name=facts", "--max-steps=20", `--log-dir=${logDir}`];
}

/** Declares a test that needs an adapter. */
function gpuTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !available, fn });
}

/** Waits until `holds`, or until the program ends, looking at the folder each time something in it changes. */
async function when(folder: string, child: Deno.ChildProcess, holds: () => Promise<boolean>): Promise<void> {
  const watcher = Deno.watchFs(folder);
  const over = child.status.then(() => watcher.close());
  try {
    if (await holds()) return;
    for await (const _ of watcher) if (await holds()) return;
  } finally {
    try {
      watcher.close();
    } catch {
      await over;
    }
  }
  throw new Error("the program ended before that happened");
}

/** Starts a command and sends it a signal once `holds`. */
async function interrupt(
  task: string,
  args: readonly string[],
  signal: Deno.Signal,
  folder: string,
  holds: () => Promise<boolean>,
) {
  const child = start(task, args);
  const output = ended(child);
  await when(folder, child, holds);
  child.kill(signal);
  return await output;
}

/** Whether a file has come to hold so many lines. */
async function hasLines(path: string, count: number): Promise<boolean> {
  return await exists(path) && (await Deno.readTextFile(path)).split("\n").length > count;
}

function bytesOf(...path: string[]): Promise<Uint8Array> {
  return Deno.readFile(join(...path));
}

gpuTest(
  "generate goes on after a kill, and writes what an undisturbed run writes",
  () =>
    withFolder(async (folder) => {
      const killed = join(folder, "killed"), whole = join(folder, "whole");
      const args = [...SLOW, `--log-dir=${killed}`];
      const { code } = await interrupt(
        "generate outputs",
        args,
        "SIGKILL",
        folder,
        () => hasLines(join(killed, JOURNAL), 8),
      );
      assertEquals(code, 137);
      assertEquals(await exists(join(killed, ROWS)), false);
      await succeed("generate outputs", args);
      await succeed("generate outputs", [...SLOW, `--log-dir=${whole}`]);
      assertEquals(await bytesOf(killed, ROWS), await bytesOf(whole, ROWS));
      assertEquals(await exists(join(killed, JOURNAL)), false);
    }),
);

gpuTest("generate does not answer again what a killed run has answered", () =>
  withFolder(async (folder) => {
    const args = [...SLOW, `--log-dir=${folder}`], journal = join(folder, JOURNAL);
    await interrupt("generate outputs", args, "SIGKILL", folder, () => hasLines(journal, 8));
    // An answer that no model would give tells that it was taken from the journal.
    const [key, first, ...rest] = (await Deno.readTextFile(journal)).split("\n");
    const [index] = JSON.parse(first);
    await Deno.writeTextFile(journal, [key, JSON.stringify([index, "from the journal"]), ...rest].join("\n"));
    await succeed("generate outputs", args);
    assertStringIncludes(await Deno.readTextFile(join(folder, ROWS)), ",from the journal,");
  }));

gpuTest(
  "calibration-tune goes on after a kill, and ends with the adapter of an undisturbed run",
  () =>
    withFolder(async (folder) => {
      const labels = await writeLabels(folder),
        killed = join(folder, "killed"),
        whole = join(folder, "whole");
      const args = tuning(labels, killed);
      const reached = () => exists(join(killed, "checkpoint-6"));
      assertEquals((await interrupt("calibration-tune", args, "SIGKILL", folder, reached)).code, 137);
      assertEquals(await exists(join(killed, "checkpoint-20")), false);
      await succeed("calibration-tune", args);
      await succeed("calibration-tune", tuning(labels, whole));
      for (const file of ["adapter_model.safetensors", "optimizer.safetensors"]) {
        assertEquals(
          await bytesOf(killed, "checkpoint-20", file),
          await bytesOf(whole, "checkpoint-20", file),
        );
      }
      // The first line after a start is the step behind the checkpoint, not step 1.
      const steps = (await Deno.readTextFile(join(killed, "metrics.jsonl"))).trim().split("\n")
        .map((line) => JSON.parse(line)).filter(({ q_loss }) => q_loss !== undefined).map(({ step }) => step);
      assertEquals(steps.filter((step) => step === 1), [1]);
    }),
);

gpuTest("calibration-tune loses no step when it is interrupted", () =>
  withFolder(async (folder) => {
    const place = join(folder, "run"), log = join(place, "metrics.jsonl");
    // A checkpoint is due every 1000 steps only.
    const args = [...tuning(await writeLabels(folder), place), "--max-steps=10000"];
    await interrupt("calibration-tune", args, "SIGINT", folder, () => hasLines(log, 2));
    const { step } = JSON.parse((await Deno.readTextFile(log)).trimEnd().split("\n").at(-1)!);
    assert(await exists(join(place, `checkpoint-${step}`, "trainer_state.json")), `checkpoint-${step}`);
  }));

Deno.test.each([{ signal: "SIGINT", code: 130 }, { signal: "SIGTERM", code: 143 }] as const)(
  "$signal ends calibration-tune with $code, and a rerun goes on",
  { ignore: !available },
  ({ signal, code }) =>
    withFolder(async (folder) => {
      const args = tuning(await writeLabels(folder), join(folder, "run"));
      const reached = () => exists(join(folder, "run", "checkpoint-2"));
      const stopped = await interrupt("calibration-tune", args, signal, folder, reached);
      assertEquals(stopped.code, code);
      assertMatch(stopped.stderr, /Stopped\. The same command goes on where it was\.\n$/);
      assertEquals(stopped.stderr.includes("\n    at "), false, stopped.stderr);
      assertMatch((await succeed("calibration-tune", args)).stdout, /^adapter in .*checkpoint-20\n$/);
    }),
);

gpuTest(
  "a finished command says that its inputs are unchanged, and computes nothing",
  () =>
    withFolder(async (folder) => {
      const labels = await writeLabels(folder), logDir = `--log-dir=${join(folder, "run")}`;
      const commands: [string, string[]][] = [
        ["generate outputs", [...OUTPUTS, "--limit=4", logDir]],
        ["generate labels", [`--dataset=offline:${labels}`, logDir]],
        ["calibration-tune", [
          `--dataset=offline:${labels}`,
          "--model-name=facts",
          "--max-steps=2",
          "--scale-temp",
          logDir,
        ]],
        ["evaluate", [...OUTPUTS, "--limit=4", logDir]],
      ];
      for (const [task, args] of commands) {
        const first = await succeed(task, args);
        const { stdout, stderr } = await succeed(task, args);
        assertMatch(stderr, /^(\S+: inputs unchanged, skipped\n)+$/);
        assertEquals(stdout, first.stdout);
      }
    }),
);

gpuTest(
  "other flags into the folder of a run are refused, naming what differs",
  () =>
    withFolder(async (folder) => {
      const args = [...OUTPUTS, "--limit=2", `--log-dir=${folder}`];
      await succeed("generate outputs", args);
      const before = await bytesOf(folder, ROWS);
      const { code, stderr } = await run("generate outputs", [...args, "--kshot=1"]);
      assertEquals(code, 2);
      assertStringIncludes(
        stderr,
        'The folder holds "outputs/test" made with other inputs: kshot was 0, is 1',
      );
      assertEquals(await bytesOf(folder, ROWS), before);
    }),
);

gpuTest(
  "each task runs with quantised weights, says so in run.json, and refuses to go on with others",
  () =>
    withFolder(async (folder) => {
      const data = [`--dataset=offline:${await writeLabels(folder, 2)}`, "--model-name=facts"];
      const logDir = join(folder, "run");
      for (
        const [task, stage, flags] of [
          ["generate outputs", "outputs/test", [...OUTPUTS, "--limit=2"]],
          ["calibration-tune", "train", [...data, "--max-steps=1"]],
          ["evaluate", `metrics/offline:${join(folder, "by-hand")}/test`, [...data, "--prompt-style=oe"]],
        ] as const
      ) {
        const args = [...flags, `--log-dir=${logDir}`];
        await succeed(task, [...args, "--dtype=int8"]);
        const { stages } = JSON.parse(await Deno.readTextFile(join(logDir, "run.json")));
        assertEquals(stages[stage].inputs.model.dtype, "int8");
        const { code, stderr } = await run(task, args);
        assertEquals(code, 2);
        assertStringIncludes(
          stderr,
          `The folder holds "${stage}" made with other inputs: --dtype was "int8", is null`,
        );
      }
    }),
);

gpuTest(
  "other flags into an unfinished training are refused, naming what differs",
  () =>
    withFolder(async (folder) => {
      const args = tuning(await writeLabels(folder), join(folder, "run"));
      const reached = () => exists(join(folder, "run", "checkpoint-2"));
      await interrupt("calibration-tune", args, "SIGKILL", folder, reached);
      const { code, stderr } = await run("calibration-tune", [...args, "--lr=1e-3"]);
      assertEquals(code, 2);
      assertStringIncludes(
        stderr,
        'The folder holds "train" made with other inputs: --lr was 0.0001, is 0.001',
      );
    }),
);

gpuTest("two programs do not write to one run at once", () =>
  withFolder(async (folder) => {
    const args = [...SLOW, `--log-dir=${folder}`];
    const child = start("generate outputs", args);
    const output = ended(child);
    await when(folder, child, () => exists(join(folder, JOURNAL)));
    const second = await run("generate outputs", args);
    child.kill("SIGTERM");
    await output;
    assertEquals(second.code, 2);
    assertStringIncludes(second.stderr, `Another program is writing to ${folder}`);
  }));

gpuTest("half-written files of a killed run are passed over", () =>
  withFolder(async (folder) => {
    const labels = await writeLabels(folder), place = join(folder, "run");
    const args = tuning(labels, place);
    const reached = () => exists(join(place, "checkpoint-2"));
    await interrupt("calibration-tune", args, "SIGKILL", folder, reached);
    const half = join(place, "checkpoint-20.tmp");
    await Deno.mkdir(half);
    await Deno.writeTextFile(join(half, "adapter_config.json"), "{");
    await Deno.writeTextFile(join(place, "run.json.0badf00d.tmp"), "{");
    await Deno.writeTextFile(join(labels, "train", "1.csv.0badf00d.tmp"), "context,tar");
    assertMatch((await succeed("calibration-tune", args)).stdout, /checkpoint-20\n$/);
    assertEquals(await exists(half), false);
  }));

const tmpfs = Deno.uid() === 0 && Deno.build.os === "linux" && await canMount();

async function canMount(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  const mounted = await mount(folder, "4k").then(() => true, () => false);
  if (mounted) await unmount(folder);
  await Deno.remove(folder);
  return mounted;
}

async function mount(folder: string, size: string): Promise<void> {
  const { success } = await new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", `size=${size}`, "credence-test", folder],
    stderr: "null",
  }).output();
  if (!success) throw new Error("cannot mount a file system");
}

async function unmount(folder: string): Promise<void> {
  await new Deno.Command("umount", { args: [folder] }).output();
}

/** Lends a disk of this size. */
function withDisk(size: string, work: (disk: string) => Promise<void>): Promise<void> {
  return withFolder(async (disk) => {
    await mount(disk, size);
    try {
      await work(disk);
    } finally {
      await unmount(disk);
    }
  });
}

/** Answers of two tokens, so that their journal is small. */
const SHORT = ["--dataset=facts", "--prompt-style=oe", "--model-name=facts", "--max-new-tokens=2"];

Deno.test.each([
  { size: "12k", limit: 900, where: "rows_0.csv.journal", why: "the journal does not fit" },
  { size: "24k", limit: 300, where: "rows_0.csv", why: "the journal fits, the rows do not" },
])("a full disk of $size ends generate with 4 and leaves earlier files whole ($why)", {
  ignore: !available || !tmpfs,
}, ({ size, limit, where }) =>
  withDisk(size, async (disk) => {
    const args = [...SHORT, `--log-dir=${disk}`];
    await succeed("generate outputs", [...args, "--splits=validation", "--limit=4"]);
    const before = await bytesOf(disk, "outputs", "validation", "rows_0.csv");
    const { code, stderr } = await run("generate outputs", [...args, "--splits=test", `--limit=${limit}`]);
    assertEquals(code, 4, stderr);
    assertMatch(stderr, new RegExp(`disk is full\n {2}where: .*/${where}\n {2}fix: {3}free some space`));
    assertEquals(await exists(join(disk, ROWS)), false);
    assertEquals(await bytesOf(disk, "outputs", "validation", "rows_0.csv"), before);
    JSON.parse(await Deno.readTextFile(join(disk, "run.json")));
  }));

Deno.test({
  name: "generate goes on with the answers it has once a full disk has room again",
  ignore: !available || !tmpfs,
  fn: () =>
    withDisk("16k", async (disk) => {
      const args = [...SHORT, "--splits=test", "--limit=300", `--log-dir=${disk}`];
      assertEquals((await run("generate outputs", args)).code, 4);
      await mount(disk, "1m,remount");
      assertStringIncludes((await succeed("generate outputs", args)).stderr, "going on where it was");
      assert(await exists(join(disk, ROWS)));
    }),
});
