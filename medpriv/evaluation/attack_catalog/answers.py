"""What attackers learn about a view's answers before they read those about a victim."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medpriv import attacks
from medpriv.deployment import View

_LEAST = 1e-4  # what rounding alone may move a score by


def labels_of(answers: Tensor) -> Tensor:
    """Labels or scores ``(..., K)`` → labels, int64."""
    return answers if answers.dtype == torch.int64 else answers.argmax(-1)


def asked_twice(view: View, rows: Tensor | Sequence[str], classes: int) -> Tensor:
    """``(K, K)``: how likely each first answer (row) is, given a second one to the same question.

    What a posterior needs: how likely what was said about the patient is with each candidate, whose
    own answer is the second.
    """
    first, second = labels_of(view(rows)), labels_of(view(rows))
    return attacks.confusion(first, second, classes, normalise="prediction")


def tolerance(view: View, rows: Tensor | Sequence[str]) -> float:
    """How far two answers to one question lie apart in 95 of 100 cases: ``rows`` are asked twice.

    In units of a score.
    """
    apart = (view(rows) - view(rows)).abs().amax(1)
    return max(_LEAST, float(apart.quantile(0.95)))
