"""Records hidden states, a classifier's training on features, and on those of a LoRA model; README.md says what is in each file."""

import shutil
from pathlib import Path

import peft
import safetensors
import torch
import transformers
from peft import get_peft_model_state_dict
from record_llama import load_with_adapter, lora_parameters, random_tokens, write_json, write_tensors
from torch import nn
from torch.nn.functional import cross_entropy

HERE = Path(__file__).parent
ROOT = HERE / "classifier"
SEED = 301
STEPS = 10
LEARNING_RATE = 3e-3
OPTIMIZER = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": 0.01, "maxGradientNorm": 1.0}
# Tokens of a sequence, and the span whose hidden states are averaged.
SPANS = ((1, 0, 1), (9, 8, 9), (20, 7, 12), (33, 30, 33))
FEATURES, ROWS, BATCH = 48, 24, 6


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    generator = torch.Generator().manual_seed(SEED)
    expected = {
        "recorded_with": {
            "seed": SEED,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
            "safetensors": safetensors.__version__,
        },
        "hidden": {name: record_hidden(name, generator)
                   for name in ("llama/mha-f32", "llama/gqa2-bf16", "families/qwen2-window")},
        "features": record_features(generator),
        "lora": {name: record_lora(name, generator) for name in ("mha-f32", "gqa2-bf16")},
    }
    write_json(ROOT / "expected.json", expected)


def classifier(inputs, hidden, generator):
    """The research code's head, with other widths: linear layers with ReLU between them."""
    widths = [inputs, *hidden, 2]
    layers = []
    for a, b in zip(widths, widths[1:]):
        layer = nn.Linear(a, b)
        with torch.no_grad():
            nn.init.xavier_normal_(layer.weight, generator=generator)
            layer.bias.uniform_(-(a**-0.5), a**-0.5, generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def span_mean(states, first, end):
    return states[0, first:end].mean(dim=0)


@torch.no_grad()
def record_hidden(name, generator):
    model = load_with_adapter(HERE / name).eval()
    vocabulary = model.config.vocab_size
    entries = []
    for length, first, end in SPANS:
        tokens = random_tokens(vocabulary, length, generator)
        ids = torch.tensor([tokens])
        adapted = model(ids, output_hidden_states=True).hidden_states
        with model.disable_adapter():
            plain = model(ids, output_hidden_states=True).hidden_states
        entries.append({
            "tokens": tokens, "first": first, "end": end,
            "layers": [span_mean(states, first, end) for states in plain],
            "layers_adapter": [span_mean(states, first, end) for states in adapted],
        })
    return entries


def record_features(generator):
    folder = ROOT / "features"
    folder.mkdir()
    model = classifier(FEATURES, (32, 16, 8), generator)
    features = torch.randn(ROWS, FEATURES, generator=generator) * 3
    labels = (features[:, 0] + features[:, 1] > 0).long()
    write_tensors(folder / "features.safetensors", {"features": features})
    write_tensors(folder / "classifier_model.safetensors", model.state_dict())
    with torch.no_grad():
        logits = model(features)
    optimizer = adamw(model.parameters())
    losses = []
    for step in range(STEPS):
        rows = [(step * BATCH + row) % ROWS for row in range(BATCH)]
        optimizer.zero_grad()
        loss = cross_entropy(model(features[rows]), labels[rows])
        loss.backward()
        if step == 0:
            write_tensors(folder / "gradients.safetensors", {n: p.grad for n, p in model.named_parameters()})
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["maxGradientNorm"])
        optimizer.step()
        losses.append([loss.item(), norm.item()])
    write_tensors(folder / "classifier_after.safetensors", model.state_dict())
    return {"labels": labels, "batch": BATCH, "optimizer": OPTIMIZER, "learning_rate": LEARNING_RATE,
            "logits": logits, "losses": losses}


def record_lora(name, generator):
    """The research code's `with_lora`: adapter and classifier are trained together, and clipped by one norm."""
    folder = ROOT / "lora" / name
    folder.mkdir(parents=True)
    model = load_with_adapter(HERE / "llama" / name)
    head = classifier(model.config.hidden_size, (16, 8), generator)
    write_tensors(folder / "classifier_model.safetensors", head.state_dict())
    examples = []
    for index, (length, first, end) in enumerate(SPANS):
        tokens = random_tokens(model.config.vocab_size, length, generator)
        # What stands in the prefix and what in the branch does not matter.
        split = 0 if index == 0 else length // 2 if index == 2 else length
        examples.append({"id": index, "prefix": tokens[:split], "branches": [tokens[split:]],
                         "losses": [{"kind": "class", "branch": 0, "first": first, "end": end, "label": index % 2,
                                     "weight": 1}]})
    adapter, own = lora_parameters(model), dict(head.named_parameters())
    parameters = [*adapter.values(), *own.values()]
    optimizer = adamw(parameters)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = sum(class_loss(model, head, example) for example in examples) / len(examples)
        loss.backward()
        if step == 0:
            write_tensors(folder / "gradients.safetensors", {n: p.grad for n, p in {**adapter, **own}.items()})
        norm = torch.nn.utils.clip_grad_norm_(parameters, OPTIMIZER["maxGradientNorm"])
        optimizer.step()
        losses.append([loss.item(), norm.item()])
    write_tensors(folder / "adapter_after.safetensors", get_peft_model_state_dict(model))
    write_tensors(folder / "classifier_after.safetensors", head.state_dict())
    return {"examples": examples, "optimizer": OPTIMIZER, "learning_rate": LEARNING_RATE, "losses": losses}


def class_loss(model, head, example):
    term = example["losses"][0]
    ids = torch.tensor([example["prefix"] + example["branches"][0]])
    states = model(ids, output_hidden_states=True).hidden_states[-1]
    feature = span_mean(states, term["first"], term["end"])
    return cross_entropy(head(feature), torch.tensor(term["label"]))


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(OPTIMIZER["beta1"], OPTIMIZER["beta2"]),
                             eps=OPTIMIZER["epsilon"], weight_decay=OPTIMIZER["weightDecay"])


if __name__ == "__main__":
    main()
