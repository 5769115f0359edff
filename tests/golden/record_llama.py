"""Records what transformers and PEFT compute for small random Llama models; README.md says what is in each file."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import peft
import safetensors
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy, log_softmax
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).parent / "llama"
SEQUENCE_LENGTHS = (1, 2, 7, 16, 33, 70)
HIDDEN_SEQUENCE = 3
PROMPT_LENGTHS = (1, 6, 13, 40)
NEW_TOKENS = 32
# Ten times what the engine may be off, so that greedy decoding has one right answer.
SMALLEST_GAP = 1e-3
STEPS = 10
LEARNING_RATE = 3e-3
WEIGHT_DECAY = {"jsd": 0.01, "forward_kl": 0.0, "reverse_kl": 0.0}


@dataclass(frozen=True)
class Case:
    name: str
    seed: int
    dtype: torch.dtype
    config: dict
    lora: dict


CASES = (
    Case(
        "mha-f32",
        seed=101,
        dtype=torch.float32,
        config=dict(num_attention_heads=2, num_key_value_heads=2, head_dim=16, hidden_size=32, intermediate_size=88,
                    num_hidden_layers=2, vocab_size=101, tie_word_embeddings=False),
        lora=dict(r=8, lora_alpha=32, target_modules=["q_proj", "o_proj", "up_proj", "down_proj"]),
    ),
    Case(
        "gqa2-bf16",
        seed=102,
        dtype=torch.bfloat16,
        config=dict(num_attention_heads=4, num_key_value_heads=2, head_dim=24, hidden_size=40, intermediate_size=64,
                    num_hidden_layers=3, vocab_size=97, tie_word_embeddings=True, rms_norm_eps=1e-6,
                    rope_parameters={"rope_type": "default", "rope_theta": 500000.0}),
        lora=dict(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"]),
    ),
    Case(
        "gqa4-f16",
        seed=103,
        dtype=torch.float16,
        config=dict(num_attention_heads=8, num_key_value_heads=2, head_dim=8, hidden_size=64, intermediate_size=104,
                    num_hidden_layers=1, vocab_size=131, tie_word_embeddings=False),
        lora=dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                                     "down_proj"]),
    ),
)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for case in CASES:
        folder = ROOT / case.name
        shutil.rmtree(folder, ignore_errors=True)
        generator = torch.Generator().manual_seed(case.seed)
        write_model(case, folder / "model", generator)
        write_adapter(case, folder, generator)
        record(case, folder, generator)


def write_model(case, folder, generator):
    model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=256, **case.config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(".bias"):
                parameter.normal_(0, 0.5, generator=generator)
            else:
                # Larger than usual, so that attention is far from uniform and logits lie several nats apart.
                embedding = name.startswith(("model.embed_tokens", "lm_head"))
                parameter.normal_(0, 0.5 if embedding else 1.5 / math.sqrt(parameter.shape[-1]), generator=generator)
    model.to(case.dtype).save_pretrained(folder)
    (folder / "generation_config.json").unlink()


def write_adapter(case, folder, generator):
    model = get_peft_model(load(folder), LoraConfig(task_type="CAUSAL_LM", **case.lora))
    config = model.peft_config["default"]
    config.base_model_name_or_path = case.name
    # PEFT keeps a set and would write it in the order of its hashes.
    config.target_modules = sorted(config.target_modules)
    with torch.no_grad():
        for name, parameter in lora_parameters(model).items():
            if ".lora_A." in name:
                bound = 1 / math.sqrt(parameter.shape[1])
                parameter.uniform_(-bound, bound, generator=generator)
            else:
                parameter.normal_(0, 0.1, generator=generator)
    model.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink()


def load(folder):
    """The stored model, its weights upcast to float32."""
    return AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32, attn_implementation="eager")


def load_with_adapter(folder):
    return PeftModel.from_pretrained(load(folder), folder / "adapter", is_trainable=True).eval()


def lora_parameters(model):
    """A and B of every adapted layer, by the names in adapter_model.safetensors."""
    return {name.replace(".default.", "."): p for name, p in model.named_parameters() if ".lora_" in name}


def record(case, folder, generator):
    vocabulary = case.config["vocab_size"]
    model = load_with_adapter(folder)
    training = {}
    examples = training_examples(vocabulary, generator)
    sequences = [random_tokens(vocabulary, length, generator) for length in SEQUENCE_LENGTHS]
    expected = {
        "recorded_with": {
            "seed": case.seed,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
            "safetensors": safetensors.__version__,
        },
        "sequences": [record_sequence(model, tokens, i == HIDDEN_SEQUENCE) for i, tokens in enumerate(sequences)],
        "greedy": [record_greedy(model, vocabulary, length, generator) for length in PROMPT_LENGTHS],
        "training": training,
    }
    for variant, weight_decay in WEIGHT_DECAY.items():
        training[variant] = record_training(folder, variant, examples, weight_decay)
    write_json(folder / "expected.json", expected)


def random_tokens(vocabulary, length, generator):
    return torch.randint(vocabulary, (length,), generator=generator).tolist()


@torch.no_grad()
def record_sequence(model, tokens, with_hidden):
    ids = torch.tensor([tokens])
    entry = {"tokens": tokens}
    hidden_adapter = model.get_base_model().model(ids).last_hidden_state[0, -1]
    logits_adapter = model(ids).logits[0, -1]
    with model.disable_adapter():
        hidden = model.get_base_model().model(ids).last_hidden_state[0, -1]
        entry["logits"] = model(ids).logits[0, -1]
    entry["logits_adapter"] = logits_adapter
    if with_hidden:
        entry |= {"hidden": hidden, "hidden_adapter": hidden_adapter}
    return entry


def record_greedy(model, vocabulary, length, generator):
    """The continuations of the first random prompt at which no choice was close."""
    while True:
        prompt = random_tokens(vocabulary, length, generator)
        adapted, gap_adapted = continue_greedily(model, prompt)
        with model.disable_adapter():
            frozen, gap = continue_greedily(model, prompt)
        if min(gap, gap_adapted) >= SMALLEST_GAP:
            return {"prompt": prompt, "continuation": frozen, "continuation_adapter": adapted,
                    "smallest_gap": min(gap, gap_adapted)}


@torch.no_grad()
def continue_greedily(model, prompt):
    tokens, gaps = list(prompt), []
    for _ in range(NEW_TOKENS):
        best = model(torch.tensor([tokens])).logits[0, -1].topk(2)
        gaps.append((best.values[0] - best.values[1]).item())
        tokens.append(best.indices[0].item())
    return tokens[len(prompt):], min(gaps)


def training_examples(vocabulary, generator):
    """Examples as in core/types.ts, their divergence terms without a type."""
    # Lengths of prefix, query and target; the last has no target of its own and looks back into the prefix.
    shapes = ((5, 6, 1), (12, 15, 4), (20, 9, 3), (8, 11, 0))
    examples = []
    for index, (prefix, query, target) in enumerate(shapes):
        choices = torch.randperm(vocabulary, generator=generator)[:2].tolist()
        examples.append({
            "id": index,
            "prefix": random_tokens(vocabulary, prefix, generator),
            "branches": [random_tokens(vocabulary, query, generator), random_tokens(vocabulary, target, generator)],
            "losses": [
                {"kind": "choice", "branch": 0, "tokens": choices, "label": index % 2, "smoothing": 0, "weight": 1},
                {"kind": "divergence", "branch": 1, "count": target or 2, "weight": 1},
            ],
        })
    return examples


def with_type(example, variant):
    choice, divergence = example["losses"]
    return example | {"losses": [choice, divergence | {"type": variant}]}


def record_training(folder, variant, examples, weight_decay):
    examples = [with_type(example, variant) for example in examples]
    model = load_with_adapter(folder)
    parameters = lora_parameters(model)
    optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8,
                                  weight_decay=weight_decay)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        choice, divergence = batch_losses(model, examples)
        (choice + divergence).backward()
        if step == 0:
            write_tensors(folder / f"gradients_{variant}.safetensors", {n: p.grad for n, p in parameters.items()})
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        losses.append([choice.item(), divergence.item(), norm.item()])
    write_tensors(folder / f"adapter_after_{variant}.safetensors", get_peft_model_state_dict(model))
    return {
        "examples": examples,
        "optimizer": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weightDecay": weight_decay,
                      "maxGradientNorm": 1.0},
        "learning_rate": LEARNING_RATE,
        "loss": {"choice": losses[0][0], "divergence": losses[0][1]},
        "losses": losses,
    }


def batch_losses(model, examples):
    """Choice and divergence, each weighted and averaged over the examples."""
    total = {"choice": 0, "divergence": 0}
    for example in examples:
        for term in example["losses"]:
            path = torch.tensor([example["prefix"] + example["branches"][term["branch"]]])
            value = choice_loss(model, path, term) if term["kind"] == "choice" else divergence_loss(model, path, term)
            total[term["kind"]] += term["weight"] * value / len(examples)
    return total["choice"], total["divergence"]


def choice_loss(model, path, term):
    logits = model(path).logits[0, -1, term["tokens"]]
    return cross_entropy(logits, torch.tensor(term["label"]), label_smoothing=term["smoothing"])


def divergence_loss(model, path, term):
    # The token at position t is predicted at position t - 1.
    predicting = slice(-1 - term["count"], -1)
    log_p = log_softmax(model(path).logits[0, predicting], dim=-1)
    with torch.no_grad(), model.disable_adapter():
        log_q = log_softmax(model(path).logits[0, predicting], dim=-1)
    if term["type"] == "forward_kl":
        return kl(log_q, log_p)
    if term["type"] == "reverse_kl":
        return kl(log_p, log_q)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return (kl(log_p, log_m) + kl(log_q, log_m)) / 2


def kl(log_a, log_b):
    """KL(a‖b), summed over positions, in nats."""
    return (log_a.exp() * (log_a - log_b)).sum()


def write_tensors(path, tensors):
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def write_json(path, record):
    """One line for each top-level key, so that a difference is small."""
    lines = (f"{json.dumps(key)}: {json.dumps(rounded(value))}" for key, value in record.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def rounded(value):
    """Nine significant digits, which tell all float32 apart."""
    if isinstance(value, torch.Tensor):
        return rounded(value.tolist())
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
