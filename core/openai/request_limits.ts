import type { OptionLimit } from "../options.ts";

/** Options of the plugins that ask a model behind an API; a price or cost of 0 stands for none. */
export interface RequestSettings {
  /** Requests under way at once. */
  readonly concurrency: number;
  /** Seconds after which a request is given up and tried again. */
  readonly timeout: number;
  /** Dollars per million tokens read. */
  readonly priceInput: number;
  /** Dollars per million tokens written. */
  readonly priceOutput: number;
  /** Dollars that one run may cost. */
  readonly maxCost: number;
}

/** Their values when not set. */
export const REQUEST_DEFAULTS: RequestSettings = {
  concurrency: 20,
  timeout: 60,
  priceInput: 0,
  priceOutput: 0,
  maxCost: 0,
};

/** What they do, for `help`. */
export const REQUEST_HELP: Readonly<Record<keyof RequestSettings, string>> = {
  concurrency: "requests under way at once",
  timeout: "seconds after which a request is tried again",
  priceInput: "dollars per million tokens read (OpenAI's are known)",
  priceOutput: "dollars per million tokens written",
  maxCost: "dollars after which the run stops, to be gone on with",
};

/** Their names: none changes a reply, so all are `incidental`. */
export const REQUEST_OPTIONS: readonly (keyof RequestSettings)[] = [
  "concurrency",
  "timeout",
  "priceInput",
  "priceOutput",
  "maxCost",
];

/** The longest pause that a timer knows, in seconds. */
const LONGEST = 2_147_483;

/** What these options have to be, so that requests are made and end; for `checkOptions`. */
export function requestLimits(
  { concurrency, timeout, priceInput, priceOutput, maxCost }: RequestSettings,
): OptionLimit<RequestSettings>[] {
  return [
    ["concurrency", Number.isInteger(concurrency) && concurrency >= 1, "a whole number from 1"],
    ["timeout", timeout > 0 && timeout <= LONGEST, `a number above 0, up to ${LONGEST}`],
    ["priceInput", priceInput >= 0, "a number from 0"],
    ["priceOutput", priceOutput >= 0, "a number from 0"],
    ["maxCost", maxCost >= 0, "a number from 0, which is no limit"],
  ];
}
