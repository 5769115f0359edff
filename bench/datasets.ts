/** How fast tables are read, row by row, and in how much memory; beside Python's libraries, where they are. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readTable } from "../plugins/mod.ts";
import { ProgressBar } from "../tasks/_progress.ts";

/** How a table was read. */
export interface ReadResult {
  /** What it is written in. */
  readonly table: string;
  readonly bytes: number;
  readonly reader: string;
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** Memory of the process at most; ours reads one table after the other in one process. */
  readonly peakBytes: number;
}

/** A table that could not be read, and why. */
export interface Absent {
  readonly table: string;
  readonly reader: string;
  readonly why: string;
}

const SCRIPT = fileURLToPath(new URL("datasets.py", import.meta.url));

const question = (row: number) => `Which number follows ${row}, and which follows ${row * 7919 % 1_000_003}?`;

/** One table in each format, and Python's readers of it. */
const TABLES = [
  { table: "CSV", file: "a.csv", peers: ["csv", "pyarrow.csv"] },
  { table: "JSON Lines", file: "a.jsonl", peers: ["json"] },
  { table: "Parquet, zstd", file: "a.parquet", peers: ["pyarrow.parquet"] },
  { table: "Parquet, zstd: two columns", file: "a.parquet", columns: ["question", "answer"], peers: [] },
] as const;

/** Writes made-up tables of so many rows to a temporary folder, and reads them. `PYTHON` names the peers' Python. */
export async function benchReading(rows: number): Promise<readonly (ReadResult | Absent)[]> {
  const folder = await Deno.makeTempDir(), results: (ReadResult | Absent)[] = [];
  try {
    await writeLines(
      join(folder, "a.csv"),
      rows,
      "id,question,a,b,c,d,answer\n",
      (row) => `${row},"${question(row)}",${row},${row + 1},${row + 2},${row * 2},${row % 4}\n`,
    );
    await writeLines(join(folder, "a.jsonl"), rows, "", (row) => {
      const choices = [row, row + 1, row + 2, row * 2].map(String);
      return `${JSON.stringify({ id: row, question: question(row), choices, answer: row % 4 })}\n`;
    });
    await python("write", join(folder, "a.jsonl"), join(folder, "a.parquet"));
    for (const { table, file, peers, ...options } of TABLES) {
      const path = join(folder, file);
      const bytes = await Deno.stat(path).then(({ size }) => size, () => undefined);
      if (bytes === undefined) {
        results.push({ table, reader: "ours", why: "no Python with pyarrow writes it here" });
        continue;
      }
      results.push({ table, bytes, reader: "ours", ...await read(path, rows, table, options) });
      for (const reader of peers) {
        const found = await python(reader, path);
        if (found === undefined) results.push({ table, reader, why: "not here" });
        else {
          const { rows, seconds, peakBytes } = JSON.parse(found);
          results.push({ table, bytes, reader, rows, rowsPerSecond: rows / seconds, peakBytes });
        }
      }
    }
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeLines(path: string, rows: number, head: string, line: (row: number) => string) {
  using file = await Deno.open(path, { write: true, create: true });
  using progress = new ProgressBar(`write ${path}`);
  const writer = file.writable.getWriter(), encoder = new TextEncoder();
  let text = head;
  for (let row = 0; row < rows; row++) {
    text += line(row);
    if (text.length < 1 << 20 && row + 1 < rows) continue;
    await writer.write(encoder.encode(text));
    progress.update(row + 1, rows);
    text = "";
  }
  // What the system still has to write would take its time from whoever reads first.
  await file.sync();
}

async function read(
  path: string,
  total: number,
  title: string,
  options: { readonly columns?: readonly string[] },
): Promise<Pick<ReadResult, "rows" | "rowsPerSecond" | "peakBytes">> {
  using progress = new ProgressBar(`read ${title}`);
  const start = performance.now();
  let rows = 0, peakBytes = 0;
  for await (const _ of readTable(path, options)) {
    if (++rows % 20_000 > 0) continue;
    peakBytes = Math.max(peakBytes, Deno.memoryUsage().rss);
    progress.update(rows, total);
  }
  progress.update(rows, total);
  return { rows, rowsPerSecond: rows / (performance.now() - start) * 1000, peakBytes };
}

/** What the script prints; nothing where there is no Python, or not what it needs. */
async function python(...args: readonly string[]): Promise<string | undefined> {
  try {
    const command = new Deno.Command(Deno.env.get("PYTHON") || "python3", {
      args: [SCRIPT, ...args],
      stderr: "null",
    });
    const { success, stdout } = await command.output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}
