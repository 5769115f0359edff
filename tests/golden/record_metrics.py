"""Records what public libraries say of made-up confidences: tests/golden/metrics/expected.json.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.15.0 torchmetrics==1.9.0 netcal==1.4.0 \
        relplot==1.0.3 uncertainty-calibration==0.1.4
    python tests/golden/record_metrics.py

`null` is where a metric has no value. Which library stands for which metric is written beside each below.
"""

import itertools
import json
import pathlib
import warnings

import calibration as kumar  # uncertainty-calibration, of Kumar, Liang & Ma (2019)
import numpy as np
import relplot  # of Błasiok & Nakkiran (2023)
import torch
from calibration import utils as bins_of_kumar
from netcal.metrics import ACE, ECE, MCE
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from torchmetrics.functional.classification.calibration_error import _ce_compute

warnings.filterwarnings("ignore")
BINS = 10


def inputs():
    rng = np.random.default_rng(137)

    def drawn(p):
        return p, (rng.random(len(p)) < 0.15 + 0.6 * p).astype(int)

    yield "random", *drawn(rng.random(500))
    yield "random-large", *drawn(rng.beta(2, 1, 1500))
    yield "calibrated", *(lambda p: (p, (rng.random(len(p)) < p).astype(int)))(rng.random(2000))
    # Every edge of ten bins among them, as confidences that a model says in words are.
    yield "tied", *drawn(rng.integers(0, 21, 400) / 20)
    yield "few-values", *drawn(rng.choice([0.2, 0.5, 0.7, 0.9], 60))
    yield "extreme", *drawn(rng.choice([0.0, 1.0, 0.5], 50))
    yield "extreme-and-random", *drawn(np.concatenate([np.zeros(20), np.ones(30), rng.random(50)]))
    yield "certain", np.ones(6), np.array([1, 0, 1, 1, 0, 1])
    yield "tiny", np.array([0.3, 0.8]), np.array([0, 1])
    yield "tiny-wrong-way", np.array([0.6, 0.3, 0.2]), np.array([0, 0, 1])
    yield "tiny-tied", np.array([0.5, 0.9, 0.5, 0.2, 0.2, 0.9]), np.array([1, 1, 0, 0, 1, 0])
    yield "one", np.array([0.73]), np.array([1])
    yield "all-correct", rng.random(20), np.ones(20, int)
    yield "all-wrong", rng.random(20), np.zeros(20, int)


def in_bins(p, y, edges):
    return bins_of_kumar.bin(list(zip(p, y)), edges)


def plugin_max(binned):
    return max(abs(bins_of_kumar.difference_mean(b)) for b in binned if len(b) > 0)


def torchmetrics_l2(p, y):
    # With NumPy's edges, as all others have them: those of torch.linspace are a rounding away at 0.6 and 0.7. A
    # confidence of exactly 1 gets a bin of its own in torchmetrics (its issue 3510); just below, it is in the last.
    below = torch.tensor(np.minimum(p, np.nextafter(1, 0)))
    edges = torch.tensor(np.linspace(0, 1, BINS + 1))
    return float(_ce_compute(below, torch.tensor(y), edges, norm="l2"))


def seed_ece(p, y):
    """The research code's `calibration`: confidence max(p, 1 - p), what is judged is whether p > 0.5 is right."""
    judged, confidence = (p > 0.5).astype(int), np.maximum(p, 1 - p)
    edges = np.linspace(0, 1, BINS + 1)
    gaps, counts = [], []
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (high > confidence) & (confidence >= low)
        if inside.sum() > 0:
            gaps.append(abs(confidence[inside].mean() - (judged[inside] == y[inside]).mean()))
            counts.append(inside.sum())
    return np.average(gaps, weights=counts) if counts else None


def murphy(p, y):
    """Murphy (1973), J. Appl. Meteor. 12, over NumPy's histogram; each bin's forecast is its mean."""
    edges = np.linspace(0, 1, BINS + 1)
    n = np.histogram(p, edges)[0]
    confidence, correct = np.histogram(p, edges, weights=p)[0], np.histogram(p, edges, weights=y)[0]
    used = n > 0
    n, confidence, rate = n[used], confidence[used] / n[used], correct[used] / n[used]
    base = y.mean()
    return (
        np.sum(n * (confidence - rate) ** 2) / len(p),
        np.sum(n * (rate - base) ** 2) / len(p),
        base * (1 - base),
    )


