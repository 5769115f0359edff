/**
 * Works on numbered items, so many at once, and gives what comes of each as it is finished. Where one fails, no other is
 * begun, and the failure is thrown after those that were under way. A caller that stops early leaves no work behind.
 */
export async function* inParallel<T>(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<T>,
): AsyncIterable<{ readonly index: number; readonly value: T }> {
  /** What has come, and whoever waits for it: a race of all that is under way would take time with each of them. */
  const finished: { index: number; value: T }[] = [], failed: unknown[] = [];
  let next = 0, running = 0, arrived = Promise.withResolvers<void>();
  const start = (index: number) => {
    running++;
    work(index).then(
      (value) => finished.push({ index, value }),
      (error) => failed.push(error),
    ).finally(() => {
      running--;
      arrived.resolve();
    });
  };
  try {
    while (next < count || running > 0 || finished.length > 0) {
      while (next < count && running < atOnce && failed.length === 0) start(next++);
      if (finished.length > 0) yield finished.shift()!;
      else if (running === 0) break;
      else {
        await arrived.promise;
        arrived = Promise.withResolvers();
      }
    }
    if (failed.length > 0) throw failed[0];
  } finally {
    while (running > 0) {
      await arrived.promise;
      arrived = Promise.withResolvers();
    }
  }
}
