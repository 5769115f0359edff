/** What an adapter's page on the Hub says, all of it from the files of its run. */
import {
  type AdapterQuery,
  type Calibrator,
  CHAT_INSTRUCTION,
  type QueryFormat,
  queryFormat,
  ROMAN_CHOICE,
} from "../core/mod.ts";
import type { AdapterEvaluation, Training } from "./_adapter_run.ts";
import { calibratorText } from "./_calibrator_text.ts";
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
  /** What its confidence is to be mapped by. */
  readonly calibrator?: Calibrator;
  readonly evaluations: readonly AdapterEvaluation[];
  /** Whether there is an adapter; absent means that there is. */
  readonly adapter?: boolean;
  /** How it was taught to be asked; as the research code's were, if absent. */
  readonly query?: AdapterQuery;
  /** Whether it acts on the question about the answer alone. */
  readonly activated?: boolean;
  /** What the classifier reads, if the confidence comes from one: layers of hidden states, and where in the text. */
  readonly classifier?: { readonly layers: readonly number[]; readonly position: string };
}

/** The page in Markdown, with the front matter that the Hub reads. */
export function modelCard(facts: CardFacts): string {
  const { repo, baseModel, licence, training, evaluations, adapter = true } = facts;
  const front = [
    ...(baseModel === undefined ? [] : [`base_model: ${JSON.stringify(baseModel)}`]),
    ...(adapter ? ["library_name: peft"] : []),
    ...(licence === undefined ? [] : [`license: ${JSON.stringify(licence)}`]),
    `tags: [${adapter ? "lora, " : ""}calibration, uncertainty]`,
  ];
  return [
    `---\n${front.join("\n")}\n---`,
    `# ${repo}`,
    whatText(facts),
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
    ...calibratorNote(facts),
    "## Results",
    evaluations.length === 0
      ? "This adapter was published without an evaluation: nothing is known about how well it does."
      : evaluationText(evaluations),
    "## Use",
    "```python",
  ].join("\n\n") + `\n${useText(facts)}\n\`\`\`\n`;
}

function whatText(facts: CardFacts): string {
  const paper = "([arXiv 2406.08391](https://arxiv.org/abs/2406.08391))";
  const { classifier, adapter = true, activated = false } = facts;
  const { format: { answers: [no, yes] }, chat } = queryOf(facts);
  if (!classifier) {
    const scope = activated
      ? "The adapter acts on that question alone (`alora_invocation_tokens`, from PEFT 0.18 on): the answers are those " +
        "of the base model, and their KV cache serves the question too."
      : "The answers are to be written without the adapter.";
    return `A LoRA adapter for ${
      baseText(facts)
    }, with which the model says how likely its own answer is correct: it is ` +
      `asked "Is the proposed answer correct?"${
        chat ? " in its chat template" : ""
      }, and the probability of ` +
      `"${yes}"${yes === "yes" ? "" : " (yes)"} against "${no}"${
        no === "no" ? "" : " (no)"
      } is its confidence ` +
      `${paper}. ${scope}`;
  }
  const { layers, position } = classifier;
  return `A classifier on hidden states of ${baseText(facts)}${
    adapter ? ", with the LoRA adapter beside it," : ""
  } that says how likely the model's own answer is correct ${paper}. It reads layer ${
    layers.join(", ")
  } of \`hidden_states\` ${WHERE[position] ?? `at ${code(position)}`}.${
    adapter ? " The answers are to be written without the adapter." : ""
  }`;
}

/** Where in the text a classifier reads. */
const WHERE: Readonly<Record<string, string>> = {
  "answer": "at the last token of question and answer",
  "answer-mean": "as the mean over the answer's tokens",
  "question": "at the last token of the question",
  "query": 'at the last token of "Is the proposed answer correct?"',
};

function baseText({ baseModel, baseCommit, baseName }: CardFacts): string {
  if (baseModel === undefined) {
    return baseName === undefined ? "a model that its files do not name" : `the model ${code(baseName)}`;
  }
  const commit = baseCommit === undefined ? "" : `, commit ${code(baseCommit)}`;
  return `[${baseModel}](https://huggingface.co/${baseModel})${commit}`;
}

