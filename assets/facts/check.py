"""Prints the figures of README.md: how the model answers, and how well LoRA+Prompt teaches it to judge its answers.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2
    python check.py

The training is the paper's (arXiv 2406.08391) in transformers and PEFT, with the recipe of `deno task demo`, so these
figures are also a second opinion on the kernels.
"""

import json
import math
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, LlamaForCausalLM

from world import LETTERS, QUERY_SUFFIX, choice_prompt, oe_prompt

HERE = Path(__file__).parent
STYLES = {"oe": 30, "choice": 1}  # style -> max_new_tokens

LEARNING_RATE = 2e-3
BATCH_SIZE = 16
STEPS = 300
KL_DECAY = 1.0
SEED = 137


@dataclass
class Row:
    """One question in one style, with the model's own answer and whether it is right."""

    relation: str
    question: str
    prompt: str
    target: str
    continuation: list[int]
    answer: str
    label: int


class Subject:
    """The base model with its tokenizer. Prompts of one length share a pass, so nothing is ever padded."""

    def __init__(self, folder: Path):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.no_yes = [self.tokenizer("i").input_ids[-1], self.tokenizer("ii").input_ids[-1]]

    def ids(self, text: str) -> list[int]:
        return self.tokenizer(text).input_ids

    def answer(self, questions: list[dict], style: str) -> list[Row]:
        prompts = [
            oe_prompt(q["question"]) if style == "oe" else choice_prompt(q["question"], q["choices"]) for q in questions
        ]
        rows = [None] * len(questions)
        for indices, ids in by_length([self.ids(p) for p in prompts]):
            with torch.no_grad():
                out = self.model.generate(
                    ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=STYLES[style]
                )
            for i, continuation in zip(indices, out[:, ids.shape[1] :].tolist()):
                q = questions[i]
                if 2 in continuation:  # </s>, and what generate() pads behind it
                    continuation = continuation[: continuation.index(2) + 1]
                text = self.tokenizer.decode(continuation, skip_special_tokens=True)
                answer = text.strip("\n").split("\n")[0].strip()
                target = q["choices"][q["answer"]] if style == "oe" else LETTERS[q["answer"]]
                rows[i] = Row(
                    q["group"], q["question"], prompts[i], target, continuation, answer, int(target in answer)
                )
        return rows


def by_length(sequences: list[list[int]], batch: int = 256):
    groups = defaultdict(list)
    for i, ids in enumerate(sequences):
        groups[len(ids)].append(i)
    for indices in groups.values():
        for at in range(0, len(indices), batch):
            part = indices[at : at + batch]
            yield part, torch.tensor([sequences[i] for i in part])


def query_logits(subject: Subject, model, rows: list[Row]) -> torch.Tensor:
    """`[N, 2]` logits of "i" (no) and "ii" (yes) after the query on each row's answer."""
    sequences = [subject.ids(f"{r.prompt} {r.answer}{QUERY_SUFFIX}") for r in rows]
    parts, order = [], []
    for indices, ids in by_length(sequences):
        parts.append(model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1, subject.no_yes])
        order += indices
    return torch.cat(parts)[torch.tensor(order).argsort()]


def target_logprobs(subject: Subject, model, rows: list[Row]) -> list[torch.Tensor]:
    """For each row `[target tokens, vocabulary]`: what the model predicts for the gold target."""
    prompts = [len(subject.ids(r.prompt)) for r in rows]
    out = [None] * len(rows)
    for indices, ids in by_length([subject.ids(f"{r.prompt} {r.target}") for r in rows]):
        logprobs = model(input_ids=ids, use_cache=False).logits.log_softmax(-1)
        for row, i in enumerate(indices):
            out[i] = logprobs[row, prompts[i] - 1 : -1]
    return out


