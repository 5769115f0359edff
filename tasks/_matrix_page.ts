/** A page of which one part is made by a command. */
import { dataError, exists, readText, writeFileAtomic } from "../core/mod.ts";

const begin = (name: string) => `<!-- matrix ${name}: made by a command, do not edit -->`;
const end = (name: string) => `<!-- end of matrix ${name} -->`;

/** Replaces the part of a page between the marks of a matrix; makes the page where there is none. */
export async function writePage(path: string, name: string, markdown: string): Promise<void> {
  // The formatter would align the columns anew at every change.
  const part = `${
    begin(name)
  }\n<!-- deno-fmt-ignore-start -->\n\n${markdown}\n\n<!-- deno-fmt-ignore-end -->\n${end(name)}`;
  const page = await exists(path) ? await readText(path) : `# Results\n\n${begin(name)}\n${end(name)}\n`;
  const [start, stop] = places(page, path, name);
  await writeFileAtomic(path, page.slice(0, start) + part + page.slice(stop));
}

/** Refuses a page without a place for the matrix, before anything is computed for it. */
export async function checkPage(path: string, name: string): Promise<void> {
  if (!path.endsWith(".json") && await exists(path)) places(await readText(path), path, name);
}

function places(page: string, path: string, name: string): [start: number, stop: number] {
  const start = page.indexOf(begin(name)), stop = page.indexOf(end(name));
  if (start >= 0 && stop > start) return [start, stop + end(name).length];
  throw dataError(
    `The page has no place for the matrix "${name}"`,
    path,
    `add two lines to it:\n${begin(name)}\n${end(name)}`,
  );
}
