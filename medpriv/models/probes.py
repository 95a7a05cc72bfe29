"""Linear probes: a logistic regression from rows of numbers to each of several facts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

#: What four folds of 600 made-up reports chose.
FACT_PENALTY = 100.0
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
_FOLDS = 4
_LEAST_SPREAD = 0.01  # of the median one
_STEPS = 200  # of L-BFGS; the loss is convex, and it stops long before


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
    inputs: Tensor, facts: Tensor, *, penalty: float | None = None, without_self: bool = False
) -> LinearProbes:
    """Fit a logistic regression for each fact, all of them at once.

    Args:
        inputs: ``(m, d)``.
        facts: ``(m, F)`` bool.
        penalty: half of it is what a squared weight costs, beside the summed cross-entropy;
            without it, whichever of 1, 10, 100 and 1,000 does best in four folds of the rows.
        without_self: the first F inputs are the facts, and each is told from the others.

    Raises:
        ValueError: there are fewer rows than folds, or numbers that are not finite.
    """
    x, y = inputs.double(), facts.double()
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < _FOLDS:
        raise ValueError(
            f"expected rows (m, d) and facts (m, F) of at least {_FOLDS} patients, got "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not bool(x.isfinite().all()):
        raise ValueError("an input is not finite; look at what the view answers")
    if penalty is None:
        penalty = min(PENALTIES, key=lambda one: _held_out(x, y, one, without_self))
    mean, spread = x.mean(0), x.std(0, correction=0)
    # A number that hardly moves would be blown up, and with it any noise that comes on top.
    spread = spread.clamp(min=max(_LEAST_SPREAD * float(spread.median()), 1e-9))
    weights, bias = _minimise((x - mean) / spread, y, penalty, without_self)
    return LinearProbes(weights, bias, penalty, mean, spread)


def _held_out(x: Tensor, y: Tensor, penalty: float, without_self: bool) -> float:
    """Mean loss on the fold that was left out; rows go to folds by turns."""
    fold, losses = torch.arange(len(x)) % _FOLDS, []
    for number in range(_FOLDS):
        kept, out = fold != number, fold == number
        reader = fit_probes(x[kept], y[kept], penalty=penalty, without_self=without_self)
        guess = reader.guess(x[out]).clamp(1e-12, 1 - 1e-12)
        losses.append(float(F.binary_cross_entropy(guess, y[out])))
    return sum(losses) / _FOLDS


def _minimise(x: Tensor, y: Tensor, penalty: float, without_self: bool) -> tuple[Tensor, Tensor]:
    """All facts at once: summed cross-entropy plus half the penalty times the squared weights."""
    weights = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.logit((y.sum(0) + 1) / (len(y) + 2)).requires_grad_()
    # Of a fact that nobody has, or everybody, nothing can be learned but how common it is.
    varies = (y.amin(0) < y.amax(0)).double()
    used = varies * (
        1 - torch.eye(x.shape[1], y.shape[1], dtype=torch.float64) if without_self else 1.0
    )
    optimizer = torch.optim.LBFGS(
        [weights, bias], max_iter=_STEPS, history_size=20, line_search_fn="strong_wolfe"
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
