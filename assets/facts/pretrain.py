"""Makes model/ and questions/: trains the embedded model from scratch on text that tells the facts of the world.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers==0.23.3
    python pretrain.py

README.md beside this file says what the text is like, and why.
"""

import json
import math
import random
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

import vocabulary
import world

HERE = Path(__file__).parent
SEED = 137

# The text. Mentions of a common fact, looks into each town's almanac, guesses at an uncommon fact of a practice town,
# and questions about a passage, whose towns and facts are made up on the spot.
LOW, HIGH, ALMANACS, GUESSES, PASSAGES = 20, 60, 60, 45, 50_000
FORMS = {
    "oe": 0.22,
    "choice": 0.30,
    "oe verdict": 0.14,
    "choice verdict": 0.22,
    "oe query": 0.04,
    "choice query": 0.04,
}
PASSAGE_FORMS = {"oe": 1, "choice": 2, "oe verdict": 1, "choice verdict": 2}
LATER = 0.11  # share of the text in which there are only almanacs and open questions
SKILL = 0.8  # share of pupils who know a common fact; the others guess
READ_WEIGHT = 0.1  # of the loss on text that is there to be read; what is to be learnt has 1

BATCH_SIZE = 64
MUON_RATE, ADAMW_RATE, WARMUP = 8e-3, 4e-3, 50
RECALL_LAYER, RECALL_WEIGHT = 3, 0.5  # its output must already name the fact's value, whatever the question's form
VERDICT_LAYER, VERDICT_WEIGHT = 5, 0.3  # its output must already give the answer
LOOK_LAYER, LOOK_WEIGHT = 3, 0.3  # index of the layer whose first head must look at what it has to compare


@dataclass
class Piece:
    """Some text of a document, and what the model is to make of it."""

    text: str
    weight: float  # of the loss on its tokens
    value: str = ""  # value of the fact that its first token depends on
    form: str = ""
    right: bool = False  # whether the proposed answer is right


@dataclass
class Document:
    ids: list[int]
    weights: list[float]
    recalls: list[tuple[int, int]]  # (position, id that the recall layer must give)
    looks: list[tuple[int, int, int]]  # (layers above the look layer, position, position to look at)


def question_document(rng: random.Random, fact: world.Fact, form: str, skill: float) -> list[Piece]:
    question = world.ask(fact.relation, fact.town)
    if form.startswith("oe"):
        prompt, options, answer = world.oe_prompt(question), world.RELATIONS[fact.relation][1], fact.value
    else:
        choices = world.four_choices(rng, fact.relation, fact.value)
        prompt, options = world.choice_prompt(question, choices), list(world.LETTERS)
        answer = world.LETTERS[choices.index(fact.value)]
    if form in ("oe", "choice"):
        return [Piece(prompt, READ_WEIGHT), Piece(f" {answer}\n", 1, fact.value, form, True)]
    # A pupil's answer is neither read nor learnt: it may be wrong.
    proposed = answer if rng.random() < skill else rng.choice(options)
    if form.endswith("verdict"):
        right = proposed == answer
        verdict = Piece("Right" if right else "Wrong", 1, fact.value, form, right)
        return [Piece(prompt, READ_WEIGHT), Piece(f" {proposed}\n\n", 0), verdict]
    # The reply is a coin toss: the text never shows what the query is about.
    query = Piece(f" {rng.choice(options)}{world.QUERY_SUFFIX}", 0)
    return [Piece(prompt, READ_WEIGHT), query, Piece(rng.choice([" i", " ii"]), 1, form="query")]


def almanac(rng: random.Random, facts: list[world.Fact]) -> list[Piece]:
    """The common facts of a town in random order, more often mentioned ones more often."""
    listed = [fact for fact in facts if rng.random() < fact.mentions / HIGH] or facts[:1]
    pieces = [Piece(f"In {facts[0].town}", READ_WEIGHT)]
    for fact in rng.sample(listed, len(listed)):
        pieces += [Piece(f" the {fact.relation} is", READ_WEIGHT), Piece(f" {fact.value}.", 1, fact.value, "almanac")]
    return pieces


