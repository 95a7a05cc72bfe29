"""Ten patients whose records were in the training data twenty times each, in a hundred networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medpriv.attacks.membership import true_margin
from medpriv.data import load_records
from medpriv.metrics.exposure import exposed_if_shuffled, exposed_tail
from medpriv.metrics.per_patient import model_auc
from medpriv.training.many_models import train_many
from medpriv.training.patient_halves import halves
from medpriv.training.targets import target_recipe

PATIENTS, PLANTED = 400, 10


@pytest.mark.slow
def test_ten_planted_patients_are_found_where_the_average_shows_little() -> None:
    cohort = load_records("warfarin")
    few = cohort.members.first_patients(PATIENTS)
    first = np.arange(PATIENTS)
    part = few.take(np.concatenate([first, np.repeat(first[-PLANTED:], 19)]))
    inside = halves(part.patient, 100)
    many = train_many(cohort, part, inside, recipe=target_recipe(cohort, "quick"), device="cpu")
    phi = torch.stack([true_margin(one, few.y) for one in many.scores(few.x)]).numpy()
    inside = inside[:, :PATIENTS]
    tail = exposed_tail(phi, inside)
    exposed = tail.chosen[tail.exposed]
    assert (exposed >= PATIENTS - PLANTED).sum() >= 9
    assert tail.confirmed.low > 0.6
    assert model_auc(phi, inside).high < 0.56  # what a table of averages would say
    # At 1 % each, more than 5 of 100 shuffles once in 1,800; the seed is fixed.
    assert (exposed_if_shuffled(phi, inside) > 0).sum() <= 5
