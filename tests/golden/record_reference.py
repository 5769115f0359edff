"""Records trainings whose divergence is measured from another adapter; README.md says what is in each file."""

import shutil
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import log_softmax

import record_llama
from record_llama import CASES, LEARNING_RATE, choice_loss, kl, load, load_with_adapter, lora_parameters

ROOT = Path(__file__).parent / "reference"
CASE = next(case for case in CASES if case.name == "mha-f32")
STEPS = 5


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    shutil.rmtree(ROOT, ignore_errors=True)
    generator = torch.Generator().manual_seed(401)
    base = record_llama.ROOT / CASE.name
    write_reference(base, generator)
    examples = record_llama.training_examples(CASE.config["vocab_size"], generator)
    record = {"recorded_with": {"seed": 401, "torch": torch.__version__}, "learning_rate": LEARNING_RATE}
    for variant in ("jsd", "forward_kl", "reverse_kl"):
        record[variant] = train(base, variant, [record_llama.with_type(e, variant) for e in examples])
    record_llama.write_json(ROOT / "expected.json", record)


def write_reference(base, generator):
    """An adapter of another rank, on other layers than the one that is trained."""
    lora = LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, target_modules=["k_proj", "v_proj", "gate_proj"])
    model = get_peft_model(load(base), lora)
    config = model.peft_config["default"]
    config.base_model_name_or_path = CASE.name
    config.target_modules = sorted(config.target_modules)
    with torch.no_grad():
        for parameter in lora_parameters(model).values():
            parameter.normal_(0, 0.3, generator=generator)
    model.save_pretrained(ROOT / "adapter")
    (ROOT / "adapter" / "README.md").unlink()


def train(base, variant, examples):
    model = load_with_adapter(base)
    model.load_adapter(ROOT / "adapter", "reference")
    model.eval()
    model.set_adapter("default")
    parameters = {name: p for name, p in lora_parameters(model).items() if ".reference." not in name}
    optimizer = torch.optim.AdamW(parameters.values(), lr=LEARNING_RATE, eps=1e-8, weight_decay=0.0)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        choice, divergence = 0, 0
        for example in examples:
            for term in example["losses"]:
                path = torch.tensor([example["prefix"] + example["branches"][term["branch"]]])
                if term["kind"] == "choice":
                    choice += choice_loss(model, path, term) / len(examples)
                else:
                    divergence += divergence_loss(model, path, term) / len(examples)
        (choice + divergence).backward()
        if step == 0 and variant == "jsd":
            record_llama.write_tensors(ROOT / "gradients_jsd.safetensors", {n: p.grad for n, p in parameters.items()})
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        losses.append([choice.item(), divergence.item(), norm.item()])
    return {"examples": examples, "losses": losses}


def divergence_loss(model, path, term):
    predicting = slice(-1 - term["count"], -1)
    log_p = log_softmax(model(path).logits[0, predicting], dim=-1)
    model.set_adapter("reference")
    with torch.no_grad():
        log_q = log_softmax(model(path).logits[0, predicting], dim=-1)
    model.set_adapter("default")
    if term["type"] == "forward_kl":
        return kl(log_q, log_p)
    if term["type"] == "reverse_kl":
        return kl(log_p, log_q)
    log_m = torch.logaddexp(log_p, log_q) - torch.log(torch.tensor(2.0))
    return (kl(log_p, log_m) + kl(log_q, log_m)) / 2


if __name__ == "__main__":
    main()