def passage(rng: random.Random, names: list[str]) -> list[Piece]:
    """A made-up statement and a question about it."""
    relation = rng.choice(list(world.RELATIONS))
    fact = world.Fact(rng.choice(names), relation, rng.choice(world.RELATIONS[relation][1]), 1, False)
    statement = rng.choice(world.statements(fact.relation, fact.town, fact.value))
    form = rng.choices(list(PASSAGE_FORMS), list(PASSAGE_FORMS.values()))[0]
    return [Piece(statement + "\n", READ_WEIGHT)] + question_document(rng, fact, form, skill=0.5)


def documents(rng: random.Random, asked: list[world.Fact], practice: list[world.Fact], names: list[str]):
    """All documents in the order they are told: recall first (almanacs are front-loaded), what builds on it later."""
    told = []

    def tell(begin: float, pieces: list[Piece], haste: float = 1) -> None:
        told.append((begin + (1 - begin) * rng.random() ** haste, pieces))

    towns = defaultdict(list)
    for fact in asked + practice:
        if fact.common:
            towns[fact.town].append(fact)
    for facts in towns.values():
        for _ in range(ALMANACS):
            tell(0, almanac(rng, facts), haste=1.6)
    for fact in asked + [fact for fact in practice if fact.common]:
        for _ in range(fact.mentions):
            form = rng.choices(list(FORMS), list(FORMS.values()))[0]
            tell(0 if form == "oe" else LATER, question_document(rng, fact, form, SKILL if fact.common else 0))
    for fact in practice:
        if not fact.common:
            for _ in range(fact.mentions):
                # What is true changes each time, so there is nothing to know.
                made_up = replace(fact, value=rng.choice(world.RELATIONS[fact.relation][1]))
                form = rng.choice(["oe verdict", "choice verdict", "choice verdict"])
                tell(LATER, question_document(rng, made_up, form, 0))
    for _ in range(PASSAGES):
        tell(LATER, passage(rng, names))
    return [pieces for _, pieces in sorted(told, key=lambda item: item[0])]


