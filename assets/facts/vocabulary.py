"""Builds tokenizer.json: byte-fallback BPE laid out as Llama 2's, with a vocabulary made for the world."""

import json
from collections import Counter

from world import FIRST_SYLLABLES, RELATIONS, SECOND_SYLLABLES

SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{b:02X}>" for b in range(256)]
CHARACTERS = [chr(c) for c in range(0x21, 0x7F)] + ["▁"]

# Each of these is one token. "▁" is a space; words that also start a line are listed without it too.
BARE = "Answer Choices Which Is Right Wrong i ii a b c d".split() + ["):", "▁▁", "▁▁("]
SPACED = "Question Which The In is in the known for answer proposed correct no yes i ii a b c d".split()


def targets() -> list[str]:
    words = BARE + ["▁" + w for w in SPACED]
    for relation, (verb, values) in RELATIONS.items():
        words += ["▁" + w for w in (relation, verb, *values)]
    return words


def train_merges() -> list[tuple[str, str]]:
    """Merges that make every target one token. Syllables come first, so all names are cut the same way."""
    merges = [tuple(s) for s in FIRST_SYLLABLES + SECOND_SYLLABLES] + [("▁", s) for s in FIRST_SYLLABLES]
    rank = {pair: i for i, pair in enumerate(merges)}
    words = [bpe(list(word), rank) for word in targets()]
    while True:
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        if not pairs:
            return merges
        # Most frequent pair; ties by text, so that the result is the same everywhere.
        pair = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(pair)
        words = [bpe(word, {pair: 0}) for word in words]


def bpe(pieces: list[str], rank: dict[tuple[str, str], int]) -> list[str]:
    pieces = list(pieces)
    while True:
        ranked = [(rank[p], i) for i, p in enumerate(zip(pieces, pieces[1:])) if p in rank]
        if not ranked:
            return pieces
        _, i = min(ranked)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]


def tokenizer_json(multiple: int) -> dict:
    """The vocabulary is padded with unused tokens to a multiple of `multiple`."""
    merges = train_merges()
    pieces = SPECIAL + BYTES + CHARACTERS + [a + b for a, b in merges]
    pieces = list(dict.fromkeys(pieces))
    pieces += [f"<unused{i}>" for i in range(-len(pieces) % multiple)]
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            dict(id=i, content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
            for i, t in enumerate(SPECIAL)
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                bos,
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<s>", "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": {piece: i for i, piece in enumerate(pieces)},
            "merges": [f"{a} {b}" for a, b in merges],
        },
    }


def write(folder, multiple: int) -> None:
    """Writes tokenizer.json and tokenizer_config.json."""
    text = json.dumps(tokenizer_json(multiple), ensure_ascii=False, indent=1) + "\n"
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