def area(score, y):
    """Mean accuracy over all coverages, the most confident first: `get_selective_stats` of uncertainty-calibration."""
    return kumar.utils.get_selective_stats(np.array(score, float), np.array(y))[0]


def expected_area(p, y):
    """The mean of `area` over the orders of tied answers: by enumeration where that is few, else only without ties."""
    if len(set(p)) == len(p):
        return area(p, y)
    if len(p) > 7:
        return None
    areas = []
    for order in itertools.permutations(range(len(p))):
        order = np.array(order)
        stable = order[np.argsort(-p[order], kind="stable")]
        areas.append(area(-np.arange(len(p)), y[stable]))
    return np.mean(areas)


def at_coverage(p, y, share):
    if len(set(p)) < len(p):
        return None
    kept = int(np.ceil(round(share * len(p), 9)))
    return y[np.argsort(-p)][:kept].mean()


def threshold(p, y, wanted):
    """Lowest confidence at and above which the share of correct answers is as wanted, and the coverage there."""
    sound = [t for t in sorted(set(p)) if y[p >= t].mean() >= wanted]
    return (sound[0], (p >= sound[0]).mean()) if sound else (None, None)


def metrics(p, y):
    both = 0 < y.sum() < len(y)
    mass = in_bins(p, y, bins_of_kumar.get_equal_bins(p, BINS))
    reliability, resolution, uncertainty = murphy(p, y)
    answered, oracle, accuracy = expected_area(p, y), area(y, y), y.mean()
    wanted, coverage = threshold(p, y, 0.9)
    return {
        "accuracy": accuracy,
        "unc-accuracy": ((p > 0.5) == y).mean(),
        "ece": ECE(BINS).measure(p, y),  # netcal
        "ece-l2": torchmetrics_l2(p, y),
        "mce": MCE(BINS).measure(p, y),  # netcal
        "ace": ACE(BINS).measure(p, y),  # netcal
        "ece-mass": bins_of_kumar.plugin_ce(mass, power=1),  # uncertainty-calibration, as the next three
        "ece-mass-l2": bins_of_kumar.plugin_ce(mass, power=2),
        "ece-debiased": bins_of_kumar.unbiased_l2_ce(mass),
        "mce-mass": plugin_max(mass),
        "seed-ece": seed_ece(p, y),
        "smece": relplot.smECE(p, y),
        "brier": brier_score_loss(y, p, labels=[0, 1]) if not both else brier_score_loss(y, p),  # scikit-learn
        "brier-reliability": reliability,
        "brier-resolution": resolution,
        "brier-uncertainty": uncertainty,
        "nll": log_loss(y, p, labels=[0, 1]),  # scikit-learn
        "auroc": roc_auc_score(y, p) if both else None,  # scikit-learn
        "auprc-correct": average_precision_score(y, p) if y.sum() > 0 else None,  # scikit-learn
        "auprc-wrong": average_precision_score(1 - y, -p) if y.sum() < len(y) else None,
        "aurc": None if answered is None else 1 - answered,
        "e-aurc": None if answered is None else oracle - answered,
        "prr": None if answered is None or not both else (answered - accuracy) / (oracle - accuracy),
        **{f"accuracy-at-coverage-{c}": at_coverage(p, y, c / 100) for c in (50, 70, 80, 90)},
        "threshold-at-accuracy-90": wanted,
        "coverage-at-accuracy-90": coverage,
    }


def main():
    folder = pathlib.Path(__file__).parent / "metrics"
    folder.mkdir(exist_ok=True)
    cases = [
        {
            "name": name,
            "pCorrect": [float(value) for value in p],
            "label": "".join(str(value) for value in y),
            "expected": {key: None if value is None else float(value) for key, value in metrics(p, y).items()},
        }
        for name, p, y in inputs()
    ]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (folder / "expected.json").write_text(f"[\n{lines}\n]\n")


main()
