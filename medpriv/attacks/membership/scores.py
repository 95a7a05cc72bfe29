"""What a model's scores say of a row: its loss, its margin, and Yeom's threshold on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from medpriv.data.cohort import class_numbers
from medpriv.deployment import View

LEAST = 1e-45  # a softmax in float32 may end at 0


def true_margin(scores: Tensor, y: Tensor) -> Tensor:
    """Phi = log p_y - log sum of the other p_c: ``(n, K)`` scores, ``(n,)`` labels → ``(n,)``.

    Float64, finite. Of logits' softmax this is exact also where p_y rounds to 1, since the others
    are added up instead of being subtracted from 1 (Carlini et al. 2022, section VI-A).

    Raises:
        ValueError: the scores are no ``(n, K)`` with K of 2 or more, or lengths differ.
    """
    y = _labels(scores, y)
    scores = scores.double()
    own = scores.gather(1, y[:, None])[:, 0]
    others = scores.scatter(1, y[:, None], 0.0).sum(1)
    return own.clamp(min=LEAST).log() - others.clamp(min=LEAST).log()


def losses(scores: Tensor, y: Tensor) -> Tensor:
    """The cross-entropy of each row, in nats: ``(n, K)`` scores, ``(n,)`` labels → ``(n,)``.

    Where p_y rounds to 1 it is what the other scores leave, so that sure answers do not all tie.

    Raises:
        ValueError: as for :func:`true_margin`.
    """
    y = _labels(scores, y)
    scores = scores.double()
    own = scores.gather(1, y[:, None])[:, 0]
    others = scores.scatter(1, y[:, None], 0.0).sum(1)
    return torch.where(own == 1, others.log1p(), -own.clamp(min=LEAST).log())


def _labels(scores: Tensor, y: Tensor) -> Tensor:
    y = class_numbers(y)
    fits = scores.ndim == 2 and scores.shape[1] >= 2 and y.shape == scores.shape[:1]
    if not fits or (len(y) and not 0 <= int(y.min()) <= int(y.max()) < scores.shape[1]):
        raise ValueError(
            f"expected scores (n, K) of 2 or more classes and n labels from 0 to K - 1, got "
            f"{tuple(scores.shape)} and {tuple(y.shape)}"
        )
    return y


def best_threshold(scores: np.ndarray, member: np.ndarray) -> float:
    """Where to cut a score so that members and others are told apart best on these rows.

    Args:
        scores: ``(n,)``, of rows whose membership the attacker knows: of his shadow models.
        member: ``(n,)`` bool.

    Returns:
        The threshold of largest advantage; whoever scores above it is called a member.

    Raises:
        ValueError: lengths differ, or members or others are missing.
    """
    scores, member = np.asarray(scores, dtype=float), np.asarray(member, dtype=bool)
    if scores.shape != member.shape or member.all() or not member.any():
        raise ValueError("expected scores of members and of others; one of them is missing")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN, so that it has no rank; look at the model")
    order = np.argsort(-scores, kind="stable")
    gain = np.cumsum(np.where(member[order], 1 / member.sum(), -1 / (~member).sum()))
    last = np.concatenate([np.diff(-scores[order]) > 0, [True]])  # ties fall on one side
    place = int(np.where(last, gain, -np.inf).argmax())
    if place + 1 == len(scores):
        return -np.inf
    return float(scores[order][place : place + 2].mean())


def loss_attack(view: View, x: Tensor | Sequence[str], y: Tensor) -> Tensor:
    """Yeom's score: the negative loss of each row, ``(n,)`` float64; a query a row.

    Raises:
        ThreatModelError: the view gives no scores.
    """
    view.require("scores", "the loss threshold")
    return -losses(view(x), y)


def middle_threshold(others: np.ndarray) -> float:
    """Where to cut a score so that as nearly half of the others as can be are called members.

    An attacker who knows no member can choose the rate of false alarms, and no more. Where many
    score alike, as by a label, half cannot be had: they are called members together, or none of
    them is. By a label alone whoever is classified rightly is then called a member, which has the
    difference of the two accuracies for its advantage (Yeom et al. 2018, section 3.2).

    Args:
        others: ``(m,)`` scores of rows who are no members.

    Returns:
        The threshold; whoever scores above it is called a member.

    Raises:
        ValueError: no score, or one that is NaN.
    """
    others = np.asarray(others, dtype=float)
    if others.ndim != 1 or not len(others) or np.isnan(others).any():
        raise ValueError("expected a score of each of some others, none of them NaN")
    middle = np.sort(others)[(len(others) - 1) // 2]
    above, with_ties = (others > middle).sum(), (others >= middle).sum()
    if abs(2 * above - len(others)) <= abs(2 * with_ties - len(others)):
        return float(middle)
    return float(np.nextafter(middle, -np.inf))
