import { assertEquals, assertRejects } from "@std/assert";
import { evaluation, UserError } from "@credence/credence";

const expand = (argument: string) => evaluation.expand!({ argument, options: {} });

Deno.test("eval:mmlu_pro is every subject of MMLU-Pro", async () => {
  const names = await expand("mmlu_pro");
  assertEquals([names.length, names[0]], [14, "mmlu_pro:biology"]);
});

Deno.test("eval refuses a benchmark that it does not know, with the nearest name", async () => {
  const error = await assertRejects(() => expand("mmlo"), UserError);
  assertEquals([error.what, error.fix], ['Unknown benchmark "mmlo"', 'did you mean "mmlu"?']);
});