function calibratorNote({ calibrator }: CardFacts): string[] {
  if (!calibrator) return [];
  if (calibrator.kind !== "temperature") {
    const { kind } = calibrator, name = { platt: "Platt's", beta: "Beta", isotonic: "Isotonic" }[kind];
    return [
      `${name} calibration was fitted on the validation split; \`calibrator.json\` holds its parameters.`,
    ];
  }
  return [
    `A temperature of ${
      calibrator.temperature.toFixed(4)
    } was fitted on the validation split: the two logits are ` +
    "divided by it. `temperature_model.safetensors` holds its logarithm.",
  ];
}

/** Lines of Python that load a calibrator from a repository. */
function loadInPython(repo: string, calibrator: Calibrator | undefined): string {
  if (!calibrator) return "";
  return calibrator.kind === "temperature"
    ? `temperature = load_file(hf_hub_download(${repo}, "temperature_model.safetensors"))["log_temperature"].exp()\n`
    : `import json\n${
      calibrator.kind === "isotonic" ? "import numpy\n" : ""
    }calibrator = json.load(open(hf_hub_download(${repo}, "calibrator.json")))\n`;
}

/** P(correct) in Python, from `logits`. */
function confidenceInPython(calibrator: Calibrator | undefined): string {
  const z = "(logits[1] - logits[0])", value = (name: string) => `calibrator["${name}"]`;
  switch (calibrator?.kind) {
    case undefined:
      return "logits.softmax(-1)[1].item()";
    case "temperature":
      return "(logits / temperature).softmax(-1)[1].item()";
    case "platt":
      return `torch.sigmoid(${value("slope")} * ${z} + ${value("intercept")}).item()`;
    case "beta": {
      const log = (odds: string) => `torch.nn.functional.logsigmoid(${odds})`;
      return `torch.sigmoid(${value("a")} * ${log(z)} - ${value("b")} * ${log(`-${z}`)} + ${
        value("c")
      }).item()`;
    }
    case "isotonic":
      return `numpy.interp(logits.softmax(-1)[1].item(), ${value("confidences")}, ${value("probabilities")})`;
  }
}

function evaluationText(evaluations: readonly AdapterEvaluation[]): string {
  const names = [...new Set(evaluations.flatMap(({ metrics }) => Object.keys(metrics)))];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const header = ["dataset", "split", "calibrator", "N", "undecided", "unscored", ...names];
  const rows = evaluations.map(({ dataset, split, calibrator, n, undecided, unscored = 0, metrics }) =>
    line([
      ...[
        code(dataset),
        split,
        calibrator ? calibratorText(calibrator) : "–",
        String(n),
        String(undecided),
        String(unscored),
      ],
      ...names.map((name) => metrics[name] === undefined ? "–" : cell(metrics[name])),
    ])
  );
  const reasons = evaluations.flatMap(({ dataset, metrics }) =>
    Object.entries(metrics).flatMap(([name, value]) =>
      "undefined" in value ? [`No ${name} on ${code(dataset)}: ${value.undefined}.`] : []
    )
  );
  return [
    "With 95 % intervals, by bootstrap over the questions, or over groups of them; accuracy is that of the answers, N their number.",
    [line(header), line(header.map(() => "---")), ...rows].join("\n"),
    ...reasons,
  ].join("\n\n");
}

/** A program that loads what there is in Python, and asks it. */
function useText(facts: CardFacts): string {
  return facts.classifier ? classifierUse(facts, facts.classifier) : adapterUse(facts);
}

