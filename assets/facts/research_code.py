"""The research code's training in torch, transformers and PEFT, on the rows that credence answered and labelled.

    pip install torch==2.15.0 transformers==5.24.0 peft==0.21.2
    deno task matrix assets/facts/matrix.json
    python research_code.py ../../runs/facts/answers/facts/facts > research_code.json

It follows activatedgeek/calibration-tuning (Apache-2.0) step by step where that decides the result; the comments say
which file of it. What differs: weights are f32, as here, instead of int8 or bf16; the temperature is the minimum of the
research code's objective, instead of where its AdamW stops. It prints what `deno task matrix` compares itself with:
one entry for each style, method and seed.
"""

import argparse
import csv
import hashlib
import json
import platform
import sys
import time
from pathlib import Path

import peft
import torch
import torch.nn.functional as F
import transformers
from peft import LoraConfig, TaskType, get_peft_model
from torch.distributions import Categorical, kl_divergence
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, LlamaForCausalLM, get_cosine_schedule_with_warmup

from check import auroc, ece, fit_temperature

HERE = Path(__file__).parent

# As in matrix.json.
LORA = {"lr": 2e-3, "batch_size": 16, "max_steps": 300, "kl_decay": 1.0}
PROBE = {"lr": 1e-3, "batch_size": 32, "max_steps": 1000}

IGNORE_LABEL = -100  # llm/datasets/llm_data_utils.py
MAX_GRADIENT_NORM = 1.0  # transformers.TrainingArguments
QUERY = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes"  # llm/datasets/llm_utils_oe.py


