"""Records what PEFT computes with adapters of every kind over the models in llama/; README.md says what is in each file."""

import dataclasses
import json
import random
import re
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path

import peft
import safetensors
import torch
import transformers
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from record_llama import batch_losses, random_tokens, training_examples, with_type, write_json, write_tensors
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

MODELS = Path(__file__).parent / "llama"
ROOT = Path(__file__).parent / "peft"
SEQUENCE_LENGTHS = (1, 9, 24)


@dataclass(frozen=True)
class Kind:
    name: str
    seed: int
    lora: dict
    model: str = "gqa2-bf16"
    dtype: torch.dtype = torch.float32
    # Settings to write into the file besides, as an author or an older version would have.
    edit: dict = field(default_factory=dict)
    # Tensor names with the adapter's own in them, which PEFT itself does not read back.
    default_in_names: bool = False
    with_gradient: bool = False


KINDS = (
    Kind("rslora", 201, dict(r=5, lora_alpha=12, lora_dropout=0.05, use_rslora=True,
                             target_modules=["q_proj", "up_proj"])),
    Kind("full-names", 202, dict(r=2, lora_alpha=6, target_modules=["model.layers.1.self_attn.o_proj", "0.mlp.down_proj",
                                                                   "v_proj", "query_key_value"])),
    Kind("regex", 203, dict(r=3, lora_alpha=9, target_modules=r"^(?!.*lm_head)model\.layers\.(?:0|2)\.(?P<block>self_attn|"
                                                             r"mlp)\.(?:[qv]_proj|.*?up_proj)$")),
    Kind("all-linear-saved", 204, dict(r=2, lora_alpha=8, target_modules="all-linear")),
    Kind("all-linear", 205, dict(r=2, lora_alpha=8, target_modules="all-linear"), edit=dict(target_modules="all-linear")),
    Kind("exclude-list", 206, dict(r=2, lora_alpha=8, target_modules=["q_proj", "k_proj", "gate_proj"],
                                   exclude_modules=["1.self_attn.q_proj", "model.layers.0.mlp.gate_proj"])),
    Kind("exclude-regex", 207, dict(r=2, lora_alpha=8, target_modules="all-linear",
                                    exclude_modules=r".*\.(mlp\..*|[02]\.self_attn\.[ko]_proj)"),
         edit=dict(target_modules="all-linear")),
    Kind("layers", 208, dict(r=3, lora_alpha=6, target_modules=["q_proj", "model.layers.0.mlp.up_proj", "down_proj"],
                             layers_to_transform=[1, 2], layers_pattern="layers")),
    Kind("one-layer", 209, dict(r=3, lora_alpha=6, target_modules=["q_proj", "v_proj"], layers_to_transform=1)),
    Kind("patterns", 210, dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"],
                               # PEFT sorts the keys when it saves, and the first that matches counts: these are sorted.
                               rank_pattern={"1.self_attn.(q|v)_proj": 1, "^model.layers.2.mlp.down_proj": 5,
                                             "down_proj": 9, "q_proj": 7},
                               alpha_pattern={r"layers\.\d+\.mlp\..*": 20, "model.layers.2.mlp.down_proj": 3, "o_proj": 2}),
         with_gradient=True),
    Kind("patterns-rslora", 211, dict(r=6, lora_alpha=5, use_rslora=True, target_modules="all-linear",
                                      rank_pattern={"v_proj": 2, "mlp.(up|gate)_proj": 3}, alpha_pattern={"k_proj": 11}),
         model="gqa4-f16", with_gradient=True),
    Kind("lora-bias", 212, dict(r=3, lora_alpha=7, lora_bias=True, target_modules=["q_proj", "o_proj", "up_proj"])),
    Kind("default-names", 213, dict(r=3, lora_alpha=7, lora_bias=True, target_modules=["k_proj", "down_proj"]),
         default_in_names=True),
    Kind("f16", 214, dict(r=3, lora_alpha=9, target_modules=["q_proj", "v_proj"]), dtype=torch.float16),
    Kind("bf16", 215, dict(r=3, lora_alpha=9, target_modules=["q_proj", "v_proj"]), dtype=torch.bfloat16),
    Kind("calibrated", 216, dict(r=4, lora_alpha=16, lora_dropout=0.1, target_modules=["q_proj", "v_proj"]),
         edit=dict(peft_type="CALIBRATED_LORA", task_type="CALIBRATED_CAUSAL_LM", query_format="roman_choice",
                   use_temperature=True)),
)

LOG_TEMPERATURE = 0.4375


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for kind in KINDS:
        record_kind(kind)
    for folder in sorted(ROOT.glob("ours-*")):
        record_ours(folder)
    record_fields()
    record_patterns()


