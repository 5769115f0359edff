import { assertEquals, assertThrows } from "@std/assert";
import { UserError } from "../../core/errors.ts";
import type { DivergenceType, LossTerm, TrainingExample } from "../../core/types.ts";
import { planLosses } from "../../model/loss_plan.ts";

function choice(branch: number, change: Partial<Extract<LossTerm, { kind: "choice" }>> = {}): LossTerm {
  return { kind: "choice", branch, tokens: [7, 8], label: 1, smoothing: 0, weight: 1, ...change };
}

function divergence(branch: number, count: number, type: DivergenceType = "jsd", weight = 1): LossTerm {
  return { kind: "divergence", branch, count, type, weight };
}

/** An example whose tokens are numbered by where they stand. */
function example(
  prefix: number,
  branches: readonly number[],
  losses: readonly LossTerm[],
  id = 0,
): TrainingExample {
  const tokens = (first: number, length: number) => Array.from({ length }, (_, index) => first + index);
  return {
    id,
    prefix: tokens(0, prefix),
    branches: branches.map((length, b) => tokens(100 * (b + 1), length)),
    losses,
  };
}

Deno.test("planLosses() reads a choice at the last token of its branch", () => {
  const plan = planLosses([example(3, [2, 4], [choice(0), choice(1)])]);
  // Rows 0-2 are the prefix, 3-4 the first branch, 5-8 the second.
  assertEquals(plan.outputs, [4, 8]);
  assertEquals(plan.choices, [{ tokens: [7, 8], smoothing: 0, weight: 1, rows: [0, 1], labels: [1, 1] }]);
  assertEquals([plan.plain, plan.divergences], [[], []]);
});

Deno.test("planLosses() reads a choice behind an empty branch at the prefix's last token", () => {
  assertEquals(planLosses([example(3, [0], [choice(0)])]).outputs, [2]);
  assertEquals(planLosses([example(0, [2, 1], [choice(0)])]).outputs, [1]);
});

Deno.test("planLosses() reads a divergence where the last tokens of the branch are predicted", () => {
  const plan = planLosses([example(3, [5, 4], [divergence(1, 2)])]);
  // The branch is rows 8-11, its last two tokens are predicted at 9 and 10.
  // Behind the 12 adapted rows comes the frozen path without its last token: prefix 12-14, branch 15-17.
  assertEquals(plan.outputs, [9, 10, 16, 17]);
  assertEquals(plan.divergences, [{ type: "jsd", weight: 1, rows: [0, 1], frozenRows: [2, 3] }]);
  assertEquals(plan.plain, [{ id: 0, prefix: [0, 1, 2, 200, 201, 202], branches: [] }]);
});

Deno.test("planLosses() predicts a branch's first token at the prefix's last", () => {
  assertEquals(planLosses([example(3, [2], [divergence(0, 2)])]).outputs, [2, 3, 7, 8]);
});

Deno.test("planLosses() lets a divergence reach back into the prefix where the branch is shorter", () => {
  // Rows 0-3 are the prefix, 4 the branch; tokens 2, 3 and 4 are predicted at 1, 2 and 3.
  const plan = planLosses([example(4, [1], [divergence(0, 3)])]);
  assertEquals(plan.outputs, [1, 2, 3, 6, 7, 8]);
  const empty = planLosses([example(4, [2, 0], [divergence(1, 2)])]);
  assertEquals(empty.outputs, [1, 2, 7, 8]);
  assertEquals(empty.plain[0].prefix, [0, 1, 2]);
});

Deno.test("planLosses() predicts every token but the first, and refuses to predict that", () => {
  assertEquals(planLosses([example(2, [1], [divergence(0, 2)])]).outputs, [0, 1, 3, 4]);
  for (
    const [one, what] of [
      [example(2, [1], [divergence(0, 3)]), "a divergence over all tokens"],
      [example(0, [2], [divergence(0, 2)]), "a divergence over all tokens of a branch without prefix"],
      [example(0, [0], [choice(0)]), "a choice behind nothing"],
    ] as const
  ) {
    const error = assertThrows(() => planLosses([one]), UserError, "before the path's first", what);
    assertEquals(error.kind, "internal");
  }
});