def read_rows(folder: Path, split: str) -> list[dict]:
    """The rows with a label; the tokens of the answer are the text's, as in llm/datasets/offline/offline.py."""
    with open(folder / split / "0.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["query_label"] in ("0", "1")]
    return [{**row, "label": int(row["query_label"])} for row in rows]


def text(row: dict, target: str = "") -> str:
    """LMText.__str__ in llm/datasets/llm_data_utils.py."""
    return f"{row['prompt']}{row['context']}{row['target_prompt']} {target}".strip()


def query_text(row: dict) -> str:
    """prepare_oe_uncertainty_query in llm/datasets/llm_utils_oe.py."""
    query = {"prompt": "", "context": f"{text(row)} {row['output']}{QUERY}", "target_prompt": "\nAnswer:"}
    return text(query)


class Collator:
    """LabeledStringDataCollator in llm/datasets/llm_data_utils.py: left padding, labels by difference of lengths."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, texts: list[str], without_target: list[str] | None = None) -> dict:
        inputs = self.tokenizer(texts, padding=True, return_tensors="pt")
        if without_target is not None:
            lengths = inputs["attention_mask"].sum(-1)
            labels = inputs["input_ids"].clone()
            for i, shorter in enumerate(without_target):
                labels[i, : -(lengths[i] - len(self.tokenizer(shorter).input_ids))] = IGNORE_LABEL
            inputs["labels"] = labels
        return dict(inputs)


def batches(rows: list[dict], batch_size: int, steps: int, seed: int):
    """transformers.Trainer: every row once an epoch, in random order, until the steps are done."""
    loader = DataLoader(
        rows, batch_size, shuffle=True, collate_fn=list, generator=torch.Generator().manual_seed(seed)
    )
    step = 0
    while step < steps:
        for batch in loader:
            yield batch
            step += 1
            if step == steps:
                return


def optimise(parameters: list, lr: float, max_steps: int):
    """optim="adamw_torch", weight_decay=0, lr_scheduler_type="cosine" in experiments/calibration_tune.py."""
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    return optimizer, get_cosine_schedule_with_warmup(optimizer, 0, max_steps)


def take_step(loss: torch.Tensor, parameters: list, optimizer, schedule) -> None:
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()


def tune(folder: Path, collate: Collator, no_yes: list[int], rows: list[dict], seed: int):
    """CalibrationTuner in llm/trainer/calibration_tune.py, with get_lora_model in llm/models/peft/lora.py."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    lora = dict(task_type=TaskType.CAUSAL_LM, bias="none", r=8, lora_alpha=32, lora_dropout=0.1)
    model = get_peft_model(model, LoraConfig(**lora), adapter_name="default")
    model.add_adapter("_ref", LoraConfig(**lora))
    model.set_adapter("default")
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer, schedule = optimise(parameters, LORA["lr"], LORA["max_steps"])
    for batch in batches(rows, LORA["batch_size"], LORA["max_steps"], seed):
        # compute_loss. The loss of the language model is only added to what is shown (use_lm_loss=False).
        inputs = collate([text(r, r["target"]) for r in batch], [text(r) for r in batch])
        labels = inputs.pop("labels")[..., 1:]
        outputs = model(**inputs, use_cache=False)
        # compute_query_loss
        query = collate([query_text(r) for r in batch])
        q_logits = model(**query, use_cache=False).logits[..., -1, no_yes]
        q_loss = F.cross_entropy(q_logits, torch.tensor([r["label"] for r in batch]))
        # compute_kl_loss, kl_type="jsd"
        with torch.no_grad():
            model.set_adapter("_ref")
            ref = model(**inputs, use_cache=False)
            model.set_adapter("default")
        probs, ref_probs = (o.logits[..., :-1, :].softmax(dim=-1) for o in (outputs, ref))
        p, p_ref, p_mix = (Categorical(probs=q) for q in (probs, ref_probs, (probs + ref_probs) / 2))
        kl_loss = (kl_divergence(p, p_mix) + kl_divergence(p_ref, p_mix)) / 2
        kl_loss = (kl_loss * (labels != IGNORE_LABEL)).sum(dim=-1).mean(dim=0)
        take_step(q_loss + LORA["kl_decay"] * kl_loss, parameters, optimizer, schedule)
    return model.eval()


def query_logits(model, collate: Collator, no_yes: list[int], rows: list[dict]) -> torch.Tensor:
    """evaluate_query in llm/eval/query.py: `[N, 2]` logits of "i" (no) and "ii" (yes)."""
    parts = []
    with torch.no_grad():
        for at in range(0, len(rows), 64):
            inputs = collate([query_text(r) for r in rows[at : at + 64]])
            parts.append(model(**inputs, use_cache=False, logits_to_keep=1).logits[:, -1, no_yes])
    return torch.cat(parts)


def features(model, collate: Collator, rows: list[dict]) -> torch.Tensor:
    """hidden_states[-1][..., -1, :] of question and answer, in llm/trainer/classification_tune.py."""
    parts = []
    with torch.no_grad():
        for at in range(0, len(rows), 64):
            inputs = collate([text(r, r["output"]) for r in rows[at : at + 64]])
            outputs = model(**inputs, use_cache=False, logits_to_keep=1, output_hidden_states=True)
            parts.append(outputs.hidden_states[-1][..., -1, :])
    return torch.cat(parts)


def train_probe(x: torch.Tensor, rows: list[dict], seed: int):
    """mlp_binary in llm/models/mlp.py, get_classifier_head in llm/models/peft/classifier_head.py."""
    torch.manual_seed(seed)
    sizes = [x.shape[1], 256, 128, 64, 2]
    layers = [torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
    for layer in layers:
        torch.nn.init.xavier_normal_(layer.weight)
    head = torch.nn.Sequential(*[m for layer in layers for m in (layer, torch.nn.ReLU())][:-1])
    parameters = list(head.parameters())
    optimizer, schedule = optimise(parameters, PROBE["lr"], PROBE["max_steps"])
    labels = torch.tensor([r["label"] for r in rows])
    for indices in batches(list(range(len(rows))), PROBE["batch_size"], PROBE["max_steps"], seed):
        take_step(F.cross_entropy(head(x[indices]), labels[indices]), parameters, optimizer, schedule)
    return head.eval()


def measure(validation: torch.Tensor, val_rows: list[dict], test: torch.Tensor, rows: list[dict], scale: bool) -> dict:
    """TemperatureScale in llm/models/peft/temperature_scaling.py, then the metrics of P(correct)."""
    labels = torch.tensor([r["label"] for r in rows])
    temperature = 1.0
    if scale:
        temperature = fit_temperature(validation, torch.tensor([r["label"] for r in val_rows]))
    p = (test.double() / temperature).softmax(-1)[:, 1]
    return {
        "n": len(rows),
        "temperature": temperature,
        "metrics": {
            "accuracy": labels.double().mean().item(),
            "auroc": auroc(test[:, 1].double() - test[:, 0].double(), labels),
            "ece": ece(p.float(), labels),
            "brier": ((p - labels) ** 2).mean().item(),
            "nll": F.nll_loss(torch.stack([1 - p, p], -1).log(), labels).item(),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path, help="folder with <style>/labels/<split>/0.csv")
    parser.add_argument("--styles", nargs="+", default=["oe", "choice"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[137, 138, 139])
    args = parser.parse_args()
    folder = HERE / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.eos_token  # its positions are masked
    collate = Collator(tokenizer)
    no_yes = [tokenizer(t).input_ids[-1] for t in ("i", "ii")]  # get_token_vec in llm/datasets/llm_data_utils.py
    base = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    results, sources = [], {}
    for style in args.styles:
        labels = args.answers / style / "labels"
        sources[style] = {
            s: hashlib.sha256((labels / s / "0.csv").read_bytes()).hexdigest() for s in ("train", "validation", "test")
        }
        train, val, test = (read_rows(labels, split) for split in ("train", "validation", "test"))

        def result(method: str, seed: int, began: float, *figures) -> None:
            about = {"method": method, "style": style, "seed": seed, "seconds": round(time.time() - began, 1)}
            results.append({**about, **measure(figures[0], val, figures[1], test, scale=method != "zero-shot")})
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)

        began = time.time()
        result("zero-shot", args.seeds[0], began, *(query_logits(base, collate, no_yes, r) for r in (val, test)))
        began = time.time()
        x, x_val, x_test = (features(base, collate, rows) for rows in (train, val, test))
        for seed in args.seeds:
            head = train_probe(x, train, seed)
            with torch.no_grad():
                result("probe", seed, began, head(x_val), head(x_test))
            began = time.time()
        for seed in args.seeds:
            began = time.time()
            model = tune(folder, collate, no_yes, train, seed)
            result("lora-prompt", seed, began, *(query_logits(model, collate, no_yes, r) for r in (val, test)))
    versions = {"python": platform.python_version()}
    versions |= {m.__name__: m.__version__.split("+")[0] for m in (torch, transformers, peft)}
    print(json.dumps({
        "name": "the research code's training in torch and PEFT",
        "script": "assets/facts/research_code.py",
        "source": "https://github.com/activatedgeek/calibration-tuning",
        "versions": versions,
        "model": "facts",
        "dataset": "facts",
        "recipes": {"lora-prompt": LORA, "probe": PROBE},
        "labels": sources,
        "results": results,
    }, indent=2))


if __name__ == "__main__":
    main()
