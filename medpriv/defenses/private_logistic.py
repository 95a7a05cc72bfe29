"""Private logistic regression: noise on the result, or on what is minimised.

Chaudhuri, Monteleoni & Sarwate 2011 (JMLR 12:1069), algorithms 1 and 2. With rows of length 1 at
most, a penalty and n rows, one row can move the best weights by no more than 2 / (n penalty); so a
proof exists, which plain noise on a deep network's weights does not have. It needs a convex loss.

Neighbours differ by one row that is exchanged for another.

Minimised is ``(1/n) sum of log(1 + exp(-y w.x)) + penalty / 2 |w|^2``, with labels y of -1 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from medpriv.runtime.seeds import rng

_CURVATURE = 0.25  # the largest second derivative of the logistic loss


@dataclass(frozen=True)
class LogisticModel:
    """Weights of a logistic regression through the origin.

    Attributes:
        weights: ``(d,)`` float64.
    """

    weights: Tensor

    def scores(self, x: Tensor) -> Tensor:
        """``(n, d)`` → ``(n,)`` float64, the probability of class 1."""
        return (x.double() @ self.weights).sigmoid()


def unit_rows(x: Tensor) -> Tensor:
    """Rows longer than 1 cut to that length: ``(n, d)`` → the same, float64.

    Each row is cut by its own length alone, so that nobody else's row changes with it.
    """
    x = x.double()
    return x / x.norm(dim=1, keepdim=True).clamp(min=1.0)


def fit_logistic(x: Tensor, y: Tensor, *, penalty: float) -> LogisticModel:
    """The regression without any noise.

    Args:
        x: ``(n, d)``; a constant column stands for an intercept.
        y: ``(n,)`` int64, 0 or 1.
        penalty: above 0.

    Raises:
        ValueError: lengths differ, y is not 0 or 1, or the penalty is not above 0.
    """
    return _minimised(*_checked(x, y, penalty), penalty, np.zeros(x.shape[1]))


def output_perturbed(
    x: Tensor, y: Tensor, *, epsilon: float, penalty: float, seed: int = 0
) -> LogisticModel:
    """Algorithm 1: the best weights plus noise; epsilon-private for each row.

    The noise has a uniform direction and a length drawn from Gamma(d, 2 / (n penalty epsilon)).

    Args:
        x: ``(n, d)``, rows of length 1 at most: see :func:`unit_rows`.
        y: ``(n,)`` int64, 0 or 1.
        epsilon: above 0.
        penalty: above 0; not chosen by looking at the rows.
        seed: decides the noise. A course repeats its runs; a model in service must not.

    Raises:
        ValueError: a row is longer, epsilon is not above 0, or as for :func:`fit_logistic`.
    """
    rows, labels = _checked(x, y, penalty)
    _check_private(rows, epsilon)
    n, d = rows.shape
    best = _minimised(rows, labels, penalty, np.zeros(d))
    noise = _noise(d, 2 / (n * penalty * epsilon), seed)
    return LogisticModel(best.weights + torch.from_numpy(noise))


def objective_perturbed(
    x: Tensor, y: Tensor, *, epsilon: float, penalty: float, seed: int = 0
) -> LogisticModel:
    """Algorithm 2: a random linear term is minimised along; epsilon-private for each row.

    Part of epsilon pays for the curvature of the loss; where it does not suffice, the penalty is
    raised. At the same epsilon it usually costs less accuracy than :func:`output_perturbed`.

    Arguments and errors as for :func:`output_perturbed`.
    """
    rows, labels = _checked(x, y, penalty)
    _check_private(rows, epsilon)
    n, d = rows.shape
    left = epsilon - 2 * math.log1p(_CURVATURE / (n * penalty))
    if left <= 0:
        # In the paper the difference is added as a penalty of its own.
        penalty = max(penalty, _CURVATURE / (n * math.expm1(epsilon / 4)))
        left = epsilon / 2
    return _minimised(rows, labels, penalty, _noise(d, 2 / left, seed) / n)


def _minimised(
    rows: np.ndarray, labels: np.ndarray, penalty: float, slope: np.ndarray
) -> LogisticModel:
    """The weights that minimise the loss, the penalty and ``slope.w``."""
    from scipy.optimize import minimize

    def value(w: np.ndarray) -> tuple[float, np.ndarray]:
        margins = labels * (rows @ w)
        loss = np.logaddexp(0, -margins).mean() + penalty / 2 * w @ w + slope @ w
        pull = -(rows * (labels * expit(-margins))[:, None]).mean(0)
        return loss, pull + penalty * w + slope

    start = np.zeros(rows.shape[1])
    found = minimize(
        value, start, jac=True, method="L-BFGS-B",
        options={"maxiter": 10_000, "ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    return LogisticModel(torch.from_numpy(found.x))


def _noise(dimensions: int, scale: float, seed: int) -> np.ndarray:
    """Density falling with exp(-length / scale): a Gamma length, a uniform direction."""
    draw = rng(seed, "convex noise")
    direction = draw.normal(size=dimensions)
    return draw.gamma(dimensions, scale) * direction / np.linalg.norm(direction)


def _checked(x: Tensor, y: Tensor, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    if x.ndim != 2 or y.shape != x.shape[:1] or not len(x):
        raise ValueError(
            f"expected rows (n, d) and a label for each of at least one, got {tuple(x.shape)} and "
            f"{tuple(y.shape)}"
        )
    if not bool(((y == 0) | (y == 1)).all()):
        raise ValueError("labels must be 0 or 1: this is a regression of two classes")
    if not penalty > 0:
        raise ValueError(f"the penalty must be above 0, without it no proof holds; got {penalty}")
    return x.double().cpu().numpy(), 2.0 * y.double().cpu().numpy() - 1


def _check_private(rows: np.ndarray, epsilon: float) -> None:
    if not epsilon > 0:
        raise ValueError(f"epsilon must be above 0, got {epsilon}")
    longest = np.linalg.norm(rows, axis=1).max()
    if not longest <= 1 + 1e-9:
        raise ValueError(
            f"a row has length {longest:.3g}, and the proof holds for rows of length 1 at most; "
            "cut them with unit_rows"
        )
