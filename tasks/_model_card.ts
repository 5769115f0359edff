/** What an adapter's page on the Hub says, all of it from the files of its run. */
import { ROMAN_CHOICE } from "../core/mod.ts";
import type { AdapterEvaluation, Training } from "./_adapter_run.ts";
import { cell } from "./_table.ts";

/** What is known about an adapter. */
export interface CardFacts {
  /** `owner/name` on the Hub. */
  readonly repo: string;
  /** Hub name of the model it is for, and the commit, if it came from there. */
  readonly baseModel?: string;
  readonly baseCommit?: string;
  /** What the model was called where it did not. */
  readonly baseName?: string;
  readonly licence?: string;
  readonly training?: Pick<Training, "dataset" | "labeler" | "settings">;
  /** By which its logits are to be divided. */
  readonly temperature?: number;
  readonly evaluations: readonly AdapterEvaluation[];
}

/** The page in Markdown, with the front matter that the Hub reads. */
export function modelCard(facts: CardFacts): string {
  const { repo, baseModel, licence, training, evaluations } = facts;
  const front = [
    ...(baseModel === undefined ? [] : [`base_model: ${JSON.stringify(baseModel)}`]),
    "library_name: peft",
    ...(licence === undefined ? [] : [`license: ${JSON.stringify(licence)}`]),
    "tags: [lora, calibration, uncertainty]",
  ];
  return [
    `---\n${front.join("\n")}\n---`,
    `# ${repo}`,
    `A LoRA adapter for ${
      baseText(facts)
    }, with which the model says how likely its own answer is correct: it is ` +
    'asked "Is the proposed answer correct?", and the probability of "ii" (yes) against "i" (no) is its confidence ' +
    "([arXiv 2406.08391](https://arxiv.org/abs/2406.08391)). The answers are to be written without the adapter.",
    "## Data",
    training === undefined
      ? "The run it is from does not say what it was trained on."
      : `The training split of ${code(training.dataset)}, answered by the model and labelled right or wrong` +
        `${training.labeler === undefined ? "" : ` by ${code(training.labeler)}`}.`,
    "## Method",
    training === undefined
      ? "The run it is from does not say how it was trained."
      // An empty text is an option that was not given.
      : Object.entries(training.settings).filter(([, value]) => value !== "").map(([name, value]) =>
        `- ${name}: ${code(typeof value === "string" ? value : JSON.stringify(value))}`
      ).join("\n"),
    ...temperatureText(facts),
    "## Results",
    evaluations.length === 0
      ? "This adapter was published without an evaluation: nothing is known about how well it does."
      : evaluationText(evaluations),
    "## Use",
    "```python",
  ].join("\n\n") + `\n${useText(facts)}\n\`\`\`\n`;
}

function baseText({ baseModel, baseCommit, baseName }: CardFacts): string {
  if (baseModel === undefined) {
    return baseName === undefined ? "a model that its files do not name" : `the model ${code(baseName)}`;
  }
  const commit = baseCommit === undefined ? "" : `, commit ${code(baseCommit)}`;
  return `[${baseModel}](https://huggingface.co/${baseModel})${commit}`;
}

function temperatureText({ temperature }: CardFacts): string[] {
  if (temperature === undefined) return [];
  return [
    `A temperature of ${
      temperature.toFixed(4)
    } was fitted on the validation split: the two logits are divided by ` +
    "it. `temperature_model.safetensors` holds its logarithm.",
  ];
}

function evaluationText(evaluations: readonly AdapterEvaluation[]): string {
  const names = [...new Set(evaluations.flatMap(({ metrics }) => Object.keys(metrics)))];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const header = ["dataset", "split", "temperature", "N", "undecided", "unscored", ...names];
  const rows = evaluations.map(({ dataset, split, temperature, n, undecided, unscored = 0, metrics }) =>
    line([
      ...[code(dataset), split, temperature.toFixed(4), String(n), String(undecided), String(unscored)],
      ...names.map((name) => metrics[name] === undefined ? "–" : cell(metrics[name])),
    ])
  );
  const reasons = evaluations.flatMap(({ dataset, metrics }) =>
    Object.entries(metrics).flatMap(([name, value]) =>
      "undefined" in value ? [`No ${name} on ${code(dataset)}: ${value.undefined}.`] : []
    )
  );
  return [
    "With 95 % intervals, by bootstrap over the questions; accuracy is that of the answers, N the number of them.",
    [line(header), line(header.map(() => "---")), ...rows].join("\n"),
    ...reasons,
  ].join("\n\n");
}

/** A program that loads the adapter with PEFT and asks it. */
function useText({ repo, baseModel, baseCommit, temperature }: CardFacts): string {
  const base = JSON.stringify(baseModel ?? "<the model it is for>");
  const revision = baseCommit === undefined ? "" : `, revision="${baseCommit}"`;
  const scaled = temperature !== undefined;
  return `import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
${scaled ? "from huggingface_hub import hf_hub_download\nfrom safetensors.torch import load_file\n" : ""}
base, adapter = ${base}, ${JSON.stringify(repo)}
tokenizer = AutoTokenizer.from_pretrained(base${revision})
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base${revision}), adapter)
${
    scaled
      ? `temperature = load_file(hf_hub_download(adapter, "temperature_model.safetensors"))["log_temperature"].exp()\n`
      : ""
  }
question, answer = "Question: What is the capital of France?\\nAnswer:", "Paris"
query = ${JSON.stringify(ROMAN_CHOICE.suffix)}
inputs = tokenizer(f"{question} {answer}{query}", return_tensors="pt")
i, ii = (tokenizer(text).input_ids[-1] for text in (${
    ROMAN_CHOICE.answers.map((text) => JSON.stringify(text)).join(", ")
  }))
with torch.no_grad():
    logits = model(**inputs).logits[0, -1, [i, ii]].float()
print("P(correct):", (logits${scaled ? " / temperature" : ""}).softmax(-1)[1].item())`;
}

/** A text as Markdown shows it as it is, also in a table. */
function code(text: string): string {
  return `\`${text.replaceAll(/[`|\n\r]/g, "?")}\``;
}
