"""A logistic regression trained with DP-SGD before the eyes of somebody who knows all other rows.

He sees the model after each step, and knows who else was in it. So of each step he has the sum of
the gradients without theirs: the clipped gradient of the row, if it was drawn, and noise. That is
all that the proof grants (:mod:`medpriv.bounds.dp_sgd`), and many trainings are computed at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Trainings, steps, the chance of a row to be in one, and the learning rate.
TRAININGS, STEPS, RATE, SLOPE = 1_000, 20, 0.2, 0.5
Floats = NDArray[np.float64]


def trained(
    x: Floats,
    y: NDArray[np.int64],
    rows: Floats,
    labels: NDArray[np.int64],
    noise: float,
    draws: np.random.Generator,
    *,
    absent: bool = False,
    products: bool = False,
) -> tuple[Floats, NDArray[np.int64]]:
    """Train 1,000 times, with one of the rows each: the score of each row, and which it was.

    Args:
        x: ``(m, d)``, the other rows, which are known; as ``rows``, they need a column of 1.
        y: ``(m,)``, their classes, from 0 on.
        rows: ``(N, d)``, the candidates.
        labels: ``(N,)``, their classes.
        noise: multiplier, in units of the clipping length, which is 1.
        draws: of all that is drawn.
        absent: whether the one row that there is then is in half of the trainings; the first score
            is that of its absence.
        products: whether the score is the sum of the products of what is seen and the candidate's
            gradient (Hayes et al. 2023), in the place of the logarithm of the likelihood.
    """
    classes = int(y.max()) + 1
    who = draws.integers(2 if absent else len(rows), size=TRAININGS)
    there = who.astype(bool) if absent else np.ones(TRAININGS, bool)
    own = np.zeros(TRAININGS, int) if absent else who
    weights = np.zeros((TRAININGS, x.shape[1], classes))
    score = np.zeros((TRAININGS, len(rows)))
    one = np.eye(classes)
    for _ in range(STEPS):
        far, of_others = _pulled(x, one[y], weights)
        drawn = draws.random((TRAININGS, len(x))) < RATE
        known = np.einsum("md,nmk->ndk", x, of_others * (drawn * far)[..., None])
        shrink, of_rows = _pulled(rows, one[labels], weights)
        of_rows = of_rows * shrink[..., None]
        member = there & (draws.random(TRAININGS) < RATE)
        mine = of_rows[np.arange(TRAININGS), own] * member[:, None]
        seen = rows[own][:, :, None] * mine[:, None, :]
        seen = seen + noise * draws.standard_normal(seen.shape)
        # <what is seen, a row's clipped gradient>, and the square of that gradient's length.
        product = np.einsum("jd,ndk,njk->nj", rows, seen, of_rows, optimize=True)
        square = (of_rows**2).sum(2) * (rows**2).sum(1)
        if products:
            score += product
        else:
            ratio = (product - square / 2) / noise**2
            score += np.logaddexp(np.log1p(-RATE), np.log(RATE) + ratio)
        weights -= SLOPE / (RATE * len(x)) * (known + seen)
    return (np.hstack([np.zeros_like(score), score]) if absent else score), who


def _pulled(x: Floats, targets: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """How much each row's gradient is shrunk to length 1, and its part that is not the row."""
    logits = np.einsum("md,ndk->nmk", x, weights, optimize=True)
    told = np.exp(logits - logits.max(2, keepdims=True))
    error = told / told.sum(2, keepdims=True) - targets
    length = np.sqrt((error**2).sum(2) * (x**2).sum(1))
    return 1 / np.maximum(length, 1), error
