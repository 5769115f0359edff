"""Records what transformers and PEFT compute for small random models of each family; README.md says what is where."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import record_llama as base
import torch
from transformers import LlamaConfig, MistralConfig, MixtralConfig, Qwen2Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

ROOT = Path(__file__).parent / "families"
base.NEW_TOKENS = 64

SMALL = dict(num_attention_heads=4, num_key_value_heads=2, head_dim=16, hidden_size=32, intermediate_size=48,
             num_hidden_layers=2, vocab_size=101)
# Five query heads of 48 over one key/value head, in a width that is not their product.
ODD = dict(num_attention_heads=5, num_key_value_heads=1, head_dim=48, hidden_size=64, intermediate_size=80,
           num_hidden_layers=2, vocab_size=97)
EXPERTS = dict(num_attention_heads=5, num_key_value_heads=1, head_dim=16, hidden_size=32, intermediate_size=48,
               num_hidden_layers=2, vocab_size=97, num_local_experts=4, num_experts_per_tok=2, sliding_window=None)
ATTENTION_LORA = dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "o_proj"])
LORA = dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])


@dataclass(frozen=True)
class Case(base.Case):
    config_class: type = LlamaConfig
    context: int = 256


def rope(kind, **parameters):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **parameters}}


CASES = (
    Case("llama-linear", 201, torch.float32, SMALL | rope("linear", factor=4.0), LORA),
    Case("llama-dynamic", 202, torch.float32, SMALL | rope("dynamic", factor=4.0), LORA, context=32),
    Case("llama-llama3", 203, torch.bfloat16,
         SMALL | rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                      original_max_position_embeddings=32), LORA),
    Case("llama-yarn", 204, torch.float32,
         SMALL | rope("yarn", factor=4.0, original_max_position_embeddings=32, beta_fast=4.0), LORA),
    Case("llama-biases", 205, torch.float32, SMALL | dict(attention_bias=True, mlp_bias=True), LORA),
    Case("mistral-window", 206, torch.bfloat16, ODD | dict(sliding_window=8), LORA, MistralConfig),
    # It has no head_dim of its own: width divided by heads.
    Case("qwen2-window", 207, torch.float16,
         {key: value for key, value in SMALL.items() if key != "head_dim"}
         | dict(num_hidden_layers=3, hidden_size=64, tie_word_embeddings=True, use_sliding_window=True,
                sliding_window=8, max_window_layers=1), LORA, Qwen2Config),
    Case("mixtral", 208, torch.float32, EXPERTS, ATTENTION_LORA, MixtralConfig),
    Case("mixtral-bf16", 209, torch.bfloat16, EXPERTS | dict(num_local_experts=3, num_hidden_layers=1), ATTENTION_LORA,
         MixtralConfig),
)


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    base.WEIGHT_DECAY = {"jsd": 0.0}
    base.record_sequence = alone(base.record_sequence)
    base.continue_greedily = continue_with_cache
    for case in CASES:
        folder = ROOT / case.name
        shutil.rmtree(folder, ignore_errors=True)
        generator = torch.Generator().manual_seed(case.seed)
        base.LlamaConfig = lambda max_position_embeddings, **config: case.config_class(
            max_position_embeddings=case.context, **config)
        base.LlamaForCausalLM = base.AutoModelForCausalLM.from_config
        base.write_model(case, folder / "model", generator)
        base.write_adapter(case, folder, generator)
        base.record(case, folder, generator)
    record_frequencies()


def reset(model):
    """Forgets the longest sequence so far, to which dynamic scaling would stick."""
    for module in model.modules():
        if hasattr(module, "max_seq_len_cached"):
            module.max_seq_len_cached = module.original_max_seq_len
            module.register_buffer("inv_freq", module.original_inv_freq, persistent=False)


def alone(record):
    def recorded(model, *arguments):
        reset(model)
        return record(model, *arguments)
    return recorded


@torch.no_grad()
def continue_with_cache(model, prompt):
    """As generate() does: keys stay in the cache as they were turned."""
    reset(model)
    written, gaps, past, tokens = [], [], None, list(prompt)
    while len(written) < base.NEW_TOKENS:
        output = model(torch.tensor([tokens]), past_key_values=past, use_cache=True)
        past, best = output.past_key_values, output.logits[0, -1].topk(2)
        gaps.append((best.values[0] - best.values[1]).item())
        tokens = [best.indices[0].item()]
        written += tokens
    return written, min(gaps)


def record_frequencies():
    """Angular speeds for the scalings of released models and for what is left out of a config."""
    head = dict(hidden_size=256, num_attention_heads=2, head_dim=128)
    configs = [
        dict(max_position_embeddings=4096, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}),
        dict(max_position_embeddings=4096, rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 8.0}),
        dict(max_position_embeddings=4096, rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}),
        # Llama 3.2 1B.
        dict(max_position_embeddings=131072, rope_parameters={
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}),
        # Qwen2.5, as its model card says for long texts.
        dict(max_position_embeddings=32768, rope_parameters={
            "rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 32768}),
        dict(max_position_embeddings=8192, rope_parameters={
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 16.0, "original_max_position_embeddings": 512,
            "mscale": 1.0, "mscale_all_dim": 0.8, "beta_fast": 64.0, "beta_slow": 2.0, "truncate": False}),
        dict(max_position_embeddings=8192, rope_parameters={
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 4096,
            "attention_factor": 1.25}),
    ]
    records = []
    for fields in configs:
        config = LlamaConfig(**head, **fields)
        kind = fields["rope_parameters"]["rope_type"]
        lengths = (1, 4096, 4097, 10000) if kind == "dynamic" else (1,)
        for length in lengths:
            if kind == "default":
                half = torch.arange(0, 128, 2, dtype=torch.float)
                speeds, amplitude = 1.0 / 10000.0 ** (half / 128), 1.0
            else:
                speeds, amplitude = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
            records.append({"config": head | fields, "length": length, "amplitude": amplitude,
                            "speeds": speeds.tolist()})
    lines = (json.dumps(base.rounded(record)) for record in records)
    (ROOT / "rope.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
