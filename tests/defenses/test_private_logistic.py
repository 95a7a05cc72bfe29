"""Private logistic regression against scikit-learn, its own sensitivity, and diffprivlib."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from medpriv.defenses.private_logistic import (
    _noise,
    fit_logistic,
    objective_perturbed,
    output_perturbed,
    unit_rows,
)
from medpriv.runtime.seeds import torch_rng


def rows(n: int = 400, d: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch_rng(seed, "rows")
    x = unit_rows(torch.randn(n, d, generator=draw, dtype=torch.float64))
    way = torch.linspace(-4, 4, d, dtype=torch.float64)
    y = (torch.rand(n, generator=draw, dtype=torch.float64) < (x @ way).sigmoid()).long()
    return x, y


@pytest.mark.parametrize("penalty", [1e-3, 1e-2, 1.0])
def test_without_noise_it_is_scikit_learns(penalty: float) -> None:
    x, y = rows()
    oracle = LogisticRegression(C=1 / (len(x) * penalty), fit_intercept=False, tol=1e-10)
    oracle.fit(x.numpy(), y.numpy())
    found = fit_logistic(x, y, penalty=penalty)
    assert found.weights.tolist() == pytest.approx(oracle.coef_[0].tolist(), abs=1e-4)
    assert found.scores(x).tolist() == pytest.approx(
        oracle.predict_proba(x.numpy())[:, 1].tolist(), abs=1e-4
    )


def test_one_row_moves_the_weights_by_no_more_than_is_proved() -> None:
    x, y = rows(60)
    penalty = 0.01
    best = fit_logistic(x, y, penalty=penalty).weights
    moves = []
    for row in range(60):
        changed, other = x.clone(), y.clone()
        changed[row], other[row] = x[row] / x[row].norm(), 1 - y[row]
        moves.append(float((fit_logistic(changed, other, penalty=penalty).weights - best).norm()))
    assert max(moves) <= 2 / (60 * penalty)
    assert max(moves) > 0.02 * 2 / (60 * penalty)


def test_the_noise_has_a_gamma_length_and_no_direction() -> None:
    noise = np.stack([_noise(4, 0.5, seed) for seed in range(3000)])
    lengths = np.linalg.norm(noise, axis=1)
    assert stats.kstest(lengths, stats.gamma(4, scale=0.5).cdf).pvalue > 1e-3
    assert abs((noise / lengths[:, None]).mean(0)).max() < 4 / np.sqrt(3000 * 4)


@pytest.mark.parametrize("train", [output_perturbed, objective_perturbed])
def test_noise_falls_with_epsilon_and_rows(train) -> None:
    def away(n: int, epsilon: float) -> float:
        x, y = rows(n)
        best = fit_logistic(x, y, penalty=0.01).weights
        found = [
            train(x, y, epsilon=epsilon, penalty=0.01, seed=seed).weights for seed in range(30)
        ]
        return float(torch.stack([(one - best).norm() for one in found]).mean())

    assert away(400, 0.5) > away(400, 2) > away(400, 20)
    assert away(200, 2) > away(1600, 2)


@pytest.fixture
def perturb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Diffprivlib's mechanism; its models, which it imports beside, want an old scikit-learn."""
    monkeypatch.setitem(sys.modules, "diffprivlib.models", ModuleType("diffprivlib.models"))
    return importlib.import_module("diffprivlib.mechanisms").Vector


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 5.0])
def test_the_objective_is_perturbed_as_by_diffprivlib(perturb: Any, epsilon: float) -> None:
    # Random weights of two implementations: their distances from the best ones, drawn 150 times
    # each, come from one distribution (Kolmogorov and Smirnov, wrong for one seed in 1,000).
    x, y = rows(300)
    n, penalty = len(x), 0.01
    signed = (2 * y - 1).numpy()[:, None] * x.numpy()

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signed @ w
        loss = np.logaddexp(0, -margins).mean() + penalty / 2 * w @ w
        return loss, penalty * w - (signed * expit(-margins)[:, None]).mean(0)

    best = fit_logistic(x, y, penalty=penalty).weights.numpy()
    ours, theirs = [], []
    for seed in range(150):
        model = objective_perturbed(x, y, epsilon=epsilon, penalty=penalty, seed=seed)
        ours.append(model.weights.numpy())
        mechanism = perturb(
            epsilon=epsilon, function_sensitivity=0.25, dimension=5, alpha=n * penalty, n=n,
            random_state=seed,
        )  # fmt: skip
        theirs.append(minimize(mechanism.randomise(objective), np.zeros(5), jac=True).x)
    lengths = [np.linalg.norm(np.stack(found) - best, axis=1) for found in (ours, theirs)]
    assert stats.ks_2samp(*lengths).pvalue > 1e-3


def test_a_seed_decides() -> None:
    x, y = rows()
    first, second, other = (
        objective_perturbed(x, y, epsilon=1, penalty=0.01, seed=seed).weights for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_rows_are_cut_by_their_own_length_alone() -> None:
    x = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert unit_rows(x).tolist() == [pytest.approx([0.6, 0.8]), pytest.approx([0.3, 0.4])]


def test_bad_input() -> None:
    x, y = rows(20)
    for call, message in (
        (lambda: fit_logistic(x, y[:3], penalty=1), "a label for each"),
        (lambda: fit_logistic(x, y + 1, penalty=1), "0 or 1"),
        (lambda: fit_logistic(x, y, penalty=0), "no proof holds"),
        (lambda: output_perturbed(x, y, epsilon=0, penalty=1), "epsilon must be above 0"),
        (lambda: objective_perturbed(2 + x, y, epsilon=1, penalty=1), "cut them with unit_rows"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
