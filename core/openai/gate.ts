/** Lets so many pass at once, and none before a time that an endpoint has asked for. */
export class Gate {
  readonly #limit: number;
  readonly #sleep: (milliseconds: number) => Promise<void>;
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  #inside = 0;
  #closedUntil = 0;

  constructor(limit: number, sleep: (milliseconds: number) => Promise<void>, now: () => number) {
    this.#limit = limit;
    this.#sleep = sleep;
    this.#now = now;
  }

  /** Does something inside. */
  async pass<T>(work: () => Promise<T>): Promise<T> {
    // Whoever leaves hands its place on, so that nobody who comes meanwhile takes it.
    if (this.#inside < this.#limit) this.#inside++;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#inside--;
    }
  }

  /** Waits until the endpoint is ready for more. */
  async opened(): Promise<void> {
    for (let left = this.waiting(); left > 0; left = this.waiting()) await this.#sleep(left);
  }

  /** Milliseconds until the endpoint is ready for more; 0 if it is. */
  waiting(): number {
    return Math.max(0, this.#closedUntil - this.#now());
  }

  /** Closes it for so many milliseconds from now; never for less than it was told before. */
  closeFor(milliseconds: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, this.#now() + milliseconds);
  }
}

/** The pause that the headers of a reply ask for, in milliseconds; 0 for none. */
export function askedPause(headers: Headers, now: number): number {
  const milliseconds = Number(headers.get("retry-after-ms") ?? NaN);
  if (milliseconds >= 0) return milliseconds;
  const after = headers.get("retry-after");
  if (after !== null) {
    const pause = /^\d+(\.\d+)?$/.test(after) ? Number(after) * 1000 : Date.parse(after) - now;
    if (Number.isFinite(pause)) return Math.max(0, pause);
  }
  // Without that, what is left and when it is filled up again, of requests and of tokens.
  return Math.max(...["requests", "tokens"].map((what) => {
    const left = Number(headers.get(`x-ratelimit-remaining-${what}`) ?? NaN);
    return left <= 0 ? duration(headers.get(`x-ratelimit-reset-${what}`) ?? "") : 0;
  }));
}

/** Milliseconds of a duration such as `6m0s`, `1.5s` or `120ms`; 0 if it is none. */
function duration(text: string): number {
  if (!/^(\d+(\.\d+)?(ms|h|m|s))+$/.test(text)) return 0;
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  let sum = 0;
  for (const [, value, , unit] of text.matchAll(/(\d+(\.\d+)?)(ms|h|m|s)/g)) {
    sum += Number(value) * units[unit];
  }
  return sum;
}