Deno.test("planLosses() puts adapted examples one behind the other, then the frozen paths in the same order", () => {
  const plan = planLosses([
    example(2, [3, 2], [choice(0), divergence(1, 1)], 5),
    example(1, [2, 3], [choice(0, { label: 0 }), divergence(1, 2)], 9),
  ]);
  assertEquals(plan.adapted.map(({ id }) => id), [5, 9]);
  assertEquals(plan.plain.map(({ id, prefix }) => [id, prefix.length]), [[5, 3], [9, 3]]);
  // Adapted rows: 0-6 and 7-12. Frozen rows: 13-15 and 16-18.
  assertEquals(plan.outputs, [4, 5, 9, 10, 11, 15, 17, 18]);
  assertEquals(plan.choices, [{ tokens: [7, 8], smoothing: 0, weight: 1, rows: [0, 2], labels: [1, 0] }]);
  assertEquals(plan.divergences, [{ type: "jsd", weight: 1, rows: [1, 3, 4], frozenRows: [5, 6, 7] }]);
});

Deno.test("planLosses() groups terms that one kernel call can serve, and no others", () => {
  const plan = planLosses([
    example(2, [1, 1, 1, 1, 1], [
      choice(0),
      choice(1, { tokens: [8, 7] }),
      choice(2, { smoothing: 0.1 }),
      choice(3, { weight: 2 }),
      choice(4, { label: 0 }),
    ]),
    example(2, [3], [divergence(0, 1)]),
    example(2, [3], [divergence(0, 1, "forward_kl")]),
    example(2, [3], [divergence(0, 1, "jsd", 0.5)]),
    example(2, [3], [divergence(0, 1)]),
  ]);
  assertEquals(plan.choices.map(({ rows }) => rows), [[0, 4], [1], [2], [3]]);
  assertEquals(plan.divergences.map(({ type, weight, rows }) => [type, weight, rows]), [
    ["jsd", 1, [5, 8]],
    ["forward_kl", 1, [6]],
    ["jsd", 0.5, [7]],
  ]);
});

Deno.test("planLosses() gives each divergence frozen rows of its own, also where paths are the same", () => {
  const one = example(2, [2], [divergence(0, 2)]);
  const plan = planLosses([one, one]);
  const [{ frozenRows }] = plan.divergences;
  assertEquals(new Set(frozenRows.map((row) => plan.outputs[row])).size, 4);
});

Deno.test("planLosses() runs no frozen model where there is no divergence", () => {
  assertEquals(planLosses([example(3, [1], [choice(0)])]).plain, []);
  assertEquals(planLosses([]).outputs, []);
});

for (
  const [title, losses] of [
    ["two choices on one branch", [choice(0), choice(0)]],
    ["two divergences on one branch", [divergence(1, 1), divergence(1, 2)]],
    ["two divergences that reach back into the shared prefix", [divergence(0, 4), divergence(1, 3)]],
  ] as const
) {
  Deno.test(`planLosses() refuses ${title}: no row may be read twice`, () => {
    const error = assertThrows(() => planLosses([example(5, [2, 2], losses)]), UserError, "the same token");
    assertEquals(error.kind, "internal");
  });
}

function classTerm(branch: number, first: number, end: number, label: 0 | 1 = 1, weight = 1): LossTerm {
  return { kind: "class", branch, first, end, label, weight };
}

Deno.test("planLosses() reads a class loss at the tokens of its span, counted from the prefix's first", () => {
  const plan = planLosses([
    example(3, [2, 4], [classTerm(1, 2, 5)]),
    example(0, [4], [classTerm(0, 3, 4, 0)]),
  ]);
  // Of the first example row 2 is the prefix's last, 5 and 6 begin the second branch; the other begins at row 9.
  assertEquals(plan.outputs, [2, 5, 6, 12]);
  assertEquals(plan.classes, [{ weight: 1, rows: [0, 1, 2, 3], spans: [3, 1], labels: [1, 0] }]);
});

Deno.test("planLosses() refuses a class loss whose span is empty or goes beyond its branch", () => {
  for (const [first, end] of [[1, 1], [0, 6]]) {
    assertThrows(
      () => planLosses([example(3, [2], [classTerm(0, first, end)])]),
      UserError,
      "A class loss reads",
    );
  }
});
