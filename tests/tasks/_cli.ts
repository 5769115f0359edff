/** Running the tasks as programs, as `deno task` does. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** The configuration under which the tests run. */
const CONFIG = Deno.env.get("CREDENCE_CONFIG") ?? "deno.npm.json";

/** Whether there is an adapter for tasks that compute. */
export const available: boolean = await navigator.gpu?.requestAdapter() != null;
if (!available && Deno.env.get("REQUIRE_GPU") === "1") {
  throw new Error("REQUIRE_GPU=1 but there is no WebGPU adapter");
}

/** An environment in which no driver is to be found. */
export const NO_DRIVER: Readonly<Record<string, string>> = {
  VK_DRIVER_FILES: "/nonexistent/driver.json",
  VK_ICD_FILENAMES: "/nonexistent/driver.json",
  DENO_WEBGPU_BACKEND: "vulkan",
};

/** Where Deno keeps packages; a program whose caches lie elsewhere must not fetch them anew. */
const DENO_DIR: string = JSON.parse(
  new TextDecoder().decode(
    new Deno.Command(Deno.execPath(), { args: ["info", "--json", "--no-config"] }).outputSync().stdout,
  ),
).denoDir;

/** What a program left behind. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line of a task, as in `generate outputs` or `calibration-tune`, and how it is run. */
export function command(task: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const [name, ...stage] = task.split(" ");
  const file = join("tasks", `${name.replaceAll("-", "_")}.ts`);
  return {
    program: Deno.execPath(),
    args: ["run", "--quiet", "--no-prompt", "--config", CONFIG, "-A", file, ...stage, ...args],
    options: {
      cwd: ROOT,
      env: { DENO_DIR, NO_COLOR: "1", XDG_RUNTIME_DIR: "/tmp", DENO_WEBGPU_BACKEND: "vulkan", ...env },
      stdout: "piped",
      stderr: "piped",
    },
  } as const;
}

/** Starts the program of a task. */
export function start(
  task: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  stdin: "null" | "piped" = "null",
): Deno.ChildProcess {
  const { program, args: own, options } = command(task, args, env);
  return new Deno.Command(program, { ...options, args: [...own], stdin }).spawn();
}

/** Waits for the end of a program. */
export async function ended(child: Deno.ChildProcess): Promise<Ended> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the program of a task to its end. */
export function run(
  task: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return ended(start(task, args, env));
}

/** Runs a task that has to succeed. */
export async function succeed(task: string, args: readonly string[]): Promise<Ended> {
  const result = await run(task, args);
  if (result.code !== 0) throw new Error(`deno task ${task} ended with ${result.code}:\n${result.stderr}`);
  return result;
}

/** Lends a folder that is removed afterwards. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "credence-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Answers that were labelled by hand, every second one right, so that nothing depends on what a model knows.
 *
 * @returns the folder, for `--dataset=offline:<folder>`
 */
export async function writeLabels(folder: string, rows = 8): Promise<string> {
  const path = join(folder, "by-hand");
  for (const split of ["train", "validation", "test"]) {
    const lines = Array.from(
      { length: rows },
      (_, row) => `${split} question ${row}?,${row},"\nAnswer:",,${row % 2 ? row : "none"},${row % 2}`,
    );
    await Deno.mkdir(join(path, split), { recursive: true });
    await Deno.writeTextFile(
      join(path, split, "0.csv"),
      ["context,target,target_prompt,prompt,output,query_label", ...lines, ""].join("\r\n"),
    );
  }
  return path;
}
