"""Records what the `krippendorff` package says of made-up labels: tests/golden/krippendorff.json.

    pip install krippendorff==0.9.0 numpy==2.4.6
    python tests/golden/record_krippendorff.py

`alpha` is null where the package refuses, as where all labels are the same; `null` among the labels stands for a missing
one. The first case is that of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section A.
"""

import importlib.metadata
import json
import pathlib

import krippendorff
import numpy as np

MISSING = np.nan


def cases():
    yield "published", [
        [0, 1, 0, 0, 0, 0, 0, 0, 1, 0],
        [1, 1, 1, 0, 0, 1, 0, 0, 0, 0],
    ]
    rng = np.random.default_rng(137)
    for name, labelers, rows, errors, missing in [
        ("two", 2, 40, [0.1, 0.2], 0),
        ("three", 3, 200, [0.05, 0.1, 0.3], 0),
        ("three-with-missing", 3, 200, [0.05, 0.1, 0.3], 0.2),
        ("five-mostly-missing", 5, 60, [0.1] * 5, 0.7),
        ("by-chance", 3, 300, [0.5, 0.5, 0.5], 0.1),
        ("contrary", 2, 50, [0.0, 0.9], 0.1),
        ("rare", 4, 100, [0.02] * 4, 0.05),
    ]:
        truth = (rng.random(rows) < (0.05 if name == "rare" else 0.6)).astype(float)
        labels = []
        for labeler in range(labelers):
            own = np.where(rng.random(rows) < errors[labeler], 1 - truth, truth)
            own[rng.random(rows) < missing] = MISSING
            labels.append(own.tolist())
        yield name, labels
    yield "perfect", [[1, 0, 1, 1], [1, 0, 1, 1], [1, 0, 1, None]]
    yield "one-value", [[1, 1, 1], [1, 1, None]]


def alpha(labels):
    data = np.array([[MISSING if label is None else label for label in row] for row in labels], dtype=float)
    try:
        value = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal")
    except (ValueError, AssertionError):
        return None
    return None if np.isnan(value) else float(value)


def plain(label):
    return None if label is None or np.isnan(label) else int(label)


out = {
    "recorded_with": {name: importlib.metadata.version(name) for name in ("krippendorff", "numpy")},
    "cases": [
        {"name": name, "alpha": alpha(labels), "labels": [[plain(label) for label in row] for row in labels]}
        for name, labels in cases()
    ],
}
path = pathlib.Path(__file__).with_name("krippendorff.json")
path.write_text(json.dumps(out) + "\n")
