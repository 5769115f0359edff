import { join } from "node:path";
import { EventFile } from "./_event_file.ts";
import { MetricsLog } from "./_metrics_log.ts";

/** What a training leaves in a run folder besides checkpoints. */
export const LOG_FILES: RegExp = /^(metrics\.jsonl|events\.out\.tfevents\..+)$/;

/** Numbers of each step, in `metrics.jsonl` and for TensorBoard. */
export class TrainingLog implements Disposable {
  readonly #metrics: MetricsLog;
  readonly #events: EventFile;

  /** @param folder of the run; a training that goes on in it replaces the steps that it takes again */
  constructor(folder: string) {
    this.#metrics = new MetricsLog(join(folder, "metrics.jsonl"));
    this.#events = new EventFile(folder);
  }

  write(step: number, values: Readonly<Record<string, number>>): void {
    this.#metrics.write(step, values);
    const tags = Object.entries(values).map(([name, value]) => [tagOf(name), value] as const);
    this.#events.write(step, Object.fromEntries(tags));
  }

  [Symbol.dispose](): void {
    this.#metrics[Symbol.dispose]();
    this.#events[Symbol.dispose]();
  }
}

/** `loss` is `train/loss`, `eval_q_loss` is `eval/q_loss`: TensorBoard groups by what stands before the slash. */
function tagOf(name: string): string {
  return name.startsWith("eval_") ? name.replace("_", "/") : `train/${name}`;
}
