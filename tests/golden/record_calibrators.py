"""Records what public libraries fit to made-up confidences: tests/golden/calibrators/expected.json.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 betacal==1.1.0
    python tests/golden/record_calibrators.py

Platt is what CalibratedClassifierCV(method="sigmoid") fits, isotonic IsotonicRegression. Beta is recorded twice: as
betacal fits it, whose solver stops at 1e-4, and by its own steps with a solver that goes on to the end. Temperature is
SciPy's bounded minimum of the negative log-likelihood. What is recorded are P(correct) of the rows, then of a grid.
"""

import json
import pathlib
import warnings

import numpy as np
from betacal import BetaCalibration
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
GRID = np.linspace(0.01, 0.99, 25)
EPS = np.finfo(np.float64).eps


def inputs():
    rng = np.random.default_rng(137)

    def drawn(p, chance):
        return p, (rng.random(len(p)) < chance(p)).astype(int)

    yield "overconfident", *drawn(rng.beta(1, 1, 400), lambda p: 0.3 + 0.4 * p)
    yield "underconfident", *drawn(0.4 + 0.2 * rng.random(400), lambda p: 5 * p - 2)
    yield "calibrated", *drawn(rng.random(1000), lambda p: p)
    yield "skewed", *drawn(rng.beta(5, 1, 300), lambda p: p**4)
    yield "tied", *drawn(rng.integers(1, 20, 400) / 20, lambda p: p**2)
    yield "extreme", *drawn(expit(8 * rng.standard_normal(300)), lambda p: 0.2 + 0.6 * p)
    yield "ten-rows", *drawn(rng.random(10), lambda p: p)


def beta_exact(p, y, grid):
    def features(x):
        x = np.clip(x, EPS, 1 - EPS)
        return np.stack([np.log(x), -np.log(1 - x)], 1)

    def fit(columns):
        lr = LogisticRegression(C=99999999999, solver="newton-cholesky", tol=1e-14, max_iter=1000)
        return lr.fit(features(p)[:, columns], y), columns

    lr, columns = fit([0, 1])
    if lr.coef_[0][0] < 0:
        lr, columns = fit([1])
    elif lr.coef_[0][1] < 0:
        lr, columns = fit([0])
    return lr.predict_proba(features(grid)[:, columns])[:, 1]


def temperature(p, y):
    z = logit(p)
    nll = lambda log_t: np.mean(np.logaddexp(0, (1 - 2 * y) * z / np.exp(log_t)))
    found = minimize_scalar(nll, bounds=(np.log(0.01), np.log(100)), method="bounded", options={"xatol": 1e-12})
    return float(np.exp(found.x))


def short(values):
    """What is compared to 1e-6 takes no 17 digits."""
    return [round(float(value), 10) for value in values]


def main():
    cases = []
    for name, p, y in inputs():
        z = np.clip(logit(p), logit(EPS), -logit(EPS))
        platt = _SigmoidCalibration().fit(z, y)
        isotonic = IsotonicRegression(out_of_bounds="clip").fit(p, y)
        at = np.concatenate([p, GRID])
        z_at = np.clip(logit(at), logit(EPS), -logit(EPS))
        cases.append({
            "name": name,
            "confidences": p.tolist(),
            "labels": y.tolist(),
            "temperature": temperature(p, y),
            "platt": short(platt.predict(z_at)),
            "isotonic": short(isotonic.predict(at)),
            "beta": short(beta_exact(p, y, at)),
            "betacal": short(BetaCalibration("abm").fit(p.reshape(-1, 1), y).predict(GRID)),
        })
    path = pathlib.Path(__file__).parent / "calibrators" / "expected.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({"grid": GRID.tolist(), "cases": cases}, separators=(",", ":"))
    path.write_text(text + "\n")


main()
