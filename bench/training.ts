/** How long methods take to train, by the recipes of the repository's matrix. */
import { fileURLToPath } from "node:url";
import {
  createRng,
  isLabeled,
  type Labeled,
  type LanguageModel,
  resolveOptions,
  type Split,
  type TrainableMethod,
  type Trainer,
} from "../core/mod.ts";
import { chooseDatasets } from "../tasks/_common.ts";
import { readMatrixFile } from "../tasks/_matrix_file.ts";
import type { Session } from "../tasks/_session.ts";

const MATRIX = fileURLToPath(new URL("../assets/facts/matrix.json", import.meta.url));

/** What is compared: entries of the matrix, the first being what the others are measured by. */
const METHODS = ["lora-prompt", "query-lora"];

/** Time of a whole training, in s. */
export interface TrainingTime {
  readonly method: string;
  readonly steps: number;
  /** In optimizer steps, and in looks at the validation rows. */
  readonly stepSeconds: number;
  readonly lookSeconds: number;
  /** Of both, by those of the first method. */
  readonly share: number;
}

/**
 * Trains all methods at once, each taking a step when the others have taken theirs, so that a slow moment of the machine
 * hits all alike. What a method does after another has finished is reckoned by the steps it took beside it.
 */
export async function benchTrainings(session: Session, labels: string): Promise<readonly TrainingTime[]> {
  const model = await session.model("facts");
  const rows = {
    train: await read(session, labels, "train"),
    validation: await read(session, labels, "validation"),
  };
  const { methods } = await readMatrixFile(session, MATRIX);
  const turns = new Turns();
  const clocks = await Promise.all(METHODS.map(async (name) => {
    const { plugin, train } = methods[name], { "max-steps": steps, "batch-size": batchSize } = train!.flags;
    const method = session.registry.get("method", plugin).plugin as TrainableMethod;
    const clock: Clock = { name, steps: Number(steps), step: [], look: [] };
    const folder = await Deno.makeTempDir();
    try {
      await method.train(timed(model, clock, turns), rows, {
        options: resolveOptions(method, train!.options),
        rng: createRng(137).split("train"),
        batchSize: Number(batchSize),
        maxSteps: clock.steps,
        progress: { update() {} },
        log() {},
        folder,
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
    return clock;
  }));
  const together = Math.min(...clocks.map(({ steps }) => steps));
  const times = clocks.map(({ name, steps, step, look }) => ({
    method: name,
    steps,
    stepSeconds: sum(step.slice(0, together)) + (steps - together) * sum(step.slice(0, together)) / together,
    lookSeconds: sum(look),
  }));
  const [first] = times, total = ({ stepSeconds, lookSeconds }: typeof first) => stepSeconds + lookSeconds;
  return times.map((time) => ({ ...time, share: total(time) / total(first) }));
}

/** Seconds that a training took in each of its steps and looks. */
interface Clock {
  readonly name: string;
  readonly steps: number;
  readonly step: number[];
  readonly look: number[];
}

/** Lets one at a time work, in the order in which they ask. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}

/** The same model, of whose trainers the steps are timed and taken in turn. */
function timed(model: LanguageModel, clock: Clock, turns: Turns): LanguageModel {
  const measure = <T>(seconds: number[], work: () => Promise<T>) =>
    turns.take(async () => {
      const start = performance.now();
      const result = await work();
      seconds.push((performance.now() - start) / 1000);
      return result;
    });
  return new Proxy(model, {
    get(target, key) {
      const value = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      if (key !== "createTrainer") return value.bind(target);
      return (...args: Parameters<LanguageModel["createTrainer"]>): Trainer => {
        const trainer = target.createTrainer(...args);
        return new Proxy(trainer, {
          get(inner, name) {
            const member = Reflect.get(inner, name, inner);
            if (typeof member !== "function") return member;
            const call = member.bind(inner) as (...all: unknown[]) => Promise<unknown>;
            const seconds = name === "train" ? clock.step : name === "evaluate" ? clock.look : undefined;
            return seconds ? (...all: unknown[]) => measure(seconds, () => call(...all)) : call;
          },
        });
      };
    },
  });
}

async function read(session: Session, labels: string, split: Split): Promise<Labeled[]> {
  const [{ dataset, request }] = await chooseDatasets(session, labels, {});
  return (await Array.fromAsync(dataset.read!(split, request))).filter((row) =>
    "context" in row && isLabeled(row)
  ) as Labeled[];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
