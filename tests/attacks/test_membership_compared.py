"""Which scorer finds more with few reference models, on networks that learned their patients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from medpriv.attacks.membership import (
    bavaria,
    bavaria_online,
    lira,
    lira_online,
    probability_ratio,
    true_margin,
)
from medpriv.data import load_records
from medpriv.runtime.seeds import rng
from medpriv.statistics import Estimate, interval, patient_bootstrap, resampled_auc
from medpriv.training.many_models import train_many
from medpriv.training.patient_halves import halves
from medpriv.training.targets import target_recipe

PATIENTS, TARGETS, REFERENCES = 400, 10, 32


def networks(dataset: str) -> tuple[Tensor, np.ndarray]:
    """Phi of each patient by each network, each trained for long on a half, and who was inside."""
    cohort = load_records(dataset)
    part = cohort.members.first_patients(PATIENTS)
    inside = halves(part.patient, TARGETS + REFERENCES)
    usual = target_recipe(cohort, "quick")
    long = replace(usual, epochs=5 * usual.epochs, learning_rate=1e-2)
    many = train_many(cohort, part, inside, recipe=long, device="cpu")
    scores = many.scores(part.x)
    return torch.stack([true_margin(one, part.y) for one in scores]), inside


def some(phi: Tensor, which: np.ndarray, number: int) -> Tensor:
    """For each patient so many of the models of one side: ``(number, n)``."""
    luck = rng(0, "references").random(which.shape) + ~which
    chosen = torch.from_numpy(luck.argsort(0)[:number])
    assert np.take_along_axis(which, chosen.numpy(), 0).all()
    return phi.gather(0, chosen)


def gain(first: Tensor, second: Tensor, member: np.ndarray) -> Estimate:
    """By how much the AUC is larger, in the mean over targets, with an interval over patients."""
    patients = np.arange(PATIENTS)
    counts = np.concatenate([np.ones((1, PATIENTS), dtype=int), patient_bootstrap(patients)])
    one, other = (
        np.mean(
            [resampled_auc(*pair, counts) for pair in zip(member, score.numpy(), strict=True)], 0
        )
        for score in (first, second)
    )
    return interval(one[0] - other[0], one[1:] - other[1:])


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["warfarin", pytest.param("cardio", marks=pytest.mark.real)])
def test_with_four_models_bavaria_finds_more_than_lira(dataset: str) -> None:
    """Offline, and online with two of each side; offline RMIA's ratio finds more than both."""
    phi, inside = networks(dataset)
    target, reference = phi[:TARGETS], phi[TARGETS:]
    member, had = inside[:TARGETS], inside[TARGETS:]
    out = some(reference, ~had, 4)
    both = torch.cat([some(reference, had, 2), out[:2]])
    side = (torch.arange(4) < 2)[:, None].expand(4, PATIENTS)
    ratio, own, normal = (score(target, out) for score in (probability_ratio, bavaria, lira))
    online = [score(target, both, side) for score in (bavaria_online, lira_online)]
    for more, less in ((ratio, own), (own, normal), online):
        assert gain(more, less, member).low > 0
