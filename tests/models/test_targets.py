"""The untrained target model of each kind of cohort."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from medpriv import data
from medpriv.models import build_target
from medpriv.models.images import ImageCNN
from medpriv.models.records import RecordMLP
from medpriv.training.utility_scores import predict


@pytest.mark.parametrize(
    ("load", "kind"), [(data.load_images, ImageCNN), (data.load_records, RecordMLP)]
)
def test_a_target_fits_its_cohort(load: Callable, kind: type) -> None:
    cohort = load(profile="smoke")
    model = build_target(cohort)
    assert isinstance(model, kind)
    assert predict(model, cohort.test.x[:5]).shape == (5, len(cohort.classes))


def test_the_seed_decides_the_initial_weights_and_nothing_else_does() -> None:
    cohort = data.load_records(profile="smoke")
    state = torch.get_rng_state()
    first = build_target(cohort, seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    again, other = build_target(cohort, seed=1).state_dict(), build_target(cohort).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["hidden1.dense.weight"], other["hidden1.dense.weight"])
