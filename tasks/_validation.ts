/** What `deno task data validate` says. */
import type { Finding, Validation } from "../core/mod.ts";

/** What was found in a dataset. */
export interface Validated {
  readonly dataset: string;
  readonly sound: boolean;
  readonly splits: readonly Validation[];
}

/** How a collection is, in a line. */
export function collectionText(name: string, results: readonly Validated[]): string {
  const rows = results.flatMap(({ splits }) => splits).reduce((sum, { rows }) => sum + rows, 0);
  const unsound = results.filter(({ sound }) => !sound).map(({ dataset }) => dataset);
  return `${name}: ${results.length.toLocaleString("en")} datasets, ${rows.toLocaleString("en")} rows; ` +
    (unsound.length === 0
      ? "nothing is wrong"
      : `something is wrong in ${unsound.length.toLocaleString("en")}: ${unsound.join(", ")}`);
}

/** What was found in each split of a dataset. */
export function findingsText(name: string, results: readonly Validation[]): string {
  const lines = results.flatMap(({ split, rows, findings }) => [
    `${name} ${split}: ${rows.toLocaleString("en")} rows${findings.length === 0 ? ", all sound" : ""}`,
    ...findings.flatMap(findingLines),
  ]);
  return lines.join("\n");
}

function findingLines({ what, wrong, count, examples }: Finding): string[] {
  const more = count > examples.length
    ? [`      and ${(count - examples.length).toLocaleString("en")} more`]
    : [];
  return [
    `  ${wrong ? "wrong" : "note "}  ${what}: ${count.toLocaleString("en")}`,
    ...examples.map((example) => `      ${example}`),
    ...more,
  ];
}