def jsd(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Jensen-Shannon divergence of two log-distributions, nats, per position."""
    mean = torch.logaddexp(p, q) - math.log(2)
    return 0.5 * ((p.exp() * (p - mean)).sum(-1) + (q.exp() * (q - mean)).sum(-1))


def tune(subject: Subject, rows: list[Row], seed: int):
    """LoRA+Prompt: query cross-entropy on the model's own answers, plus the divergence from the frozen model."""
    torch.manual_seed(seed)
    base = LlamaForCausalLM.from_pretrained(subject.model.name_or_path, dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=32, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], bias="none")
    model = get_peft_model(base, config).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: 0.5 * (1 + math.cos(math.pi * s / STEPS)))
    order = []
    for _ in range(STEPS):
        if len(order) < BATCH_SIZE:
            order += torch.randperm(len(rows)).tolist()
        batch = [rows[i] for i in order[:BATCH_SIZE]]
        del order[:BATCH_SIZE]
        labels = torch.tensor([r.label for r in batch])
        loss = F.cross_entropy(query_logits(subject, model, batch), labels)
        with torch.no_grad():
            frozen = target_logprobs(subject, subject.model, batch)
        adapted = target_logprobs(subject, model, batch)
        kl = sum(jsd(p, q).sum() for p, q in zip(adapted, frozen)) / len(batch)
        optimizer.zero_grad()
        (loss + KL_DECAY * kl).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    log_t = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / log_t.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return log_t.exp().item()


def auroc(score: torch.Tensor, label: torch.Tensor) -> float:
    """Share of (right, wrong) pairs in the right order; ties count half."""
    difference = score[label == 1][:, None] - score[label == 0][None, :]
    return ((difference > 0).double() + 0.5 * (difference == 0).double()).mean().item()


def ece(p: torch.Tensor, label: torch.Tensor, bins: int = 10) -> float:
    """Bins are [0, .1), [.1, .2), … [.9, 1]."""
    index = (p * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(bins).index_add(0, index, p - label.float())
    return gap.abs().sum().item() / len(p)


def text_only_auroc(train, test, features) -> float:
    """Test AUROC of a logistic regression that sees only the text `features` makes of each row."""
    names = sorted({name for r in train for name in features(r)})
    column = {name: i for i, name in enumerate(names)}

    def matrix(rows):
        x = torch.zeros(len(rows), len(names), dtype=torch.float64)
        for i, r in enumerate(rows):
            for name, value in features(r).items():
                if name in column:
                    x[i, column[name]] = value
        return x

    x, y = matrix(train), torch.tensor([float(r.label) for r in train], dtype=torch.float64)
    weight = torch.zeros(len(names) + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(x @ weight[1:] + weight[0], y, reduction="sum")
        loss = loss + 0.5 * weight[1:].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return auroc(matrix(test) @ weight[1:], torch.tensor([r.label for r in test]))


def read_questions(split: str) -> list[dict]:
    return [json.loads(line) for line in (HERE / "questions" / f"{split}.jsonl").read_text().splitlines()]


def text_features(row: Row) -> dict[str, float]:
    """Everything about a row that can be seen without the model: syllables of the town, relation and answer."""
    town = row.question.rstrip("?").split()[-1]
    names = [town[:2], town[2:], row.relation, f"answer {row.answer}", f"{row.relation} {row.answer}", f"target {row.target}"]
    return {name: 1.0 for name in names}


def main() -> None:
    subject = Subject(HERE / "model")
    splits = {split: read_questions(split) for split in ("train", "validation", "test")}
    print("| style | accuracy | AUROC untuned | AUROC tuned | ECE tuned | JSD on targets, nats | AUROC from text alone |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for style in STYLES:
        began = time.time()
        rows = {split: subject.answer(questions, style) for split, questions in splits.items()}
        test = rows["test"]
        labels = torch.tensor([r.label for r in test])
        with torch.no_grad():
            untuned = query_logits(subject, subject.model, test)
        model = tune(subject, rows["train"], SEED)
        with torch.no_grad():
            validation, tuned = (query_logits(subject, model, rows[split]) for split in ("validation", "test"))
            pairs = zip(target_logprobs(subject, model, test), target_logprobs(subject, subject.model, test))
            divergence = sum(jsd(p, q).sum().item() for p, q in pairs) / len(test)
        temperature = fit_temperature(validation, torch.tensor([r.label for r in rows["validation"]]))
        confidence = (tuned / temperature).softmax(-1)[:, 1]
        margin = lambda logits: logits[:, 1] - logits[:, 0]
        figures = [
            labels.float().mean().item(),
            auroc(margin(untuned), labels),
            auroc(margin(tuned), labels),
            ece(confidence, labels),
            divergence,
            text_only_auroc(rows["train"], test, text_features),
        ]
        print(f"| {style} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |", flush=True)
        print(f"{style}: {time.time() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
