"""Records what public libraries say of two confidences in the same answers: tests/golden/metrics/comparison.json.

    pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0 MLstatkit==0.1.91
    python tests/golden/record_comparison.py
"""

import json
import pathlib

import numpy as np
from MLstatkit import Delong_test
from statsmodels.stats.multitest import multipletests


def cases():
    rng = np.random.default_rng(137)

    def drawn(n, first, second):
        y = (rng.random(n) < 0.6).astype(int)
        return y, first(y, rng), second(y, rng)

    def logistic(strength):
        return lambda y, rng: 1 / (1 + np.exp(-strength * (y - 0.5) - rng.normal(size=len(y))))

    yield "better", drawn(300, logistic(0.5), logistic(1.5))
    yield "alike", drawn(200, logistic(1), logistic(1))
    yield "tied", drawn(250, lambda y, rng: np.round(logistic(1)(y, rng), 1), lambda y, rng: np.round(logistic(1)(y, rng), 1))
    yield "far apart", drawn(2000, logistic(0.1), logistic(3))
    yield "few", drawn(12, logistic(1), logistic(0))


def main():
    rng = np.random.default_rng(137)
    delong = []
    for name, (y, first, second) in cases():
        z, p, *_ = Delong_test(y, first, second)
        delong.append({
            "name": name, "y": y.tolist(), "first": first.tolist(), "second": second.tolist(),
            "z": abs(float(np.squeeze(z))), "p": float(np.squeeze(p)),
        })
    holm = []
    for n in [1, 2, 5, 20]:
        p = np.round(rng.random(n) ** 3, 6)
        p[-1] = p[0]
        holm.append({"p": p.tolist(), "adjusted": multipletests(p, method="holm")[1].tolist()})
    path = pathlib.Path(__file__).parent / "metrics" / "comparison.json"
    path.write_text(json.dumps({"delong": delong, "holm": holm}) + "\n")


if __name__ == "__main__":
    main()
