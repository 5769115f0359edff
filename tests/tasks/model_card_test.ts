import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { AdapterEvaluation } from "../../tasks/_adapter_run.ts";
import { type CardFacts, modelCard } from "../../tasks/_model_card.ts";

const EVALUATION: AdapterEvaluation = {
  dataset: "mmlu:anatomy",
  split: "test",
  calibrator: { kind: "temperature", temperature: 1.5 },
  n: 100,
  undecided: 3,
  metrics: { ece: { value: 0.04, low: 0.03, high: 0.07 } },
};

const FACTS: CardFacts = { repo: "me/adapter", evaluations: [] };

const card = (facts: Partial<CardFacts>) => modelCard({ ...FACTS, ...facts });

/** The lines between the dashes at the top. */
const frontOf = (text: string) => /^---\n(.*?)\n---\n/s.exec(text)![1].split("\n");

Deno.test("modelCard() begins with what the Hub reads: the base model, PEFT, and the licence if there is one", () => {
  assertEquals(frontOf(card({})), ["library_name: peft", "tags: [lora, calibration, uncertainty]"]);
  assertEquals(frontOf(card({ baseModel: "meta-llama/Llama-2-7b-hf", licence: "mit" })), [
    'base_model: "meta-llama/Llama-2-7b-hf"',
    "library_name: peft",
    'license: "mit"',
    "tags: [lora, calibration, uncertainty]",
  ]);
});

Deno.test("modelCard() links the base model and its commit, and loads it at that commit", () => {
  const text = card({ baseModel: "owner/base", baseCommit: "c0ffee" });
  assertStringIncludes(text, "[owner/base](https://huggingface.co/owner/base), commit `c0ffee`");
  assertStringIncludes(text, 'AutoModelForCausalLM.from_pretrained(base, revision="c0ffee")');
});

Deno.test("modelCard() gives each metric with its interval, beside the calibrator it was measured with", () => {
  assertStringIncludes(
    card({ evaluations: [EVALUATION] }),
    "| dataset | split | calibrator | N | undecided | unscored | ece |\n" +
      "| --- | --- | --- | --- | --- | --- | --- |\n" +
      "| `mmlu:anatomy` | test | temperature 1.500 | 100 | 3 | 0 | 0.040 [0.030, 0.070] |\n",
  );
});

Deno.test("modelCard() leaves out an interval that there is not, and says why a metric has no value", () => {
  const metrics = { ece: { value: 0.04, low: null, high: null }, auroc: { undefined: "all are right" } };
  const text = card({ evaluations: [{ ...EVALUATION, metrics }] });
  assertStringIncludes(text, "| 0.040 | – |\n");
  assertStringIncludes(text, "No auroc on `mmlu:anatomy`: all are right.");
});

Deno.test("modelCard() puts evaluations with different metrics into one table", () => {
  const other = { ...EVALUATION, dataset: "facts", metrics: { auroc: { value: 0.8, low: 0.7, high: 0.9 } } };
  const text = card({ evaluations: [EVALUATION, other] });
  assertMatch(text, /\| `mmlu:anatomy` \|.*\| 0\.040 \[0\.030, 0\.070\] \| – \|\n/);
  assertMatch(text, /\| `facts` \|.*\| – \| 0\.800 \[0\.700, 0\.900\] \|\n/);
});

Deno.test("modelCard() says plainly what is not known", () => {
  const text = card({});
  assertStringIncludes(text, "published without an evaluation: nothing is known about how well it does");
  assertStringIncludes(text, "does not say what it was trained on");
  assertStringIncludes(text, "does not say how it was trained");
  assertStringIncludes(text, "a model that its files do not name");
});

Deno.test("modelCard() says of an activated adapter that answers stay as they are, and what reads it", () => {
  assertStringIncludes(card({}), "The answers are to be written without the adapter.");
  const text = card({ activated: true });
  assertStringIncludes(text, "`alora_invocation_tokens`, from PEFT 0.18 on");
  assertEquals(text.includes("to be written without the adapter"), false);
});

Deno.test("modelCard() divides by the temperature in the program it shows only if there is one", () => {
  assertStringIncludes(card({}), "logits.softmax(-1)");
  const scaled = card({ calibrator: { kind: "temperature", temperature: 1.25 } });
  assertStringIncludes(scaled, "A temperature of 1.2500 was fitted");
  assertStringIncludes(scaled, "(logits / temperature).softmax(-1)");
});

Deno.test("modelCard() lets no name break out of its place", () => {
  const training = {
    dataset: "a`|b\n# c",
    labeler: "x`y",
    settings: { method: "m`|", note: "line\nline" },
  };
  const text = card({ training, evaluations: [{ ...EVALUATION, dataset: "a|b`c\nd" }] });
  assertStringIncludes(text, "The training split of `a??b?# c`");
  assertStringIncludes(text, "by `x?y`");
  assertStringIncludes(text, "- method: `m??`\n- note: `line?line`\n");
  assertStringIncludes(text, "| `a?b?c?d` | test |");
});

Deno.test("modelCard() says of a classifier what it reads, and loads it in Python without PEFT", () => {
  const text = card({
    adapter: false,
    classifier: { layers: [4, -1], position: "answer-mean" },
    calibrator: { kind: "temperature", temperature: 2 },
  });
  assertEquals(frontOf(text), ["tags: [calibration, uncertainty]"]);
  assertStringIncludes(text, "It reads layer 4, -1 of `hidden_states` as the mean over the answer's tokens.");
  assertStringIncludes(text, "[0, len(tokenizer(question).input_ids):].mean(0) for layer in [4,-1]]");
  assertStringIncludes(text, "(logits / temperature).softmax(-1)[1]");
  assertEquals(/peft/i.test(text), false);
});

Deno.test("modelCard() of a classifier with an adapter loads both, and reads where the classifier was trained to", () => {
  for (
    const [position, asked] of [
      ["answer", 'tokenizer(f"{question} {answer}", return_tensors'],
      ["question", "tokenizer(question, return_tensors"],
      ["query", "Is the proposed answer correct?\\nChoices:"],
    ]
  ) {
    const text = card({ adapter: true, classifier: { layers: [-1], position } });
    assertEquals(frontOf(text)[0], "library_name: peft");
    assertStringIncludes(text, "model = PeftModel.from_pretrained(model, repo)");
    assertStringIncludes(text, "states[layer][0, -1] for layer in [-1]");
    assertStringIncludes(text, asked);
  }
});

Deno.test("modelCard() asks an adapter as it was taught: in other words, and in a chat", () => {
  const bool = card({ query: { queryFormat: "bool" } });
  assertStringIncludes(bool, 'the probability of "yes" against "no" is its confidence');
  assertStringIncludes(bool, 'query = "\\n\\nIs the proposed answer correct?\\nAnswer:"\n');
  assertStringIncludes(bool, 'for text in ("no", "yes"))');
  const chat = card({ query: { queryFormat: "alpha_choice", queryChat: true } });
  assertStringIncludes(chat, 'in its chat template, and the probability of "b" (yes) against "a" (no)');
  assertStringIncludes(chat, "inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True");
  assertStringIncludes(
    chat,
    'query = "Is the proposed answer correct?\\nChoices:\\n(a): no\\n(b): yes\\nAnswer:"\n',
  );
});
