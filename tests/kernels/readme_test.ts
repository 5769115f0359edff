import { assertEquals } from "@std/assert";

const KERNELS = new URL("../../kernels/", import.meta.url);

Deno.test("kernels/README.md has one line in its table for each kernel", async () => {
  const files = Array.from(Deno.readDirSync(KERNELS), ({ name }) => name);
  const kernels = new Set(files.flatMap((name) => /^(\w+)(\.\w+)?\.wgsl$/.exec(name)?.[1] ?? []));
  const [table] = (await Deno.readTextFile(new URL("README.md", KERNELS))).split("## Families");
  const listed = Array.from(table.matchAll(/^\| `(\w+)`/gm), ([, name]) => name);
  assertEquals(listed.toSorted(), [...kernels].sort());
});