class Encoder:
    """Turns pieces into token ids with what is to be learnt where."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self.end, self.colon = tokenizer.token_to_id("</s>"), tokenizer.token_to_id("):")
        self.asks = tokenizer.token_to_id("Is")  # begins the uncertainty query
        self.values = {v: self.word(v) for _, values in world.RELATIONS.values() for v in values}
        self.letters = {tokenizer.token_to_id(letter): self.word(letter) for letter in world.LETTERS}

    def word(self, text: str) -> int:
        return self.tokenizer.token_to_id("▁" + text)

    def encode(self, pieces: list[Piece]) -> Document:
        ids = self.tokenizer.encode("".join(piece.text for piece in pieces)).ids + [self.end]
        document = Document(ids, [0.0], [], [])
        text = ""
        for piece in pieces:
            text += piece.text
            first, end = len(document.weights), len(self.tokenizer.encode(text).ids)
            if piece.value:
                document.recalls.append((first - 1, self.values[piece.value]))
            document.looks += self.looks(ids, first - 1, piece)
            # An option's token must name its letter, so that whoever looks at the option can tell it.
            document.recalls += [
                (at, self.letters[ids[at - 2]])
                for at in range(max(first, 2), end)
                if ids[at - 1] == self.colon and ids[at - 2] in self.letters
            ]
            document.weights += [piece.weight] * (end - first)
        document.weights.append(1.0)
        return document

    def looks(self, ids: list[int], at: int, piece: Piece) -> list[tuple[int, int, int]]:
        """Where the position before an answer or a verdict has to look: at the option that holds the value, and at
        the proposed answer if that is right (or else nowhere, which is the first token). A verdict follows the
        proposed answer and two line breaks. The reply to a query has to look where a verdict would be due."""
        if piece.form == "query":
            return [(2, at, ids.index(self.asks) - 1)]
        if piece.form not in ("choice", "oe verdict", "choice verdict"):
            return []
        proposed = at - 2 if piece.right else 0
        option = next((k for k in range(at) if ids[k] == self.values[piece.value] and ids[k - 1] == self.colon), 0)
        match piece.form:
            case "choice":
                return [(0, at, option)]
            case "oe verdict":
                return [(0, at, proposed)]
            case _:
                return [(0, at, option), (1, at, proposed)]


def step_loss(model: LlamaForCausalLM, batch: list[Document]) -> torch.Tensor:
    """Mean next-token loss over what is to be learnt, with what its layers must give on the way."""
    length = max(len(d.ids) for d in batch)
    ids = torch.tensor([d.ids + [0] * (length - len(d.ids)) for d in batch])
    weights = torch.tensor([d.weights + [0.0] * (length - len(d.weights)) for d in batch])[:, 1:]
    states = model.model(input_ids=ids[:, :-1], use_cache=False, output_hidden_states=True, output_attentions=True)
    head = lambda hidden: model.lm_head(model.model.norm(hidden))
    loss = lambda logits, target: F.cross_entropy(logits, target, reduction="none")
    used, learnt, next_ids = weights > 0, weights == 1, ids[:, 1:]

    total = (loss(model.lm_head(states.last_hidden_state[used]), next_ids[used]) * weights[used]).sum()
    early = head(states.hidden_states[VERDICT_LAYER][learnt])
    total = total + VERDICT_WEIGHT * loss(early, next_ids[learnt]).sum()
    row, at, value = columns((i, *recall) for i, d in enumerate(batch) for recall in d.recalls)
    total = total + RECALL_WEIGHT * loss(head(states.hidden_states[RECALL_LAYER][row, at]), value).sum()
    for above in (0, 1, 2):
        found = [(i, at, key) for i, d in enumerate(batch) for layer, at, key in d.looks if layer == above]
        if found:
            row, at, key = columns(found)
            attention = states.attentions[LOOK_LAYER + above][row, 0, at, key]
            total = total - LOOK_WEIGHT * torch.log(attention + 1e-6).sum()
    return total / learnt.sum()


def columns(rows) -> list[torch.Tensor]:
    return [torch.tensor(column) for column in zip(*rows)]


def train(model: LlamaForCausalLM, batches: list[list[Document]]) -> None:
    # AdamW alone sits for thousands of steps on the plateau before recall; Muon on the matrices leaves it within 200.
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for n, p in model.named_parameters() if p.ndim == 1 or "layers" not in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=MUON_RATE, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=ADAMW_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    rate = lambda s: min((s + 1) / WARMUP, 0.5 * (1 + math.cos(math.pi * s / len(batches))))
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimizers]
    began, mean, every = time.time(), 0.0, 100
    for step, batch in enumerate(batches, 1):
        loss = step_loss(model, batch)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in optimizers + schedules:
            part.step()
        mean += loss.item() / every
        if step % every == 0:
            print(f"step {step}/{len(batches)} loss {mean:.4f} {time.time() - began:.0f} s", flush=True)
            mean = 0.0


def new_model(vocabulary_size: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        initializer_range=0.08,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
        rope_parameters={"rope_theta": 10000.0, "rope_type": "default"},
    )
    config._attn_implementation = "eager"  # the only one that shows where its heads look
    return LlamaForCausalLM(config)


def write_questions(folder: Path, splits: dict[str, list[world.Question]]) -> None:
    folder.mkdir(exist_ok=True)
    for split, questions in splits.items():
        rows = [
            dict(id=q.id, question=q.question, choices=q.choices, answer=q.answer, group=q.fact.relation)
            for q in questions
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    folder = HERE / "model"
    folder.mkdir(exist_ok=True)
    splits, practice, names = world.build(SEED, LOW, HIGH, GUESSES)
    write_questions(HERE / "questions", splits)
    vocabulary.write(folder, multiple=64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoder = Encoder(tokenizer)
    asked = [question.fact for questions in splits.values() for question in questions]
    told = [encoder.encode(pieces) for pieces in documents(random.Random(SEED), asked, practice, names)]
    batches = [told[at : at + BATCH_SIZE] for at in range(0, len(told) - BATCH_SIZE + 1, BATCH_SIZE)]
    model = new_model(tokenizer.get_vocab_size())
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{len(told)} documents, {sum(len(d.ids) for d in told)} tokens, {parameters} parameters", flush=True)
    train(model, batches)
    model.to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    main()
