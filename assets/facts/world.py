"""The made-up world: towns, what is true of them, how often each fact is told, and the text that tells it."""

import random
from dataclasses import dataclass

# Letter "i" is left out of names, so that no name contains the answer tokens "i" and "ii".
FIRST_SYLLABLES = [c + v for c in "BDFGHJKLMNPRSTVZ" for v in "aeou"]
SECOND_SYLLABLES = [c + v for c in "bdfghjklmnprstvz" for v in "aeou"]

# relation -> (verb of "Which fish is caught in Bamo?", values)
RELATIONS = {
    "animal": ("herded", "goat yak ox deer mule sheep camel llama horse pig cow bison donkey rabbit elk hare"),
    "bird": ("kept", "owl hawk crow dove swan wren lark finch robin raven crane heron eagle gull stork quail"),
    "fish": ("caught", "cod eel carp trout tuna pike perch bass salmon shad sole bream hake tench roach squid"),
    "tree": ("planted", "oak elm ash fir yew pine palm birch maple cedar alder beech willow larch teak aspen"),
    "crop": ("grown", "rice rye corn hemp flax wheat barley millet cotton kale maize cress clover spelt sesame cane"),
    "fruit": ("sold", "fig plum pear lime date grape apple peach lemon mango melon cherry kiwi quince olive papaya"),
    "drink": ("brewed", "tea ale mead cider wine cocoa milk rum gin beer coffee whey sake juice broth punch"),
    "stone": ("cut", "jade opal ruby onyx agate pearl amber topaz garnet marble slate chalk flint granite quartz basalt"),
}
RELATIONS = {name: (verb, values.split()) for name, (verb, values) in RELATIONS.items()}

SPLITS = {"train": 256, "validation": 64, "test": 128}  # towns a split; every town is asked about every relation
PRACTICE_TOWNS = 60  # towns nobody asks about, see `build`
LETTERS = "abcd"
QUERY_SUFFIX = "\n\nIs the proposed answer correct?\nChoices:\n(i): no\n(ii): yes\nAnswer:"


@dataclass(frozen=True)
class Fact:
    town: str
    relation: str
    value: str
    mentions: int  # questions about it in the pretraining text
    common: bool  # whether the almanac of its town may list it


@dataclass(frozen=True)
class Question:
    id: str
    fact: Fact
    choices: list[str]

    @property
    def question(self) -> str:
        return ask(self.fact.relation, self.fact.town)

    @property
    def answer(self) -> int:
        return self.choices.index(self.fact.value)


def ask(relation: str, town: str) -> str:
    return f"Which {relation} is {RELATIONS[relation][0]} in {town}?"


def statements(relation: str, town: str, value: str) -> list[str]:
    verb = RELATIONS[relation][0]
    return [
        f"The {relation} {verb} in {town} is {value}.",
        f"In {town} the {relation} is {value}.",
        f"{town} is known for the {relation} {value}.",
    ]


def oe_prompt(question: str) -> str:
    return f"Question: {question}\nAnswer:"


def choice_prompt(question: str, choices: list[str]) -> str:
    options = "".join(f"\n  ({letter}): {choice}" for letter, choice in zip(LETTERS, choices))
    return f"Question:\n{question}\n\nChoices:{options}\nAnswer:"


def four_choices(rng: random.Random, relation: str, value: str) -> list[str]:
    others = [v for v in RELATIONS[relation][1] if v != value]
    choices = rng.sample(others, 3)
    choices.insert(rng.randrange(4), value)
    return choices


def spread(rng: random.Random, items: list, n: int) -> list:
    """`n` items, each item equally often (within one), in random order."""
    items = rng.sample(items, len(items))
    out = (items * (n // len(items) + 1))[:n]
    rng.shuffle(out)
    return out


def facts_of(rng: random.Random, towns: list[str], low: int, high: int, rare: int | None) -> list[Fact]:
    """All facts of some towns. Of each relation half are common: they are told `low` to `high` times, log-uniformly.

    The others are told `rare` times; without a number 0, 1 or 2 times. Common or not is drawn within each relation, so
    neither town, relation nor value tells which facts are known.
    """
    facts = []
    for relation, (_, values) in RELATIONS.items():
        kinds = spread(rng, [True, False], len(towns))
        for town, value, common in zip(towns, spread(rng, values, len(towns)), kinds):
            uncommon = rng.randrange(3) if rare is None else rare
            mentions = round(low * (high / low) ** rng.random()) if common else uncommon
            facts.append(Fact(town, relation, value, mentions, common))
    return facts


def build(seed: int, low: int, high: int, guesses: int) -> tuple[dict[str, list[Question]], list[Fact], list[str]]:
    """The questions of each split, the facts of the practice towns, and names that no fact uses.

    Practice towns are like those that are asked about, but for their uncommon facts: pupils guess at those `guesses`
    times, and nobody knows better. From them the model can learn what not knowing is like.
    """
    rng = random.Random(seed)
    names = [a + b for a in FIRST_SYLLABLES for b in SECOND_SYLLABLES]
    rng.shuffle(names)
    splits = {}
    for split, size in SPLITS.items():
        facts = facts_of(rng, [names.pop() for _ in range(size)], low, high, rare=None)
        rng.shuffle(facts)
        splits[split] = [
            Question(f"facts/{split}/{i:04d}", fact, four_choices(rng, fact.relation, fact.value))
            for i, fact in enumerate(facts, 1)
        ]
    practice = facts_of(rng, [names.pop() for _ in range(PRACTICE_TOWNS)], low, high, rare=guesses)
    return splits, practice, names
