/** Runs a program that works on files until it says so, and kills it there. */
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
// The program must find the same packages as this one.
const config = import.meta.resolve("@std/assert").startsWith("file:") ? "deno.npm.json" : "deno.json";

/**
 * Kills a program once it has written "ready" to its standard output.
 *
 * @param source a module; `@core/` in its imports stands for `core/`
 */
export async function killWhenReady(source: string, folder: string): Promise<void> {
  const path = `${folder}/killed.ts`;
  await Deno.writeTextFile(path, source.replaceAll("@core/", new URL("core/", root).href) + WAIT);
  const program = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--no-lock", `--config=${fileURLToPath(new URL(config, root))}`, path],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = program.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  program.kill("SIGKILL");
  await program.status;
  await reader.cancel();
  await program.stdin.close();
  await Deno.remove(path);
  assertEquals(value, "ready", "the program ended before it was killed");
}

const WAIT = `
async function ready() {
  await Deno.stdout.write(new TextEncoder().encode("ready"));
  await Deno.stdin.read(new Uint8Array(1));
}
`;
