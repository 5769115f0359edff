"""Records what PEFT computes with activated LoRA over recorded models; README.md says what is in each file."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import peft
import safetensors
import torch
import transformers
from peft import LoraConfig, get_peft_model
from record_llama import choice_loss, load, lora_parameters, random_tokens, write_json, write_tensors

HERE = Path(__file__).parent
ROOT = HERE / "activated"
STEPS = 5
LEARNING_RATE = 3e-3


@dataclass(frozen=True)
class Case:
    model: str
    seed: int
    lora: dict
    # Some repeat themselves, so that occurrences overlap.
    invocation: tuple


CASES = (
    Case("llama/mha-f32", 601, dict(r=4, lora_alpha=8, target_modules="all-linear"), (7, 3, 7)),
    Case("llama/gqa2-bf16", 602, dict(r=3, lora_alpha=9, target_modules=["q_proj", "v_proj"]), (11,)),
    Case("llama/gqa4-f16", 603, dict(r=2, lora_alpha=4, target_modules="all-linear", lora_bias=True), (4, 5, 6)),
    Case("families/llama-dynamic", 604, dict(r=2, lora_alpha=4, target_modules=["k_proj", "up_proj"]), (1, 2)),
    Case("families/mistral-window", 605, dict(r=4, lora_alpha=8, target_modules="all-linear"), (9, 9, 9)),
    Case("families/qwen2-window", 606, dict(r=4, lora_alpha=8, target_modules=["k_proj", "v_proj", "o_proj"]), (8, 1)),
)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    shutil.rmtree(ROOT, ignore_errors=True)
    for case in CASES:
        record_case(case)


def record_case(case):
    folder = ROOT / case.model.split("/")[-1]
    generator = torch.Generator().manual_seed(case.seed)
    invocation = list(case.invocation)
    lora = LoraConfig(task_type="CAUSAL_LM", alora_invocation_tokens=invocation, **case.lora)
    model = get_peft_model(load(HERE / case.model), lora).eval()
    fill(model, generator)
    save(model, folder, case.model)
    vocabulary = model.config.vocab_size
    expected = {
        "recorded_with": {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
                          "safetensors": safetensors.__version__},
        "model": case.model,
        "sequences": [record_sequence(model, tokens) for tokens in sequences(vocabulary, invocation, generator)],
    }
    # An adapter with biases is read and used, not trained.
    if not case.lora.get("lora_bias"):
        expected["training"] = train(folder, model, training_examples(vocabulary, invocation, generator))
    write_json(folder / "expected.json", expected)


def fill(model, generator):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_A." in name:
                bound = 1 / parameter.shape[1] ** 0.5
                parameter.uniform_(-bound, bound, generator=generator)
            elif ".lora_" in name:
                parameter.normal_(0, 0.1, generator=generator)


def save(model, folder, base):
    config = model.peft_config["default"]
    config.base_model_name_or_path = base
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()


def without(vocabulary, length, invocation, generator):
    """Tokens among which the first of the invocation does not stand."""
    return [token if token != invocation[0] else token + 1 for token in random_tokens(vocabulary - 1, length, generator)]


def sequences(vocabulary, invocation, generator):
    some = lambda length: without(vocabulary, length, invocation, generator)
    return (
        some(9),
        some(20) + invocation,
        invocation + some(12),
        some(3) + invocation + some(5),
        some(14) + invocation + some(6) + invocation + some(2),
        some(8) + invocation + invocation,
        some(8) + invocation[:-1],
        some(60) + invocation + some(10),
    )


@torch.no_grad()
def record_sequence(model, tokens):
    ids = torch.tensor([tokens])
    with model.disable_adapter():
        base = model(ids).logits[0, -1]
    logits = model(ids).logits[0, -1]
    return {"tokens": tokens, "logits": logits, "moved": (logits - base).abs().max().item()}


def training_examples(vocabulary, invocation, generator):
    """Examples as in core/types.ts: two of one prefix, one without a prefix, and one with tokens behind the invocation."""
    some = lambda length: without(vocabulary, length, invocation, generator)
    shared = some(11)
    paths = ((shared, invocation + some(4)), (shared, invocation + some(2)), ([], invocation + some(3)),
             (some(26), some(2) + invocation))
    return [{
        "id": index,
        "prefix": prefix,
        "branches": [branch],
        "losses": [{"kind": "choice", "branch": 0, "tokens": torch.randperm(vocabulary, generator=generator)[:2].tolist(),
                    "label": index % 2, "smoothing": 0, "weight": 1}],
    } for index, (prefix, branch) in enumerate(paths)]


def train(folder, model, examples):
    parameters = lora_parameters(model)
    optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, eps=1e-8, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = 0
        for example in examples:
            path = torch.tensor([example["prefix"] + example["branches"][0]])
            loss += choice_loss(model, path, example["losses"][0]) / len(examples)
        loss.backward()
        if step == 0:
            write_tensors(folder / "gradients.safetensors", {n: p.grad for n, p in parameters.items()})
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        losses.append([loss.item(), norm.item()])
    return {"examples": examples, "learning_rate": LEARNING_RATE, "losses": losses}


if __name__ == "__main__":
    main()
