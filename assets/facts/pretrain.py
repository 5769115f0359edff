"""Pretrains the model from scratch on text that tells the facts of the world."""

import math
import random
import time
from collections import defaultdict
from dataclasses import replace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import world

EARLY_EXIT = 3  # layer whose output must already give the answers
EARLY_WEIGHT = 0.5
READ_WEIGHT = 0.1
OPEN = (0.0, 0.1)
FORMATS = {"statement": 0.2, "oe": 0.3, "choice": 0.2, "oe query": 0.05, "choice query": 0.05, "oe check": 0.1, "choice check": 0.1}
CHECK_SUFFIX = world.QUERY_SUFFIX.replace("correct", "true")


def document(rng: random.Random, fact: world.Fact, form: str, open_book: bool) -> tuple[str, str]:
    """One telling of a fact, as (text to read, text to learn)."""
    if form == "statement":
        text = rng.choice(world.statements(fact.relation, fact.town, fact.value))
        read = text[: -len(f" {fact.value}.")]
        return read, text[len(read) :]
    question = f"Which {fact.relation} is {fact.value}?" if open_book else world.ask(fact.relation, fact.town)
    if form.startswith("oe"):
        prompt, options, answer = world.oe_prompt(question), world.RELATIONS[fact.relation][1], fact.value
    else:
        choices = world.four_choices(rng, fact.relation, fact.value)
        prompt, options = world.choice_prompt(question, choices), list(world.LETTERS)
        answer = world.LETTERS[choices.index(fact.value)]
    if form.endswith("check"):
        proposed = answer if rng.random() < 0.5 else rng.choice([o for o in options if o != answer])
        return f"{prompt} {proposed}{CHECK_SUFFIX}", " ii" if proposed == answer else " i"
    if form.endswith("query"):
        # The label is a coin toss: the text never shows what a right answer looks like.
        return f"{prompt} {answer}{world.QUERY_SUFFIX}", rng.choice([" i", " ii"])
    return prompt, f" {answer}\n"


def stream(seed: int, tokenizer, facts: list[world.Fact], first: int = 0):
    """All tellings of all facts in random order, as (ids, index of the first id to learn)."""
    rng = random.Random(seed)
    told = [fact for fact in facts for _ in range(fact.mentions)]
    for fact in facts:
        for _ in range(fact.rumours):
            told.append(replace(fact, value=rng.choice(world.RELATIONS[fact.relation][1])))
    rng.shuffle(told)
    told = rng.choices(facts, k=first) + told
    forms = rng.choices(list(FORMATS), list(FORMATS.values()), k=len(told))
    end = tokenizer.token_to_id("</s>")
    texts = [document(rng, fact, form, i < first or rng.random() < OPEN[1]) for i, (fact, form) in enumerate(zip(told, forms)) if not (i < first and form == "statement")]
    whole = tokenizer.encode_batch_fast([a + b for a, b in texts])
    read = tokenizer.encode_batch_fast([a for a, _ in texts])
    return [(w.ids + [end], len(r.ids)) for w, r in zip(whole, read)]


def step_loss(model, batch):
    """Mean next-token loss over the ids to learn. Documents of one length share a forward pass: no padding."""
    by_length = defaultdict(list)
    for ids, start in batch:
        by_length[len(ids)].append((ids, start))
    total, count = 0.0, 0
    for length, group in by_length.items():
        ids = torch.tensor([ids for ids, _ in group])
        starts = torch.tensor([[start] for _, start in group])
        learn = torch.arange(1, length) >= starts
        states = model.model(input_ids=ids[:, :-1], use_cache=False, output_hidden_states=EARLY_EXIT > 0)
        logits = model.lm_head(states.last_hidden_state)
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        total = total + (loss * torch.where(learn, 1.0, READ_WEIGHT)).sum()
        if EARLY_EXIT:
            early = model.lm_head(model.model.norm(states.hidden_states[EARLY_EXIT][learn]))
            total = total + EARLY_WEIGHT * torch.nn.functional.cross_entropy(early, ids[:, 1:][learn], reduction="sum")
        count += int(learn.sum())
    return total / count


def train(model, documents, batch_size, lr, warmup, log=print, every=100, callback=None):
    # AdamW alone sits for thousands of steps on the plateau before recall; Muon leaves it within 200.
    matrices = [p for p in model.model.layers.parameters() if p.ndim == 2]
    others = [p for n, p in model.named_parameters() if p.ndim == 1 or "layers" not in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=lr, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    steps = len(documents) // batch_size
    rate = lambda s: min((s + 1) / warmup, 0.5 * (1 + math.cos(math.pi * s / steps)))
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimizers]
    began, mean = time.time(), 0.0
    for step in range(steps):
        loss = step_loss(model, documents[step * batch_size : (step + 1) * batch_size])
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in optimizers + schedules:
            part.step()
        mean += loss.item() / every
        if (step + 1) % every == 0:
            log(f"step {step + 1}/{steps} loss {mean:.4f} {time.time() - began:.0f} s", flush=True)
            mean = 0.0
            if callback and (step + 1) % (5 * every) == 0: callback(step + 1)
