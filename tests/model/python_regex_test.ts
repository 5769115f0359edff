import { assert, assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import { dataError } from "../../core/files.ts";
import { PythonRegex } from "../../model/python_regex.ts";

/** What Python's re makes of patterns: a digit for each text, or null where it refuses the pattern. */
interface Recorded {
  readonly texts: readonly string[];
  readonly cases: readonly (readonly [pattern: string, full: string | null, key: string | null])[];
}

const recorded: Recorded = JSON.parse(
  await Deno.readTextFile(new URL("../golden/peft/patterns.json", import.meta.url)),
);

/** What Python has and this does not; such a pattern is refused, never taken for another. */
const NOT_IMPLEMENTED = [
  /\\[1-9]|\\0|\(\?P=|\(\?\(/, // references to groups, and octal numbers
  /[*+?}]\+|\(\?>/, // what never gives back
  /\(\?[a-z]*:[^]|\(\?x|\\N/, // flags for a part, verbose patterns, names of characters
];

const compile = (pattern: string) => new PythonRegex(pattern, (what) => dataError(what, "a test", "mend it"));

function digits(texts: readonly string[], matches: (text: string) => boolean): string {
  return texts.map((text) => Number(matches(text))).join("");
}

/** What we make of a pattern, as it is recorded. */
function results(pattern: string): readonly [full: string | null, key: string | null] {
  const attempt = (work: () => string) => {
    try {
      return work();
    } catch (error) {
      if (error instanceof UserError) return null;
      throw error;
    }
  };
  const { texts } = recorded;
  return [
    attempt(() => digits(texts, (text) => compile(pattern).matches(text))),
    attempt(() => digits(texts, (text) => compile(`(.*\\.)?(${pattern})$`).matchesStart(text))),
  ];
}

Deno.test("PythonRegex matches what Python's re matches, by 1,000 recorded patterns and more", () => {
  const different = recorded.cases.filter(([pattern, full, key]) => {
    const ours = results(pattern);
    const skipped = NOT_IMPLEMENTED.some((feature) => feature.test(pattern));
    return ![full, key].every((wanted, index) => ours[index] === wanted || skipped && ours[index] === null);
  });
  assert(recorded.cases.length > 1000, `${recorded.cases.length} cases`);
  assertEquals(different.map(([pattern, ...wanted]) => [pattern, wanted, results(pattern)]), []);
});

Deno.test("PythonRegex refuses by name what it does not implement", () => {
  for (
    const [pattern, what] of [
      ["(a)\\1", 'the pattern has "\\1"'],
      ["(?P<n>a)(?P=n)", 'the pattern has a group that begins with "(?P="'],
      ["(?i:a)", 'the pattern has a group that begins with "(?i:"'],
      ["(?x)a b", 'the pattern has a group that begins with "(?x)"'],
      ["(?>a)", 'the pattern has a group that begins with "(?>a"'],
      ["a*+", "the pattern has a possessive quantifier"],
      ["\\N{BULLET}", 'the pattern has "\\N"'],
      ["a)", 'the pattern has an unbalanced ")"'],
      ["(a", 'the pattern has an unbalanced "("'],
      ["[a", "the pattern ends too early"],
    ]
  ) assertThrows(() => compile(pattern), UserError, what);
});

Deno.test("PythonRegex takes no longer for patterns that keep Python busy for years", () => {
  const text = `${"a".repeat(40)}!`;
  for (
    const pattern of ["(a+)+", "(a|a)*b", "((a*)*)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)(.*)x", "(a{0,40}){40}b"]
  ) {
    assertEquals(compile(pattern).matches(text), false);
  }
});

Deno.test("PythonRegex gives up once patterns have taken more steps than they share, saying so", () => {
  const budget = { left: 100 };
  const patterns = ["a*b", "a*c"].map((pattern) =>
    new PythonRegex(pattern, (what) => dataError(what, "a test", "mend it"), budget)
  );
  assertEquals(patterns.map((pattern) => pattern.matches("aaa")), [false, false]);
  assertThrows(() => patterns[0].matches("a".repeat(200)), UserError, "takes too long");
  assertThrows(() => patterns[1].matches("a"), UserError, "takes too long");
});

for (
  const [title, pattern, what] of [
    ["is longer than any list of layers", "a".repeat(100_001), "100001 characters"],
    ["nests its groups without end", "(".repeat(50_000), "too many groups within groups"],
    ["counts without end", "(?:){1000000000}b", undefined],
  ] as const
) {
  Deno.test(`PythonRegex is not held up by a pattern that ${title}`, () => {
    if (what === undefined) assertEquals(compile(pattern).matches("a"), false);
    else assertThrows(() => compile(pattern), UserError, what);
  });
}