function classifierUse(
  { repo, baseModel, baseCommit, calibrator, adapter = true }: CardFacts,
  { layers, position }: NonNullable<CardFacts["classifier"]>,
): string {
  const base = JSON.stringify(baseModel ?? "<the model it is for>");
  const revision = baseCommit === undefined ? "" : `, revision="${baseCommit}"`;
  const text = position === "question"
    ? "question"
    : position === "query"
    ? `f"{question} {answer}" + ${JSON.stringify(ROMAN_CHOICE.suffix)}`
    : 'f"{question} {answer}"';
  const place = position === "answer-mean" ? "[0, len(tokenizer(question).input_ids):].mean(0)" : "[0, -1]";
  const load = (file: string) => `load_file(hf_hub_download(repo, "${file}"))`;
  return `import torch
from huggingface_hub import hf_hub_download
${adapter ? "from peft import PeftModel\n" : ""}from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

base, repo = ${base}, ${JSON.stringify(repo)}
tokenizer = AutoTokenizer.from_pretrained(base${revision})
model = AutoModelForCausalLM.from_pretrained(base${revision})
${adapter ? "model = PeftModel.from_pretrained(model, repo)\n" : ""}state = ${
    load("classifier_model.safetensors")
  }
weights = [state[f"{2 * layer}.weight"] for layer in range(len(state) // 2)]
parts = [part for w in weights for part in (torch.nn.Linear(w.shape[1], w.shape[0]), torch.nn.ReLU())]
classifier = torch.nn.Sequential(*parts[:-1])
classifier.load_state_dict(state)
${loadInPython("repo", calibrator)}
question, answer = "Question: What is the capital of France?\\nAnswer:", "Paris"
inputs = tokenizer(${text}, return_tensors="pt")
with torch.no_grad():
    states = model(**inputs, output_hidden_states=True).hidden_states
    feature = torch.cat([states[layer]${place} for layer in ${JSON.stringify(layers)}])
    logits = classifier(feature.float())
print("P(correct):", ${confidenceInPython(calibrator)})`;
}

/** How an adapter is asked. */
function queryOf({ query = {} }: CardFacts): { readonly format: QueryFormat; readonly chat: boolean } {
  const { queryFormat: name = ROMAN_CHOICE.name, queryChat: chat = false } = query;
  return { format: queryFormat(name, "adapter_config.json"), chat };
}

const TEXT_INPUTS = 'inputs = tokenizer(f"{question} {answer}{query}", return_tensors="pt")';
const CHAT_INPUTS = `# Where the template knows no system turn, its text stands in front of the question.
turns = [
    {"role": "system", "content": ${JSON.stringify(CHAT_INSTRUCTION)}},
    {"role": "user", "content": question},
    {"role": "assistant", "content": answer},
    {"role": "user", "content": query},
]
inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True, return_tensors="pt")`;

/** A program that loads the adapter with PEFT and asks it. */
function adapterUse(facts: CardFacts): string {
  const { repo, baseModel, baseCommit, calibrator } = facts, { format, chat } = queryOf(facts);
  const base = JSON.stringify(baseModel ?? "<the model it is for>");
  const revision = baseCommit === undefined ? "" : `, revision="${baseCommit}"`;
  return `import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
${calibrator ? "from huggingface_hub import hf_hub_download\n" : ""}${
    calibrator?.kind === "temperature" ? "from safetensors.torch import load_file\n" : ""
  }
base, adapter = ${base}, ${JSON.stringify(repo)}
tokenizer = AutoTokenizer.from_pretrained(base${revision})
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base${revision}), adapter)
${loadInPython("adapter", calibrator)}
question, answer = "Question: What is the capital of France?\\nAnswer:", "Paris"
query = ${JSON.stringify(chat ? format.suffix.trim() : format.suffix)}
${chat ? CHAT_INPUTS : TEXT_INPUTS}
no, yes = (tokenizer(text).input_ids[-1] for text in (${
    format.answers.map((text) => JSON.stringify(text)).join(", ")
  }))
with torch.no_grad():
    logits = model(**inputs).logits[0, -1, [no, yes]].float()
print("P(correct):", ${confidenceInPython(calibrator)})`;
}

/** A text as Markdown shows it as it is, also in a table. */
function code(text: string): string {
  return `\`${text.replaceAll(/[`|\n\r]/g, "?")}\``;
}