def load(model):
    return AutoModelForCausalLM.from_pretrained(MODELS / model / "model", dtype=torch.float32, attn_implementation="eager")


def record_kind(kind):
    folder = ROOT / kind.name
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(kind.seed)
    model = get_peft_model(load(kind.model), LoraConfig(task_type="CAUSAL_LM", **kind.lora)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_A." in name:
                bound = 1 / parameter.shape[1] ** 0.5
                parameter.uniform_(-bound, bound, generator=generator)
            elif ".lora_B." in name:
                parameter.normal_(0, 0.1, generator=generator)
            if ".lora_" in name:
                # In the precision that is stored, so that the logits are those of the stored adapter.
                parameter.copy_(parameter.to(kind.dtype).float())
    save(kind, model, folder)
    if kind.name == "calibrated":
        torch.save({"log_temperature": torch.tensor(LOG_TEMPERATURE)}, folder / "temperature_model.pt")
    record(folder, kind.model, model, generator, kind.with_gradient)
    if not kind.default_in_names and "peft_type" not in kind.edit:
        check_reload(kind.model, folder)


def save(kind, model, folder):
    config = model.peft_config["default"]
    config.base_model_name_or_path = kind.model
    for name in ("target_modules", "exclude_modules"):
        # PEFT keeps a set and would write it in the order of its hashes.
        if isinstance(getattr(config, name), set):
            setattr(config, name, sorted(getattr(config, name)))
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_model.safetensors"
    tensors = {n: t.to(kind.dtype) for n, t in load_file(path).items()}
    if kind.default_in_names:
        tensors = {re.sub(r"\.(weight|bias)$", r".default.\1", n): t for n, t in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    if kind.edit:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | kind.edit, indent=2, sort_keys=True))


def record(folder, base, model, generator, with_gradient=False):
    vocabulary = model.config.vocab_size
    expected = {
        "recorded_with": {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__,
                          "safetensors": safetensors.__version__},
        "model": base,
        "scales": {name.removeprefix("base_model.model."): module.scaling["default"]
                   for name, module in model.named_modules() if hasattr(module, "lora_A")},
        "sequences": [record_sequence(model, random_tokens(vocabulary, n, generator)) for n in SEQUENCE_LENGTHS],
    }
    if with_gradient:
        expected["training"] = record_gradient(folder, model, vocabulary, generator)
    write_json(folder / "expected.json", expected)


@torch.no_grad()
def record_sequence(model, tokens):
    return {"tokens": tokens, "logits": model(torch.tensor([tokens])).logits[0, -1]}


def record_gradient(folder, model, vocabulary, generator):
    examples = [with_type(example, "jsd") for example in training_examples(vocabulary, generator)]
    choice, divergence = batch_losses(model, examples)
    (choice + divergence).backward()
    gradients = {n.replace(".default.", "."): p.grad for n, p in model.named_parameters() if ".lora_" in n}
    write_tensors(folder / "gradients.safetensors", gradients)
    return {"examples": examples, "loss": {"choice": choice.item(), "divergence": divergence.item()}}


@torch.no_grad()
def check_reload(base, folder):
    """PEFT reads back from the file what it computed before."""
    model = PeftModel.from_pretrained(load(base), folder).eval()
    for entry in json.loads((folder / "expected.json").read_text())["sequences"]:
        logits = model(torch.tensor([entry["tokens"]])).logits[0, -1]
        assert torch.allclose(logits, torch.tensor(entry["logits"]), atol=1e-4, rtol=1e-4), folder


def record_ours(folder):
    """What PEFT makes of an adapter that write_peft.ts wrote: its settings, and its logits."""
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    resaved = PeftConfig.from_pretrained(folder).to_dict()
    resaved = {k: sorted(v) if isinstance(v, set) else v for k, v in resaved.items()}
    (folder / "resaved_config.json").write_text(json.dumps(resaved, indent=1, sort_keys=True) + "\n")
    model = PeftModel.from_pretrained(load(base), folder).eval()
    # PEFT only warns of a tensor that is missing, or has no place.
    stored = set(load_file(folder / "adapter_model.safetensors"))
    assert stored == {n.replace(".default.", ".") for n, _ in model.named_parameters() if ".lora_" in n}, folder
    record(folder, base, model, torch.Generator().manual_seed(301))


def record_fields():
    fields = sorted(f.name for f in dataclasses.fields(LoraConfig) if f.init)
    write_json(ROOT / "config_fields.json", {"peft": peft.__version__, "fields": fields})


