/** The tables that were recorded. */
export const FOLDER = new URL("../../../golden/tables/", import.meta.url);

/** Names of the recorded Parquet files. */
export const NAMES = [
  "none",
  "snappy",
  "gzip",
  "zstd",
  "brotli",
  "lz4",
  "pages",
  "pages2",
  "checksums",
  "encodings",
] as const;

/** Their rows. */
export const ROWS: readonly Record<string, unknown>[] = JSON.parse(
  await Deno.readTextFile(new URL("rows.json", FOLDER)),
);

/** The bytes of a recorded file. */
export const recorded = (name: string) => Deno.readFile(new URL(`${name}.parquet`, FOLDER));
