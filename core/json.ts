/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** JSON with sorted keys, so that equal values have equal text. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value as Record<string, Json>).toSorted(([a], [b]) => a < b ? -1 : 1);
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

/**
 * The values that differ between two records, whatever the order of their keys: where each stands, as in `options.lr`,
 * and both values, of which one that is not there counts as null.
 */
export function differences(
  before: Json,
  now: Json,
  path: readonly string[] = [],
): readonly { readonly path: string; readonly was: Json; readonly is: Json }[] {
  if (canonical(before) === canonical(now)) return [];
  if (!isObject(before) || !isObject(now)) return [{ path: path.join("."), was: before, is: now }];
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((key) =>
    differences(before[key] ?? null, now[key] ?? null, [...path, key])
  );
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
