import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { exists } from "../core/mod.ts";
import { available } from "./tasks/_cli.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

const ONE_LINE = /^No usable WebGPU adapter\. Run this once, then try again:\n {2}.+\n$/;

/** Environment that a test sets; an empty text keeps a variable away. */
type Env = Readonly<Record<string, string>>;

/** Runs the launcher as `deno task` does. */
async function launch(args: readonly string[], env: Env = {}, prefix: readonly string[] = []) {
  const deno = ["run", "--quiet", "--no-lock", "--allow-env", "--allow-read", "--allow-run", "--allow-sys"];
  const [program, ...rest] = [...prefix, Deno.execPath(), ...deno, "tools/run.ts", ...args];
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: rest,
    cwd: ROOT,
    env: { NO_COLOR: "1", CREDENCE_CONFIG: Deno.env.get("CREDENCE_CONFIG") ?? "deno.npm.json", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Lends a folder that is removed afterwards. */
async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "credence-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** An environment in which no driver is found, unless one comes to lie in the folder. */
function noDriver(folder: string): Env {
  const driver = join(folder, "driver.json");
  return { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver, DENO_WEBGPU_BACKEND: "vulkan" };
}

/** Puts a program of this name into the folder, and gives back the PATH on which only that folder is. */
async function fake(folder: string, name: string, script: string): Promise<Env> {
  await Deno.writeTextFile(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { PATH: folder };
}

/** Which configuration the launcher chooses, with an empty cache of its own. */
async function chosenConfig(env: Env): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "credence-" });
  try {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        "--quiet",
        "--no-lock",
        "--no-config",
        "const { chooseConfig } = await import(Deno.args[0]); console.log(await chooseConfig());",
        new URL("../tools/run.ts", import.meta.url).href,
      ],
      cwd: ROOT,
      env: { DENO_DIR: folder, CREDENCE_CONFIG: "", ...env },
    }).output();
    return new TextDecoder().decode(stdout).trim();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A registry that has every package asked for, in every version, with nothing in it. */
function emptyRegistry(): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, ({ url }) => {
    const [, scope, name, file] = new URL(url).pathname.split("/");
    const version = versions[`${scope}/${name}`];
    if (file === "meta.json") {
      return Response.json({ scope, name, latest: version, versions: { [version]: {} } });
    }
    if (!file?.endsWith("_meta.json")) return new Response("");
    const empty = "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    return Response.json({
      manifest: { "/mod.ts": { size: 0, checksum: empty } },
      exports: { ".": "./mod.ts", "./parse-args": "./mod.ts" },
    });
  });
}

/** Versions of the packages that deno.json takes from JSR. */
const versions: Readonly<Record<string, string>> = Object.fromEntries(
  Object.values(
    JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json"))).imports as Record<string, string>,
  )
    .flatMap((specifier) => {
      const [, name, version] = /^jsr:(.+)@(.+)$/.exec(specifier) ?? [];
      return name === undefined ? [] : [[name, version]];
    }),
);

Deno.test("the launcher takes deno.json where JSR can be reached", async () => {
  const server = emptyRegistry();
  try {
    assertEquals(await chosenConfig({ JSR_URL: `http://127.0.0.1:${server.addr.port}/` }), "deno.json");
  } finally {
    await server.shutdown();
  }
});

Deno.test("the launcher takes deno.npm.json where JSR cannot be reached", async () => {
  // Port 9 discards what it gets; here nobody listens.
  assertEquals(await chosenConfig({ JSR_URL: "http://127.0.0.1:9/" }), "deno.npm.json");
});

Deno.test("the launcher takes the configuration that CREDENCE_CONFIG names", async () => {
  assertEquals(await chosenConfig({ CREDENCE_CONFIG: "mine.json" }), "mine.json");
});

Deno.test("both configurations map the same specifiers and declare the same package", async () => {
  const [jsr, npm] = await Promise.all(
    ["deno.json", "deno.npm.json"].map(async (name) => JSON.parse(await Deno.readTextFile(join(ROOT, name)))),
  );
  const missing = Object.keys(jsr.imports).filter((name) =>
    !Object.keys(npm.imports).some((key) => key === name || key.startsWith(`${name}/`))
  );
  assertEquals(missing, []);
  for (const key of ["name", "version", "license", "exports", "fmt", "lint", "publish"]) {
    assertEquals(npm[key], jsr[key], key);
  }
});

