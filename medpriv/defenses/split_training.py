"""What trainings at a split share: two halves side by side, and how to begin and go on."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from medpriv.data.cohort import Cohort
from medpriv.models.reports import ReportClassifier
from medpriv.models.targets import build_target
from medpriv.runtime.profile import FURTHER_STEPS
from medpriv.training.loop import Recipe


class Halves(nn.Module):
    """Inputs → the logits and the flattened features before them, ``(n, K + d)``.

    Args:
        front: f1, inputs to features.
        back: f2, features to logits ``(n, classes)``.
        classes: K.
    """

    def __init__(self, front: nn.Module, back: nn.Module, classes: int) -> None:
        super().__init__()
        self.front, self.back, self.classes = front, back, classes

    def forward(self, x: Tensor) -> Tensor:
        """``(n, ...)`` inputs → ``(n, K + d)``; see :meth:`parts`."""
        features = self.front(x)
        self.shape = features.shape[1:]
        return torch.cat([self.back(features), features.flatten(1)], dim=1)

    def parts(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """What ``forward`` put side by side: logits ``(n, K)`` and features ``(n, ...)``."""
        return output[:, : self.classes], output[:, self.classes :].unflatten(1, self.shape)


def check_weight(weight: float, what: str) -> None:
    """Pass if a weight is 0 or more, else raise ``ValueError``."""
    if not weight >= 0:
        raise ValueError(f"the weight of {what} is 0 or more, got {weight}")


def further_recipe(profile: str, rows: int, *, steps: int | None = None) -> Recipe:
    """How to train on a model that is trained already; the number of steps is the profile's alone.

    Args:
        profile: sets the number of steps.
        rows: how many are trained on.
        steps: instead of the profile's.
    """
    usual = FURTHER_STEPS.of(profile)
    return Recipe.of_steps(usual if steps is None else steps, rows, weight_decay=1e-2)


def start_from(cohort: Cohort, model: nn.Module | None, seed: int) -> nn.Module:
    """A copy of the model to train, or the cohort's own untrained one.

    Raises:
        ValueError: it reads texts, and so has no front that could be trained.
    """
    net = build_target(cohort, seed=seed) if model is None else copy.deepcopy(model)
    if isinstance(net, ReportClassifier):
        raise ValueError(
            "the encoder of a ReportClassifier stays as it is and cannot be trained at a split; "
            "use train_adapter, which defends its embedding"
        )
    return net
