/**
 * The functions of `@std/assert` that this project uses, over `node:assert/strict`, for machines that do not reach
 * JSR. Same names and signatures; `tests/compat_test.ts` holds both to one contract.
 */
import assertStrict, { AssertionError as NodeAssertionError } from "node:assert/strict";

/** What a failed assertion throws. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Runs a `node:assert` check and rethrows its failure as our own class. */
function check(run: () => void, message?: string): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof NodeAssertionError)) throw error;
    throw new AssertionError(message === undefined ? error.message : `${message}\n${error.message}`);
  }
}

/** Throws unless `expression` is truthy. */
export function assert(expression: unknown, message = ""): asserts expression {
  if (!expression) throw new AssertionError(message || "Expected a truthy value");
}

/** Throws unless both values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  check(() => assertStrict.deepStrictEqual(actual, expected), message);
}

/** Throws if both values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  check(() => assertStrict.notDeepStrictEqual(actual, expected), message);
}

/** Throws unless `actual` is within `tolerance` of `expected`; by default 1e-7 of it. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance: number = Number.isFinite(expected) ? Math.abs(expected) * 1e-7 : 1e-7,
  message = `Expected ${actual} to be within ${tolerance} of ${expected}`,
): void {
  if (Object.is(actual, expected)) return;
  assert(Math.abs(actual - expected) <= tolerance, message);
}

/** Throws unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  assert(
    actual.includes(expected),
    message ?? `Expected ${JSON.stringify(actual)} to contain ${JSON.stringify(expected)}`,
  );
}

/** Throws unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  assert(expected.test(actual), message ?? `Expected ${JSON.stringify(actual)} to match ${expected}`);
}

type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;

function checkError<E extends Error>(
  error: unknown,
  expected?: ErrorClass<E>,
  includes = "",
  message = "",
): E {
  assert(error instanceof Error, message || "A non-Error object was thrown");
  if (expected) {
    assert(
      error instanceof expected,
      message || `Expected ${expected.name} but got ${error.name}: ${error.message}`,
    );
  }
  assertStringIncludes(error.message, includes, message || undefined);
  return error as E;
}

/** Throws unless `fn` throws; gives back what it threw. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): E {
  try {
    fn();
  } catch (error) {
    return checkError(error, errorClass, messageIncludes, message);
  }
  throw new AssertionError(message ?? "Expected function to throw");
}

/** Throws unless `fn` gives a promise that rejects; resolves to what it rejected with. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
  message?: string,
): Promise<E> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(message ?? `Function throws when expected to reject: ${error}`);
  }
  try {
    await promise;
  } catch (error) {
    return checkError(error, errorClass, messageIncludes, message);
  }
  throw new AssertionError(message ?? "Expected function to reject");
}
