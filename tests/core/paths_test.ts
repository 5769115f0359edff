import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { cacheFolder } from "../../core/paths.ts";

Deno.test("cacheFolder() is the user's folder for what can be made again", () => {
  const folder = (env: Record<string, string>) => cacheFolder("features", (name) => env[name]);
  assertEquals(folder({ HOME: "/home/ada" }), join("/home/ada", ".cache", "credence", "features"));
  assertEquals(
    folder({ HOME: "/home/ada", XDG_CACHE_HOME: "/tmp/c" }),
    join("/tmp/c", "credence", "features"),
  );
  assertEquals(folder({ XDG_CACHE_HOME: "" }), join(".", ".cache", "credence", "features"));
});
