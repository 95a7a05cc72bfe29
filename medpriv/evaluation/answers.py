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
    """``(K, K)``: how a second answer to the same question goes with the first."""
    return attacks.confusion(labels_of(view(rows)), labels_of(view(rows)), classes)


def tolerance(view: View, rows: Tensor | Sequence[str]) -> float:
    """How far two answers to one question lie apart in 95 of 100 cases: ``rows`` are asked twice.

    In units of a score.
    """
    apart = (view(rows) - view(rows)).abs().amax(1)
    return max(_LEAST, float(apart.quantile(0.95)))
