"""The defenses that train a target anew, as recipes: from a case and a strength to a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from medpriv import defenses
from medpriv.evaluation.attacks import Case
from medpriv.evaluation.targets import plain_target, untrained
from medpriv.runtime.profile import PRIVATE_EPOCHS_COMPARED


def with_private_labels(case: Case, flips: float) -> nn.Module:
    """Label DP: labels flipped before training, and a loss that knows of it."""
    if not flips:
        return plain_target(case)
    cohort = defenses.private_labels(case.cohort, flips, seed=case.seed)
    loss = defenses.ForwardCorrected(flips, len(cohort.classes))
    return plain_target(replace(case, cohort=cohort), loss=loss)


def with_smoothed_labels(case: Case, share: float) -> nn.Module:
    """Label smoothing, of either sign."""
    return plain_target(case, loss=defenses.Smoothed(share) if share else None)


def with_dp_sgd(case: Case, epsilon: float) -> nn.Module:
    """DP-SGD at epsilon."""
    how = defenses.Privately(epsilon, epochs=PRIVATE_EPOCHS_COMPARED.of(case.profile))
    return defenses.train_privately(
        case.cohort, how, seed=case.seed, device=case.device, model=untrained(case)
    ).model


def with_no_peek(case: Case, weight: float, *, split: str = "conv4") -> nn.Module:
    """The CNN trained on, so that its features at one layer depend less on the image."""
    return defenses.train_no_peek(case.cohort, split, weight, **_trained_on(case))


def with_opponent(case: Case, weight: float, *, split: str = "conv4") -> nn.Module:
    """The CNN trained on, against a decoder that listens at one layer."""
    found = defenses.train_adversarially(case.cohort, split, weight, **_trained_on(case))
    return found.model


def _trained_on(case: Case) -> dict[str, Any]:
    return {
        "model": plain_target(case),
        "recipe": defenses.further_recipe(case.profile, len(case.cohort.members)),
        "seed": case.seed,
        "device": case.device,
    }