TEXTS = ("model.layers.0.self_attn.q_proj", "model.layers.11.mlp.up_proj", "lm_head", "q_proj", "", "a", "ab", "aB.b", "a-b_1",
         "..", "]x^", "a{,2}", "aaaaaaaaaa!")
PATTERNS = (
    r"q_proj", r".*q_proj", r".*\.[qv]_proj", r"(?i)MODEL.*", r"(?s).*", r".*\.(?:q_proj|up_proj)\Z", r"\Amodel.*", r"[]a]+.*",
    r"[^]a]+", r"[a-]+.*", r"[\w.]+", r"[^\W\d]+", r"a{,2}", r"a{2}", r"a{1,}", r"a{}", r"a{,}", r"a{2,1}", r"{2}", r"a{x}",
    r"(a|ab)(c|b|)", r"(a+)+", r"(a*)*", r"(?:a|aa)+!", r"((a+)+)+!", r"(a*)*b", r"a**", r"a*?", r"a++", r"(?>a)", r"(a)\1",
    r"(?P<n>a)(?P=n)", r"(?P<1>a)", r"(?P<n>a)b", r"(?(1)a|b)", r"(?i:A)b", r"(?x)a b", r"(?#note)a", r"(?#", r"a(?=b)b",
    r"a(?!b).*", r".*(?<=a)b", r".*(?<!a)b", r"a\b.*", r"\Ba", r"a\Bb", r"^a$", r"^*a", r"(^)*a", r"$a", r"*a", r"+", r"?",
    r"a|", r"|", r"(", r")", r"a)", r"[", r"[a", r"[b-a]", r"[a-\d]", r"\d+", r"\D+", r"\S*", r"\s", r"\x61b", r"\u0061b",
    r"\x6", r"\q", r"\e", r"\.\.", r"\-", r"a\-b_1", r"\_", r"\012", r"\N{DIGIT ONE}", r"\Zb", r"a\Z", r"\\", "\\",
    r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?(?:q_proj|k_proj|up_proj).*?)|"
    r"(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|attention|attn|mlp)\.(?:(?:q_proj|k_proj|v_proj|up_proj)))",
    r"^(?!.*(lm_head|embed)).*(q_proj|up_proj)$", r"model\.layers\.(1?[0-9])\.(self_attn|mlp)\.(q|up)_proj",
    r"^model(?=\.)[\w.]*\.(?!up)\w+", r"(.*\.)?(self_attn.q_proj)", r"layers.11.mlp.up_proj", r"^model.layers.0.*q_proj",
    r"mlp.(up|gate)_proj", r"self_attn|mlp.up_proj", r"up_proj)|(q_proj",
)


def record_patterns():
    """What Python's re makes of patterns: chosen ones, and 1,000 random ones from the pieces that people use."""
    draw = random.Random(17)
    cases = [match_all(pattern) for pattern in (*PATTERNS, *(random_pattern(draw, 3) for _ in range(1000)))]
    write_json(ROOT / "patterns.json", {"texts": TEXTS, "cases": [case for case in cases if case]})


def match_all(pattern):
    """The pattern, with a digit for each text: whether re.fullmatch matches it, and whether get_pattern_key does."""
    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        full = matches(lambda text: re.fullmatch(pattern, text))
        # As peft.utils.other.get_pattern_key has it for one key.
        return [pattern, full, matches(lambda text: re.match(rf"(.*\.)?({pattern})$", text))]
    except TimeoutError:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def matches(match):
    try:
        return "".join(str(int(match(text) is not None)) for text in TEXTS)
    except re.error:
        return None


def give_up(*_):
    # Python's engine is of exponential time.
    raise TimeoutError


def random_pattern(draw, depth):
    pieces = ["a", "b", "B", r"\.", ".", "[ab]", "[^a]", r"\w", r"\d", "_", "x", r"\b", "^", "$", "q_proj", "model", "layers", "[0-9]"]
    parts = []
    for _ in range(draw.randint(1, 4)):
        part = draw.choice(pieces)
        if depth > 0 and draw.random() < 0.4:
            inner = random_pattern(draw, depth - 1)
            part = draw.choice(["({})", "(?:{})", "(?={})", "(?!{})", "(?P<g%d>{})" % draw.randint(0, 99), "({}|a)"]).format(inner)
        repeat = draw.choice(["", "", "", "*", "+", "?", "*?", "{2}", "{1,3}", "{,2}"])
        parts.append(part if part in ("^", "$", r"\b") else part + repeat)
    return draw.choice(["", "", "|"]).join(parts)


if __name__ == "__main__":
    main()
