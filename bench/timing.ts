/** A thing to time, with its name. */
export interface Contestant {
  readonly name: string;
  run(): Promise<void>;
}

/** Milliseconds by contestant: the median and the smallest of some rounds. */
export type Times = Readonly<Record<string, { readonly median: number; readonly best: number }>>;

/**
 * Times contestants against each other: each runs once a round, in turn, so that a slow moment of the machine hits
 * all of them alike. A first round, in which kernels are compiled, is not counted.
 */
export async function race(contestants: readonly Contestant[], rounds: number): Promise<Times> {
  const samples = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const { name, run } of contestants) {
      const start = performance.now();
      await run();
      if (round >= 0) samples.get(name)!.push(performance.now() - start);
    }
  }
  return Object.fromEntries([...samples].map(([name, times]) => {
    times.sort((a, b) => a - b);
    return [name, { median: times[Math.floor(times.length / 2)], best: times[0] }];
  }));
}
