import { assertEquals } from "@std/assert";
import { type ErrorKind, EXIT_CODES, nearest, suggestion, UserError } from "../../core/errors.ts";

const parts = { what: "No cheese", where: "fridge", fix: "buy some" };

Deno.test("UserError says what, where and fix on a line each", () => {
  assertEquals(
    new UserError({ kind: "data", ...parts }).message,
    "No cheese\n  where: fridge\n  fix:   buy some",
  );
});

Deno.test("UserError keeps its parts, its name and the error underneath", () => {
  const cause = new Error("mould");
  const error = new UserError({ kind: "data", ...parts, cause });
  assertEquals([error.kind, error.what, error.where, error.fix], ["data", ...Object.values(parts)]);
  assertEquals([error.name, error.cause], ["UserError", cause]);
});

for (
  const [kind, code] of [["internal", 1], ["plugin", 1], ["usage", 2], ["adapter", 3], ["data", 4]] as const
) {
  Deno.test(`UserError of kind ${kind} ends a task with exit code ${code}`, () => {
    assertEquals(new UserError({ kind, ...parts }).exitCode, code);
  });
}

Deno.test("EXIT_CODES never gives 0, the code of success", () => {
  const free = (Object.keys(EXIT_CODES) as ErrorKind[]).filter((kind) => EXIT_CODES[kind] === 0);
  assertEquals(free, []);
});

Deno.test("nearest() finds a name that is misspelt", () => {
  assertEquals(nearest("modle-name", ["mode", "model-name", "max-steps"]), "model-name");
  assertEquals(nearest("acuracy", ["ece", "accuracy"]), "accuracy");
});

for (
  const { name, distance, found, why } of [
    { name: "abXY", distance: 2, found: "abcd", why: "two letters of a short name may be wrong" },
    { name: "aXYZ", distance: 3, found: undefined, why: "three may not" },
    { name: "abcdefXYZ", distance: 3, found: "abcdefghi", why: "a third of a long name may be wrong" },
    { name: "abcdeWXYZ", distance: 4, found: undefined, why: "more than a third may not" },
  ]
) {
  Deno.test(`nearest() gives ${found} at distance ${distance} from "${name}": ${why}`, () => {
    assertEquals(nearest(name, ["abcd", "abcdefghi"]), found);
  });
}

Deno.test("nearest() takes the beginning of a name for it, before another that is spelt alike", () => {
  assertEquals(nearest("acc", ["ace", "accuracy-at-coverage-50", "accuracy"]), "accuracy");
  assertEquals(nearest("--lim", ["--lr", "--limit"]), "--limit");
  // Of so few letters nothing can be said.
  assertEquals(nearest("--q", ["--query-format", "--quiet"]), undefined);
});

Deno.test("nearest() gives nothing from an empty list", () => {
  assertEquals(nearest("ece", []), undefined);
});

Deno.test("suggestion() names the nearest name, or all of them where none is near", () => {
  assertEquals(suggestion("eec", ["ece", "auroc"]), 'did you mean "ece"?');
  assertEquals(suggestion("sharpness", ["ece", "auroc"]), "use one of ece, auroc");
});
