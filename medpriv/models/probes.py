"""Linear probes: a logistic regression from rows of numbers to each of several facts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.statistics import resampled_auc

#: Of the course's own encoder, whose reports chose it.
FACT_PENALTY = 100.0
PENALTIES = (0.1, 1.0, 10.0, FACT_PENALTY, 1000.0)
_FOLDS = 4
_CLEARLY = 0.01  # of AUC, by which another penalty has to be better: less comes by luck
_LEAST_SPREAD = 0.01  # of the median one
_STEPS, _TRIED = 200, 50  # of L-BFGS, and where penalties are compared; the loss is convex


@dataclass(frozen=True)
class LinearProbes:
    """Rows of numbers → how likely each of several facts is; made by :func:`.fit_probes`.

    Attributes:
        weights: ``(d, F)`` float64, on standardised inputs.
        bias: ``(F,)`` float64.
        penalty: how strongly large weights were punished.
    """

    weights: Tensor
    bias: Tensor
    penalty: float
    _mean: Tensor
    _spread: Tensor

    def guess(self, inputs: Tensor) -> Tensor:
        """``(n, d)`` → ``(n, F)`` float64 in [0, 1], each fact on its own."""
        scaled = (inputs.double() - self._mean) / self._spread
        return torch.sigmoid(scaled @ self.weights + self.bias)


def fit_probes(
    inputs: Tensor,
    facts: Tensor,
    *,
    penalty: float | None = None,
    patient: np.ndarray | None = None,
    without_self: bool = False,
) -> LinearProbes:
    """Fit a logistic regression for each fact, all of them at once.

    Args:
        inputs: ``(m, d)``.
        facts: ``(m, F)`` bool.
        penalty: half of it is what a squared weight costs, beside the summed cross-entropy;
            without it, 100, or whichever of 0.1, 1, 10 and 1,000 ranks the rows that were left out
            best in four folds of patients, where it does so clearly better: by 0.01 of AUC, the
            mean over facts.
        patient: ``(m,)`` of whom each row is; without it each is of another.
        without_self: the first F inputs are the facts, and each is told from the others.

    Raises:
        ValueError: there are fewer rows than folds, numbers that are not finite, facts that are
            not 0 and 1, or not one patient for each row.
    """
    x, y = inputs.double(), facts.double()
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < _FOLDS:
        raise ValueError(
            f"expected rows (m, d) and facts (m, F) of at least {_FOLDS} patients, got "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not bool(x.isfinite().all()):
        raise ValueError("an input is not finite; look at what the view answers")
    if not bool(((y == 0) | (y == 1)).all()):
        raise ValueError("a fact is there or not: expected bool, or 0 and 1")
    whose = np.arange(len(x)) if patient is None else np.asarray(patient)
    if whose.shape != (len(x),) or pd.isna(whose).any():
        raise ValueError(
            f"expected for each of {len(x)} rows whose it is, got shape {whose.shape} with "
            f"{np.sum(pd.isna(whose))} missing"
        )
    if penalty is None:
        penalty = _chosen(x, y, whose, without_self)
    return _fit(x, y, penalty, without_self, _STEPS)


def _chosen(x: Tensor, y: Tensor, patient: np.ndarray, without_self: bool) -> float:
    """The penalty by which rows of left-out patients are ranked best, if it is clearly better."""
    names, number = np.unique(patient, return_inverse=True)
    if len(names) < _FOLDS:
        return FACT_PENALTY
    fold = torch.from_numpy(number % _FOLDS)
    found = {one: _held_out(x, y, fold, one, without_self) for one in PENALTIES}
    best = max(found, key=lambda one: found[one])
    return best if found[best] > found[FACT_PENALTY] + _CLEARLY else FACT_PENALTY


def _held_out(x: Tensor, y: Tensor, fold: Tensor, penalty: float, without_self: bool) -> float:
    """AUC on the folds that were left out, the mean over facts; NaN where none can be ranked.

    Pairs of a fold are ranked, and none of two: each fold's probe has a bias of its own.
    """
    right, pairs = np.zeros(y.shape[1]), np.zeros(y.shape[1])
    for number in range(_FOLDS):
        kept, out = fold != number, fold == number
        guess = _fit(x[kept], y[kept], penalty, without_self, _TRIED).guess(x[out]).numpy()
        for fact, case in enumerate(y[out].bool().numpy().T):
            of_both = case.sum() * (~case).sum()
            if of_both:
                once = np.ones((1, len(case)), dtype=int)
                right[fact] += of_both * resampled_auc(case, guess[:, fact], once)[0]
                pairs[fact] += of_both
    there = pairs > 0
    return float((right[there] / pairs[there]).mean()) if there.any() else float("nan")


def _fit(x: Tensor, y: Tensor, penalty: float, without_self: bool, steps: int) -> LinearProbes:
    mean, spread = x.mean(0), x.std(0, correction=0)
    # A number that hardly moves would be blown up, and with it any noise that comes on top.
    spread = spread.clamp(min=max(_LEAST_SPREAD * float(spread.median()), 1e-9))
    weights, bias = _minimise((x - mean) / spread, y, penalty, without_self, steps)
    return LinearProbes(weights, bias, penalty, mean, spread)


def _minimise(
    x: Tensor, y: Tensor, penalty: float, without_self: bool, steps: int
) -> tuple[Tensor, Tensor]:
    """All facts at once: summed cross-entropy plus half the penalty times the squared weights."""
    weights = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.logit((y.sum(0) + 1) / (len(y) + 2)).requires_grad_()
    # Of a fact that nobody has, or everybody, nothing can be learned but how common it is.
    varies = (y.amin(0) < y.amax(0)).double()
    used = varies * (
        1 - torch.eye(x.shape[1], y.shape[1], dtype=torch.float64) if without_self else 1.0
    )
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=steps, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = x @ (weights * used) + bias
        each = F.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(0)
        total = (each * varies).sum() + penalty / 2 * weights.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return (weights * used).detach(), bias.detach()
