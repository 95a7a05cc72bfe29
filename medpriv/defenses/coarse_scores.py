"""Sharing less of the scores: fewer digits, fewer classes, flatter ones, or the label alone.

None of these proves anything; they are what an interface would do anyway. Fredrikson et al. 2015
(CCS, section 5) rounded scores, Shokri et al. 2017 (S&P) cut them to the top k and flattened them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.defenses.answers import Change, on_answers
from medpriv.deployment import ViewDefense
from medpriv.runtime.arguments import require_integer


def fewer_digits(digits: int) -> ViewDefense:
    """Scores rounded to so many decimals; a row then need not sum to 1.

    Raises:
        ValueError: not 0 to 15 digits.
    """
    require_integer("digits", digits, 0, 15)
    return _on_scores(f"{digits} digits", lambda scores: scores.round(decimals=digits))


def top_scores(number: int) -> ViewDefense:
    """Only the largest scores of a row are told, the others are 0.

    Raises:
        ValueError: fewer than one.
    """
    require_integer("number", number, 1)

    def change(scores: Tensor) -> Tensor:
        kept = scores.topk(min(number, scores.shape[1]), dim=1)
        return torch.zeros_like(scores).scatter(1, kept.indices, kept.values)

    return _on_scores(f"top {number}", change)


def label_alone() -> ViewDefense:
    """1 for the likeliest class and 0 for the others: a label in the shape of scores."""
    return _on_scores(
        "label alone",
        lambda scores: F.one_hot(scores.argmax(1), scores.shape[1]).to(scores.dtype),
    )


def tempered(temperature: float) -> ViewDefense:
    """Scores of logits divided by a temperature: above 1 flatter, below 1 sharper.

    The order of the classes stays, and with it each label. The change can be undone by whoever
    knows the temperature, but for rounding.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, got {temperature}")
    return _on_scores(
        f"temperature {temperature:g}",
        # Logarithms of scores are logits up to a constant, to which softmax is blind.
        lambda scores: (scores.clamp(min=1e-45).log() / temperature).softmax(1),
    )


def _on_scores(name: str, change: Change) -> ViewDefense:
    def fits(scores: Tensor) -> bool:
        floats = scores.ndim == 2 and scores.is_floating_point()
        return floats and not bool(((scores < 0) | (scores > 1)).any())

    what = "scores (n, classes) from 0 to 1"
    return on_answers(name, lambda: change, fits, what, "expose='scores'")


@dataclass(frozen=True)
class Smoothed:
    """Cross-entropy against labels of which a share is spread over all classes.

    (1 - a) [true class] + a / K [each class]. A positive share (Szegedy et al. 2016) makes a model
    less sure; a negative one (Wei et al. 2022, ICML) surer. Struppek et al. 2024 (ICLR) found
    that positive smoothing helps model inversion and negative smoothing hinders it.

    Attributes:
        share: a, below 1.
    """

    share: float

    def __post_init__(self) -> None:
        if not self.share < 1:
            raise ValueError(f"a share is below 1, got {self.share}")

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``(n, K)`` logits and ``(n,)`` int64 labels → the mean loss, in nats."""
        logs = logits.log_softmax(1)
        own = logs.gather(1, labels[:, None]).mean()
        return -((1 - self.share) * own + self.share * logs.mean())
