/**
 * Runs a task with everything it needs: `tools/run.ts <task> [arguments]`.
 *
 * It picks the configuration (deno.json where JSR is within reach, else deno.npm.json, which maps the same specifiers
 * to npm), installs a software Vulkan driver where there is no GPU and that is possible, keeps drivers quiet, and
 * hands on the task's exit code. It imports nothing, so that it runs before anything is installed.
 */

interface Task {
  /** Commands of `deno`, run one after the other until one fails; `{config}` is the chosen configuration. */
  readonly commands: readonly (readonly string[])[];
  readonly gpu: boolean;
}

const CONFIG = ["--config", "{config}"];
const FILES = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys=uid,cpus,osRelease"];
/** For plugins from JSR, npm or the web, which are fetched when they are named. */
const IMPORTS = ["--allow-import"];

const script = (file: string, ...permissions: string[]): Task["commands"] => [
  ["run", "--quiet", "--no-prompt", ...CONFIG, ...FILES, ...IMPORTS, ...permissions, file],
];

const TASKS: Readonly<Record<string, Task>> = {
  "demo": { commands: script("tasks/demo.ts"), gpu: true },
  "generate": { commands: script("tasks/generate.ts"), gpu: true },
  "calibration-tune": { commands: script("tasks/calibration_tune.ts"), gpu: true },
  "evaluate": { commands: script("tasks/evaluate.ts"), gpu: true },
  "report": { commands: script("tasks/report.ts"), gpu: false },
  "setup": { commands: script("tasks/setup.ts"), gpu: true },
  "bench": { commands: script("bench/main.ts", "--allow-ffi"), gpu: true },
  "test": { commands: [["test", "--quiet", "--no-prompt", ...CONFIG, "-A", "tests/"]], gpu: true },
  "ok": {
    commands: [
      ["fmt", "--check", ...CONFIG],
      ["lint", ...CONFIG],
      [
        "check",
        ...CONFIG,
        "mod.ts",
        "core/testing/mod.ts",
        "kernels/mod.ts",
        "tasks",
        "tests",
        "bench",
        "tools",
      ],
      ["doc", "--lint", ...CONFIG, "mod.ts"],
      [
        "test",
        "--quiet",
        "--no-prompt",
        "--doc",
        ...CONFIG,
        "-A",
        "mod.ts",
        "core",
        "plugins",
        "README.md",
        "docs",
      ],
    ],
    gpu: false,
  },
};

/** The driver package of Debian and Ubuntu that computes on the CPU. */
const DRIVER = "mesa-vulkan-drivers";
const INSTALL = `apt-get install -y --no-install-recommends ${DRIVER}`;

/** JSR is given up after this long, so that a network that swallows packets costs seconds, not minutes. */
const PROBE_MS = 5000;

function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** Runs a program; with `inherit` its output is shown, else it is collected. */
async function run(program: string, args: readonly string[], inherit: boolean, signal?: AbortSignal) {
  const mode = inherit ? "inherit" : "piped";
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: inherit ? "inherit" : "null",
    stdout: mode,
    stderr: mode,
    signal,
  }).spawn();
  if (inherit) {
    // The task may need a moment to save its state, so it decides when this ends. A terminal sends an interrupt to
    // both; a request to terminate reaches only this process.
    const terminate = () => child.kill("SIGTERM"), interrupt = () => {};
    Deno.addSignalListener("SIGTERM", terminate);
    Deno.addSignalListener("SIGINT", interrupt);
    const { code } = await child.status;
    Deno.removeSignalListener("SIGTERM", terminate);
    Deno.removeSignalListener("SIGINT", interrupt);
    return { code, output: "" };
  }
  const { code, stdout, stderr } = await child.output();
  return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** The configuration to use: what CREDENCE_CONFIG names, else deno.json if JSR's packages can be had. */
async function chooseConfig(): Promise<string> {
  const forced = Deno.env.get("CREDENCE_CONFIG");
  if (forced) return forced;
  const probe = ["cache", "--quiet", "--no-lock", "--config", "deno.json", "tools/probe.ts"];
  const reachable = await run(Deno.execPath(), probe, false, AbortSignal.timeout(PROBE_MS))
    .then(({ code }) => code === 0, () => false);
  return reachable ? "deno.json" : "deno.npm.json";
}

/** Drivers and loaders complain on stderr about desktops that are not there. */
function quietDrivers(): void {
  if (Deno.build.os !== "linux") return;
  const { env } = Deno;
  if (!env.has("XDG_RUNTIME_DIR")) env.set("XDG_RUNTIME_DIR", "/tmp");
  // Without this, OpenGL is probed too; with several devices in a process its driver has crashed on exit.
  if (!env.has("DENO_WEBGPU_BACKEND")) env.set("DENO_WEBGPU_BACKEND", "vulkan");
}

async function hasAdapter(): Promise<boolean> {
  return await navigator.gpu?.requestAdapter() != null;
}

/** Makes sure that there is an adapter, installing the software driver where that is possible. */
async function ensureAdapter(): Promise<boolean> {
  if (await hasAdapter()) return true;
  const apt = Deno.build.os === "linux" &&
    await run("apt-get", ["--version"], false).then(() => true, () => false);
  if (!apt || Deno.uid() !== 0) {
    const fix = Deno.build.os === "linux" ? `sudo ${INSTALL}` : "install your GPU vendor's driver";
    say(`No usable WebGPU adapter. Run this once, then try again:\n  ${fix}`);
    return false;
  }
  say(`No usable WebGPU adapter: installing ${DRIVER}, which computes on the CPU ...`);
  Deno.env.set("DEBIAN_FRONTEND", "noninteractive");
  await run("apt-get", ["update"], false);
  const { code, output } = await run("apt-get", INSTALL.split(" ").slice(1), false);
  // This process has already looked for drivers, so only a new one sees what was installed.
  const probe = [
    "run",
    "--quiet",
    "--no-config",
    "--no-lock",
    "--allow-env",
    import.meta.filename!,
    "--probe",
  ];
  if (code === 0 && (await run(Deno.execPath(), probe, false)).code === 0) return true;
  say(
    `${
      output.split("\n").slice(-5).join("\n")
    }\nThat did not work. Run this once, then try again:\n  ${INSTALL}`,
  );
  return false;
}

async function main([name, ...args]: readonly string[]): Promise<number> {
  quietDrivers();
  if (name === "--probe") return await hasAdapter() ? 0 : 1;
  const task = TASKS[name];
  if (!task) {
    say(
      `Unknown task "${name}"\n  where: tools/run.ts\n  fix:   use one of ${Object.keys(TASKS).join(", ")}`,
    );
    return 2;
  }
  const asksForHelp = args.includes("--help");
  if (task.gpu && !asksForHelp && !await ensureAdapter()) return 3;
  const config = await chooseConfig();
  Deno.env.set("CREDENCE_CONFIG", config);
  for (const [index, command] of task.commands.entries()) {
    const filled = command.map((part) => part.replace("{config}", config));
    const last = index === task.commands.length - 1;
    const { code } = await run(Deno.execPath(), [...filled, ...(last ? args : [])], true);
    if (code !== 0) return code;
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
