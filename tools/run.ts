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
  /** Whether it computes on the GPU, as far as its arguments tell. */
  readonly gpu: boolean | ((args: readonly string[]) => boolean);
}

const CONFIG = ["--config", "{config}"];
const FILES = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys=uid,cpus,osRelease"];
/** For plugins from JSR, npm or the web, which are fetched when they are named. */
const IMPORTS = ["--allow-import"];

const ANYWHERE = "--allow-net";
/** For models from the Hub, and its servers for large files; where those of another Hub are, nobody can say. */
const hub = Deno.env.get("HF_ENDPOINT") ? ANYWHERE : `${ANYWHERE}=huggingface.co,*.huggingface.co,*.hf.co`;

/** For a grader behind an endpoint: that endpoint alone. */
const openAi = Deno.env.get("OPENAI_BASE_URL") ?? "";
const endpoint = URL.canParse(openAi) ? new URL(openAi).host : "api.openai.com";
const hubAndEndpoint = hub === ANYWHERE ? ANYWHERE : `${hub},${endpoint}`;

const script = (file: string, ...permissions: string[]): Task["commands"] => [
  ["run", "--quiet", "--no-prompt", ...CONFIG, ...FILES, ...IMPORTS, ...permissions, file],
];

/** Answers of a model behind an API need no GPU, and labels only where a model on this machine gives them. */
function generateComputes([stage, ...args]: readonly string[]): boolean {
  return stage === "labels"
    ? args.some((arg) => /\blocal:/.test(arg))
    : stage === "outputs" && !args.some((arg) => /^(--model-name=)?openai:/.test(arg));
}

const TASKS: Readonly<Record<string, Task>> = {
  "demo": { commands: script("tasks/demo.ts"), gpu: true },
  "generate": { commands: script("tasks/generate.ts", hubAndEndpoint), gpu: generateComputes },
  "calibration-tune": { commands: script("tasks/calibration_tune.ts", hub), gpu: true },
  "classifier-tune": { commands: script("tasks/classifier_tune.ts", hub), gpu: true },
  "evaluate": { commands: script("tasks/evaluate.ts", hubAndEndpoint), gpu: true },
  "matrix": { commands: script("tasks/matrix.ts", hubAndEndpoint), gpu: true },
  "data": { commands: script("tasks/data.ts", hub), gpu: false },
  "play": { commands: script("tasks/play.ts", hub), gpu: true },
  "publish": { commands: script("tasks/publish.ts", ANYWHERE), gpu: false },
  "audit": { commands: script("tasks/audit.ts"), gpu: false },
  "report": { commands: script("tasks/report.ts"), gpu: false },
  "compare": { commands: script("tasks/compare.ts"), gpu: false },
  "setup": { commands: script("tasks/setup.ts"), gpu: true },
  "bench": {
    commands: script("bench/main.ts", "--allow-ffi", "--allow-run", `${ANYWHERE}=127.0.0.1`),
    gpu: true,
  },
  "models": { commands: script("bench/models.ts"), gpu: true },
  "test": { commands: [["test", "--quiet", "--no-prompt", ...CONFIG, "-A"]], gpu: true },
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

/** Packages with the driver that computes on the CPU, by the program that installs them. */
const INSTALL: Readonly<Record<string, readonly string[]>> = {
  "apt-get": ["install", "-y", "--no-install-recommends", "mesa-vulkan-drivers"],
  "dnf": ["install", "-y", "mesa-vulkan-drivers"],
  "pacman": ["-S", "--noconfirm", "vulkan-swrast"],
  "apk": ["add", "mesa-vulkan-swrast"],
};

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
    const terminate = () => {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has just ended by itself.
      }
    };
    const interrupt = () => {};
    const windows = Deno.build.os === "windows";
    if (!windows) Deno.addSignalListener("SIGTERM", terminate);
    Deno.addSignalListener("SIGINT", interrupt);
    const { code } = await child.status;
    if (!windows) Deno.removeSignalListener("SIGTERM", terminate);
    Deno.removeSignalListener("SIGINT", interrupt);
    return { code, output: "" };
  }
  const { code, stdout, stderr } = await child.output();
  return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
}

/** The configuration to use: what CREDENCE_CONFIG names, else deno.json if JSR's packages can be had. */
export async function chooseConfig(): Promise<string> {
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
  const installer = Deno.build.os === "linux" ? await findInstaller() : undefined;
  const command = installer === undefined
    ? "install a Vulkan driver: your GPU vendor's, or lavapipe of Mesa, which computes on the CPU"
    : `${Deno.uid() === 0 ? "" : "sudo "}${installer} ${INSTALL[installer].join(" ")}`;
  if (installer !== "apt-get" || Deno.uid() !== 0) {
    say(`No usable WebGPU adapter. Run this once, then try again:\n  ${command}`);
    return false;
  }
  say("No usable WebGPU adapter: installing mesa-vulkan-drivers, which computes on the CPU ...");
  Deno.env.set("DEBIAN_FRONTEND", "noninteractive");
  await run(installer, ["update"], false);
  const { code, output } = await run(installer, INSTALL[installer], false);
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
  const tail = output.trimEnd().split("\n").slice(-5).join("\n");
  say(`${tail}\nThat did not work. Run this once, then try again:\n  ${command}`);
  return false;
}

async function findInstaller(): Promise<string | undefined> {
  for (const name of Object.keys(INSTALL)) {
    if (await run(name, ["--version"], false).then(() => true, () => false)) return name;
  }
  return undefined;
}

/** A permission to reach some servers, and those whose addresses the arguments name, as in csv:https://…. */
function withHosts(permission: string, args: readonly string[]): string {
  if (!permission.startsWith(`${ANYWHERE}=`)) return permission;
  const named = args.flatMap((arg) => arg.match(/https?:\/\/[^\s,]+/g) ?? []).filter((url) =>
    URL.canParse(url)
  );
  return [permission, ...new Set(named.map((url) => new URL(url).host))].join(",");
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
  const looks = ["--help", "-h", "--dry-run"].some((flag) => args.includes(flag));
  const computes = typeof task.gpu === "function" ? task.gpu(args) : task.gpu;
  if (computes && !looks && !await ensureAdapter()) return 3;
  const config = await chooseConfig();
  Deno.env.set("CREDENCE_CONFIG", config);
  for (const [index, command] of task.commands.entries()) {
    const filled = command.map((part) => withHosts(part.replace("{config}", config), args));
    const last = index === task.commands.length - 1;
    const { code } = await run(Deno.execPath(), [...filled, ...(last ? args : [])], true);
    if (code !== 0) return code;
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
