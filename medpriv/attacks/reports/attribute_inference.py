"""What an embedding tells: sensitive facts and keywords, read by a linear probe for each.

The attacker owns reports of other patients and can have them embedded, so he sees which numbers go
with which fact. For each fact (HIV, pregnancy, a MeSH finding, a keyword) he fits a logistic
regression from embedding to fact, all of them at once: Song & Raghunathan 2020 (CCS, arXiv
2004.00053) call the many-label form attribute inference on embeddings, Pan et al. 2020 (IEEE S&P)
train one classifier a keyword. Without an embedding, prevalence is the baseline, and what other
facts of the same patient say: findings go together.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

PENALTIES = (1.0, 10.0, 100.0, 1000.0)
_FOLDS = 4
_LEAST_SPREAD = 0.01  # of the median one
_STEPS = 200  # of L-BFGS; the loss is convex, and it stops long before


@dataclass(frozen=True)
class FactReader:
    """Rows of numbers → how likely each fact is; made by :func:`.fit_fact_reader`.

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


def fit_cooccurrence(
    facts: Tensor, also: Tensor | None = None, *, penalty: float | None = None
) -> FactReader:
    """The other baseline: each fact from all *other* facts of the same patient.

    Give its ``guess`` the victims' facts as numbers, and what else is known after them;
    the entry that is guessed is not used.

    Args:
        facts: ``(m, F)`` bool, of the attacker's own patients.
        also: ``(m, d)``, what else is known of them, such as age and sex.
        penalty: see :func:`.fit_fact_reader`.

    Raises:
        ValueError: as for :func:`.fit_fact_reader`.
    """
    inputs = facts.double() if also is None else torch.cat([facts.double(), also.double()], dim=1)
    return _fit(inputs, facts, penalty, without_self=True)


def fit_fact_reader(seen: Tensor, facts: Tensor, *, penalty: float | None = None) -> FactReader:
    """Learn to read facts from what a service answered about the attacker's own reports.

    Args:
        seen: ``(m, d)``, its answers about m reports of his own, such as ``view(own.x)``: an
            embedding, or whatever is left of one. Each report cost a query.
        facts: ``(m, F)`` bool, the facts of these reports.
        penalty: half of it is what a squared weight costs, beside the summed cross-entropy;
            without it, whichever of 1, 10, 100 and 1,000 does best in four folds of these reports.

    Returns:
        A :class:`.FactReader` of such answers.

    Raises:
        ValueError: there are fewer rows than folds, or numbers that are not finite.
    """
    return _fit(seen, facts, penalty)


def _fit(
    inputs: Tensor, facts: Tensor, penalty: float | None, *, without_self: bool = False
) -> FactReader:
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
    return FactReader(weights, bias, penalty, mean, spread)


def _held_out(x: Tensor, y: Tensor, penalty: float, without_self: bool) -> float:
    """Mean loss on the fold that was left out; rows go to folds by turns."""
    fold, losses = torch.arange(len(x)) % _FOLDS, []
    for number in range(_FOLDS):
        kept, out = fold != number, fold == number
        reader = _fit(x[kept], y[kept], penalty, without_self=without_self)
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
