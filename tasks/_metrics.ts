/** The metrics that a command line names. */
import { join } from "node:path";
import {
  createRng,
  meansOver,
  type Metric,
  type PredictionRow,
  readPredictions,
  type TaskMeans,
} from "../core/mod.ts";
import { defaultMetrics } from "../plugins/mod.ts";
import type { Session } from "./_session.ts";
import type { Better } from "./_table.ts";

/** The metrics of these names, all of them for `all`, or without names the usual ones and those that users load. */
export function chooseMetrics(session: Session, names: readonly string[]): readonly Metric[] {
  const all = session.registry.list("metric");
  if (names.length === 0) {
    return all.filter(({ plugin: { name }, origin }) =>
      origin !== "built-in" || defaultMetrics.includes(name)
    )
      .map(({ plugin }) => plugin);
  }
  const chosen = names.flatMap((name) => name === "all" ? all : [session.registry.get("metric", name)]);
  return [...new Set(chosen.map(({ plugin }) => plugin))];
}

/** Which end of each metric's scale is good. */
export function directions(session: Session): Better {
  return Object.fromEntries(
    session.registry.list("metric").map(({ plugin: { name, better } }) => [name, better]),
  );
}

/** Means over datasets, from a file of confidences that each has in its folder. */
export async function meansOf(
  evaluations: readonly { readonly folder: string }[],
  file: string,
  metrics: readonly Metric[],
  seed: number,
): Promise<TaskMeans> {
  const datasets: PredictionRow[][] = [];
  for (const { folder } of evaluations) datasets.push(await readPredictions(join(folder, file)));
  return meansOver(datasets, metrics, createRng(seed).split("bootstrap"));
}
