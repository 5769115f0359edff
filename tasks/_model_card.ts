/** What an adapter's page on the Hub says, all of it from the files of its run. */

/** One evaluation of the adapter. */
export interface CardEvaluation {
  readonly dataset: string;
  readonly split: string;
  readonly n: number;
  readonly undecided: number;
  readonly metrics: Readonly<
    Record<string, { readonly value: number; readonly low: number; readonly high: number } | null>
  >;
}

/** What is known about an adapter. */
export interface CardFacts {
  readonly title: string;
  /** Hub name of the model it is for, and the commit, if it came from there. */
  readonly baseModel?: string;
  readonly baseCommit?: string;
  /** What the model was called where it did not. */
  readonly baseName?: string;
  readonly licence?: string;
  /** What it was trained on, in words. */
  readonly data?: string;
  /** Method, options and steps. */
  readonly training?: Readonly<Record<string, unknown>>;
  readonly temperature?: number;
  readonly evaluations: readonly CardEvaluation[];
}

/** The page in Markdown, with the front matter that the Hub reads. */
export function modelCard(facts: CardFacts): string {
  const { title, baseModel, baseCommit, baseName, licence, data, training, temperature, evaluations } = facts;
  const front = [
    ...(baseModel === undefined ? [] : [`base_model: ${baseModel}`]),
    "library_name: peft",
    ...(licence === undefined ? [] : [`license: ${licence}`]),
    "tags: [lora, calibration, uncertainty]",
  ];
  const base = baseModel === undefined
    ? baseName === undefined ? "a model that its files do not name" : `the model \`${baseName}\``
    : `[${baseModel}](https://huggingface.co/${baseModel})${
      baseCommit === undefined ? "" : `, commit \`${baseCommit}\``
    }`;
  return [
    `---\n${front.join("\n")}\n---`,
    `# ${title}`,
    `A LoRA adapter for ${base}, with which the model says how likely its own answer is correct: it is asked "Is the ` +
    'proposed answer correct?", and the probability of "ii" (yes) against "i" (no) is its confidence ' +
    "([arXiv 2406.08391](https://arxiv.org/abs/2406.08391)). The answers are to be written without the adapter.",
    "## Data",
    data ?? "The run it is from does not say what it was trained on.",
    "## Method",
    training === undefined
      ? "The run it is from does not say how it was trained."
      : Object.entries(training).map(([name, value]) =>
        `- ${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`
      )
        .join("\n"),
    ...(temperature === undefined ? [] : [
      `A temperature of ${
        temperature.toFixed(4)
      } was fitted on validation rows: divide the two logits by it ` +
      "(`temperature_model.safetensors` holds its logarithm).",
    ]),
    "## Results",
    evaluations.length === 0
      ? "This adapter was published without an evaluation: nothing is known about how well it does."
      : evaluationText(evaluations),
    "## Use",
    "```python\nfrom peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n" +
    `model = AutoModelForCausalLM.from_pretrained("${baseModel ?? "<the model it is for>"}")\n` +
    `model = PeftModel.from_pretrained(model, "${title}")\n\`\`\``,
    "Ask with this text behind question and answer, and read the logits of the last tokens of `i` and `ii`:",
    "```\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:\n```",
  ].join("\n\n") + "\n";
}

function evaluationText(evaluations: readonly CardEvaluation[]): string {
  const names = [...new Set(evaluations.flatMap(({ metrics }) => Object.keys(metrics)))];
  const header = ["dataset", "split", "N", "undecided", ...names];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const number = (value: number) => value.toFixed(3);
  return [
    "With 95 % intervals, by bootstrap.",
    [
      line(header),
      line(header.map(() => "---")),
      ...evaluations.map(({ dataset, split, n, undecided, metrics }) =>
        line([
          dataset,
          split,
          String(n),
          String(undecided),
          ...names.map((name) => {
            const metric = metrics[name];
            return metric
              ? `${number(metric.value)} [${number(metric.low)}, ${number(metric.high)}]`
              : "undefined";
          }),
        ])
      ),
    ].join("\n"),
  ].join("\n\n");
}
