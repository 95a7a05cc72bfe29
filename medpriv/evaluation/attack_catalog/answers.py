"""What attackers learn about answers before those about a victim, and how a guess is scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from medpriv import attacks, metrics
from medpriv.attacks.records.candidate_values import labels_of
from medpriv.deployment import View
from medpriv.statistics import Estimate

_LEAST = 1e-4  # what rounding alone may move a score by


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


def mcc(posterior: Tensor, truth: Tensor, patient: Sequence[str] | np.ndarray) -> Estimate:
    """Matthews' correlation of the likeliest of V candidates with the true ones.

    Args:
        posterior: ``(n, V)``, the larger the likelier.
        truth: ``(n,)`` int64.
        patient: ``(n,)`` of whom each row is.
    """
    guess, classes = posterior.argmax(1).numpy(), posterior.shape[1]
    return metrics.attribute_scores(truth.numpy(), guess, patient, classes).mcc
