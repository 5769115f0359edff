import { type Dataset, suggestion, UserError } from "../../core/mod.ts";
import { mmluAll } from "./mmlu.ts";
import { mmluProAll } from "./mmlu_pro.ts";

/** What stands for each benchmark. */
const BENCHMARKS: Readonly<Record<string, Dataset>> = { mmlu: mmluAll, mmlu_pro: mmluProAll };

/** Collections under one name: `eval:mmlu` is `mmlu_all`. */
export const evaluation: Dataset = {
  kind: "dataset",
  name: "eval",
  version: 1,
  description: "A benchmark as a whole: eval:mmlu is every subject of MMLU",
  argument: `name of the benchmark: ${Object.keys(BENCHMARKS).join(" or ")}`,
  defaults: {},
  tags: ["eval"],
  splits: ["validation", "test"],
  async expand(request) {
    const { argument } = request;
    if (Object.hasOwn(BENCHMARKS, argument)) {
      return await BENCHMARKS[argument].expand!({ ...request, argument: "" });
    }
    throw new UserError({
      kind: "usage",
      what: `Unknown benchmark "${argument}"`,
      where: `--dataset=eval:${argument}`,
      fix: suggestion(argument, Object.keys(BENCHMARKS)),
    });
  },
};
