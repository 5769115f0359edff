"""Loads an adapter into PEFT and compares its logits with ours: check_peft.py <model folder> <adapter folder>

Deno is called as the environment variable DENO says, by default `deno`, with the configuration file CONFIG, by default
deno.json. Ends with status 1 if a logit differs by more than 2e-4 + 1e-4 of its size.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parents[2]
LENGTHS = (1, 5, 17, 40)
ABSOLUTE, RELATIVE = 2e-4, 1e-4


def main():
    model_folder, adapter_folder = (Path(argument).resolve() for argument in sys.argv[1:])
    frozen = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32, attn_implementation="eager").eval()
    vocabulary = frozen.config.vocab_size
    generator = torch.Generator().manual_seed(7)
    # Those from whose place on the adapter acts, if there are any; behind them a few more.
    invocation = PeftConfig.from_pretrained(adapter_folder).alora_invocation_tokens or []
    sequences = [random_tokens(vocabulary, length, generator) + invocation + random_tokens(vocabulary, 3, generator)
                 for length in LENGTHS]
    base = [last_logits(frozen, tokens) for tokens in sequences]
    model = PeftModel.from_pretrained(frozen, adapter_folder).eval()
    # PEFT only warns of a tensor that is missing, or has no place.
    stored = {name.replace(".default.", ".") for name in load_file(adapter_folder / "adapter_model.safetensors")}
    wanted = {name.replace(".default.", ".") for name, _ in model.named_parameters() if ".lora_" in name}
    if stored != wanted:
        sys.exit(f"the file and PEFT differ in tensors: {sorted(stored ^ wanted)[:5]}")
    theirs = [last_logits(model, tokens) for tokens in sequences]
    ours = [torch.tensor(logits) for logits in our_logits(model_folder, adapter_folder, sequences)]
    compare(base, theirs, ours)


def random_tokens(vocabulary, length, generator):
    return torch.randint(vocabulary, (length,), generator=generator).tolist()


@torch.no_grad()
def last_logits(model, tokens):
    return model(torch.tensor([tokens])).logits[0, -1].clone()


def our_logits(model_folder, adapter_folder, sequences):
    deno = shlex.split(os.environ.get("DENO", "deno"))
    config = os.environ.get("CONFIG", "deno.json")
    script = "tests/golden/adapter_logits.ts"
    command = [*deno, "run", "--config", config, "-A", script, str(model_folder), str(adapter_folder)]
    done = subprocess.run(command, input=json.dumps(sequences), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)["logits"]


def compare(base, theirs, ours):
    worst = max((a - b).abs().max().item() for a, b in zip(theirs, ours))
    excess = max(((a - b).abs() / (ABSOLUTE + RELATIVE * a.abs())).max().item() for a, b in zip(theirs, ours))
    moved = max((a - b).abs().max().item() for a, b in zip(base, theirs))
    largest = max(a.abs().max().item() for a in theirs)
    print(f"{len(ours)} sequences, logits up to {largest:.3g}, moved by the adapter by up to {moved:.3g}; "
          f"worst difference {worst:.2g}, {excess:.2g} of what is allowed")
    if excess > 1:
        sys.exit(1)


if __name__ == "__main__":
    main()