Deno.test("every task of deno.json is one that the launcher knows, with a description", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json"))) as {
    tasks: Record<string, { command: string; description: string }>;
  };
  const { stderr } = await launch(["nonsense"]);
  const known = /use one of (.+)\n/.exec(stderr)?.[1].split(", ");
  assertEquals(Object.keys(tasks).sort(), known?.sort());
  for (const [name, { command, description }] of Object.entries(tasks)) {
    assert(command.endsWith(`tools/run.ts ${name}`), command);
    assert(description.length > 0 && description.length < 110, description);
  }
});

Deno.test("the launcher refuses a task it does not know with 2", async () => {
  const { code, stdout, stderr } = await launch(["evalaute"]);
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertMatch(stderr, /^Unknown task "evalaute"\n {2}where: .+\n {2}fix: {3}.+evaluate.+\n$/);
});

Deno.test("the launcher hands a task's arguments on, and its exit code back", async () => {
  const { code, stderr } = await launch(["report", "--nope"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, 'Unknown flag "--nope"');
});

Deno.test.each([{ flag: "--help" }, { flag: "-h" }])(
  "the launcher shows $flag without an adapter",
  ({ flag }) =>
    withFolder(async (folder) => {
      const { code, stdout, stderr } = await launch(["evaluate", flag], noDriver(folder));
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertStringIncludes(stdout, "--query-peft-dir");
    }),
);

Deno.test("the launcher ends with 3 and one line to run where there is no adapter and no installer", () =>
  withFolder(async (folder) => {
    const { code, stdout, stderr } = await launch(["setup"], { ...noDriver(folder), PATH: folder });
    assertEquals({ code, stdout }, { code: 3, stdout: "" });
    assertMatch(stderr, ONE_LINE);
  }));

Deno.test.each([
  { args: "labels --strategy=substring", code: 4, why: "labels of a labeler that only reads" },
  { args: "labels --strategy fuzzy:gpt-4o-mini", code: 4, why: "labels of a grader behind an API" },
  {
    args: "outputs --prompt-style=oe --model-name=openai:gpt-4o-mini",
    code: 4,
    why: "answers of a model behind an API",
  },
  { args: "labels --strategy=multi:substring,local:facts", code: 3, why: "labels of a local grader" },
  { args: "outputs --prompt-style=oe --model-name=facts", code: 3, why: "answers of a local model" },
])(
  "the launcher looks for an adapter only where one is used: ends with $code for $why",
  ({ args, code }) =>
    withFolder(async (folder) => {
      // Data that is not there ends a task that got as far as that with 4.
      const dataset = `--dataset=offline:${join(folder, "nothing")}`;
      const command = ["generate", ...args.split(" "), dataset, `--log-dir=${join(folder, "run")}`];
      const env = { ...noDriver(folder), PATH: folder, OPENAI_BASE_URL: "http://127.0.0.1:9/v1" };
      const ended = await launch(command, env);
      assertEquals(ended.code, code, ended.stderr);
    }),
);

Deno.test({
  name: "the launcher names the command of another distribution's installer instead of running it",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    withFolder(async (folder) => {
      const path = await fake(folder, "dnf", `echo "$*" >> "${folder}/calls"`);
      const { code, stderr } = await launch(["setup"], { ...noDriver(folder), ...path });
      assertEquals(code, 3);
      assertMatch(stderr, ONE_LINE);
      assertStringIncludes(stderr, "dnf install -y mesa-vulkan-drivers");
      assertEquals(await Deno.readTextFile(join(folder, "calls")), "--version\n");
    }),
});

const HOSTS = [
  "huggingface.co",
  "cdn-lfs.huggingface.co",
  "cas-bridge.xethub.hf.co",
  "example.com",
  "nothf.co",
  "api.openai.com",
  "grader.example.com:8443",
  "data.example.com:8443",
];

for (
  const { env, flags = ["--dataset=facts"], reachable, why } of [
    {
      env: {},
      flags: ["--dataset=csv:train=https://data.example.com:8443/a.csv,test=b.csv"],
      reachable: [...HOSTS.slice(0, 3), "api.openai.com", "data.example.com:8443"],
      why: "the servers that its arguments name as well",
    },
    {
      env: {},
      reachable: [...HOSTS.slice(0, 3), "api.openai.com"],
      why: "the Hub, its servers, and OpenAI's endpoint only",
    },
    {
      env: { OPENAI_BASE_URL: "https://grader.example.com:8443/v1" },
      reachable: [...HOSTS.slice(0, 3), "grader.example.com:8443"],
      why: "the endpoint that OPENAI_BASE_URL names",
    },
    {
      env: { HF_ENDPOINT: "https://hub.example.com" },
      reachable: HOSTS,
      why: "any server where HF_ENDPOINT names the Hub",
    },
  ]
) {
  Deno.test({
    name: `the launcher lets a task that loads models reach ${why}`,
    ignore: !available,
    fn: () =>
      withFolder(async (folder) => {
        const plugin = join(folder, "plugin.ts");
        await Deno.writeTextFile(
          plugin,
          `const hosts = ${JSON.stringify(HOSTS)};
           const states = await Promise.all(hosts.map((host) => Deno.permissions.query({ name: "net", host })));
           throw new Error(hosts.filter((_, index) => states[index].state === "granted").join());`,
        );
        const args = [...flags, "--prompt-style=oe", "--model-name=facts", `--plugin=${plugin}`];
        const { stderr } = await launch(["evaluate", ...args], {
          HF_ENDPOINT: "",
          OPENAI_BASE_URL: "",
          ...env,
        });
        assertStringIncludes(stderr, `threw while loading: ${reachable.join()}\n`);
      }),
  });
}

const root = Deno.build.os === "linux" && Deno.uid() === 0;

/** Starts a program as nobody, who still may read what belongs to root. */
const AS_NOBODY = ["/usr/bin/unshare", "--user"];

const canBeNobody = Deno.build.os === "linux" &&
  (!root || await new Deno.Command(AS_NOBODY[0], { args: ["--user", "true"] }).output()
    .then(({ success }) => success, () => false));

Deno.test({
  name: "the launcher runs no installer unless it is root",
  ignore: !canBeNobody,
  fn: () =>
    withFolder(async (folder) => {
      const path = await fake(folder, "apt-get", `echo "$*" >> "${folder}/calls"`);
      const prefix = root ? AS_NOBODY : [];
      const { code, stdout, stderr } = await launch(["setup"], { ...noDriver(folder), ...path }, prefix);
      assertEquals({ code, stdout }, { code: 3, stdout: "" });
      assertMatch(stderr, ONE_LINE);
      assertStringIncludes(stderr, "  sudo apt-get install -y --no-install-recommends mesa-vulkan-drivers\n");
      assertEquals(await Deno.readTextFile(join(folder, "calls")), "--version\n");
    }),
});

/** The software driver's description on Debian and Ubuntu. */
const ICD = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";

Deno.test({
  name: "the launcher installs the software driver as root where there is apt, and goes on",
  ignore: !root || !await exists(ICD),
  fn: () =>
    withFolder(async (folder) => {
      const install =
        `echo "$*" >> "${folder}/calls"; [ "$1" != install ] || exec /bin/cp ${ICD} "${folder}/driver.json"`;
      const path = await fake(folder, "apt-get", install);
      const { code, stdout, stderr } = await launch(["setup"], { ...noDriver(folder), ...path });
      assertEquals(code, 0, stderr);
      assertEquals(
        stderr,
        "No usable WebGPU adapter: installing mesa-vulkan-drivers, which computes on the CPU ...\n",
      );
      assertStringIncludes(stdout, "llvmpipe");
      assertEquals((await Deno.readTextFile(join(folder, "calls"))).trim().split("\n"), [
        "--version",
        "update",
        "install -y --no-install-recommends mesa-vulkan-drivers",
      ]);
    }),
});

Deno.test({
  name: "the launcher shows the installer's last words, and ends with 3, when installing fails",
  ignore: !root,
  fn: () =>
    withFolder(async (folder) => {
      const path = await fake(
        folder,
        "apt-get",
        `[ "$1" != install ] || { echo "E: no such package"; exit 100; }`,
      );
      const { code, stderr } = await launch(["setup"], { ...noDriver(folder), ...path });
      assertEquals(code, 3);
      assertMatch(
        stderr,
        /\nE: no such package\nThat did not work\. Run this once, then try again:\n {2}apt-get install .+\n$/,
      );
    }),
});
