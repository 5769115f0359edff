"""Writes tests/golden/numpy_default_rng.json: what numpy.random.default_rng draws, the research code's generator.

    pip install numpy==2.4.6
    python tests/golden/record_numpy_rng.py
"""

import json
from pathlib import Path

import numpy
from numpy.random import default_rng

PATH = Path(__file__).parent / "numpy_default_rng.json"
# Seeds of one and of two 32-bit words; counts at which the bits that are drawn change.
SEEDS = (0, 1, 42, 137, 138, 4096, 2**31 - 1, 2**40 + 3)
COUNTS = (1, 2, 3, 5, 9, 100, 1000)
KEPT = 32

permutations = [
    {"seed": seed, "n": n, "permutation": default_rng(seed).permutation(n)[:KEPT].tolist()}
    for seed in SEEDS
    for n in COUNTS
]
draws = [
    {
        "seed": seed,
        "binomial_1_half": int(default_rng(seed).binomial(1, 0.5)),
        "choice_of_0_2_3": int(default_rng(seed).choice([0, 2, 3])),
    }
    for seed in range(137, 137 + 32)
]
PATH.write_text(json.dumps({"numpy": numpy.__version__, "permutation": permutations, "draws": draws}))
