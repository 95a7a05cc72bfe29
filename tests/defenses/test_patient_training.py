"""DP-SGD for patients: drawn, clipped and accounted for by patient, not by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from medpriv.data import load_records
from medpriv.data.cohort import Cohort
from medpriv.defenses import Privately, train_privately
from medpriv.defenses.private_training import epsilon_spent
from medpriv.models import build_target
from medpriv.training.utility_scores import predict

ROWS, PATIENTS = 60, 12


def cohort_of(patient: np.ndarray, rows: int = ROWS) -> Cohort:
    """Records whose members belong to these patients."""
    cohort = load_records("warfarin", profile="smoke")
    members = replace(cohort.members.take(slice(rows)), patient=np.asarray(patient))
    return replace(cohort, members=members)


@pytest.fixture
def few() -> Cohort:
    # Unequal shares, not in the order of rows: patient 0 has 27 of the 60 rows.
    who = np.random.default_rng(0).permutation(np.r_[np.zeros(16), np.arange(44) % PATIENTS])
    return cohort_of(np.array([f"p{int(one):02d}" for one in who]))


def test_of_one_row_a_patient_it_is_the_same_training() -> None:
    cohort = cohort_of(np.array([f"p{row:03d}" for row in range(ROWS)]))
    how = Privately(3.0, epochs=2, batch_size=20)
    one, other = (
        train_privately(cohort, how, unit=unit, device="cpu") for unit in ("row", "patient")
    )
    assert torch.equal(predict(one.model, cohort.test.x), predict(other.model, cohort.test.x))
    assert (one.unit, other.unit) == ("row", "patient")
    assert one.epsilon == other.epsilon


def test_it_is_accounted_by_patient(few: Cohort) -> None:
    trained = train_privately(
        few, Privately(3.0, epochs=2, batch_size=3), unit="patient", device="cpu"
    )
    assert trained.rate == 3 / PATIENTS
    assert trained.steps == 2 * PATIENTS / 3
    assert trained.delta == pytest.approx(0.1 / PATIENTS)
    spent = epsilon_spent(trained.noise, 3 / PATIENTS, 8, 0.1 / PATIENTS)
    assert trained.epsilon == spent <= 3.0 + 1e-6
    with pytest.raises(ValueError, match="below 1 / members"):
        train_privately(few, Privately(3.0, delta=0.1), unit="patient")  # above 1 / 12


class Steep(nn.Module):
    """Every gradient of it is longer than the clipping length."""

    def __init__(self, cohort: Cohort) -> None:
        super().__init__()
        self.body = build_target(cohort)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) * 100


def first_gradient(cohort: Cohort, unit: str) -> torch.Tensor:
    """What the one step of a training makes of all members; its noise is the same each time."""
    seen: list[torch.Tensor] = []
    step = torch.optim.Adam.step

    def look(self, *args, **kwargs):
        weights = [weight for group in self.param_groups for weight in group["params"]]
        seen.append(torch.cat([weight.grad.flatten() for weight in weights]))
        return step(self, *args, **kwargs)

    model = Steep(load_records("warfarin", profile="smoke"))
    how = Privately(50.0, delta=0.01, epochs=1, batch_size=10**6, clip=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", look)
        train_privately(cohort, how, model=model, unit=unit, device="cpu")
    assert len(seen) == 1
    return seen[0]


def test_all_rows_of_a_patient_move_a_step_by_one_clipped_gradient(few: Cohort) -> None:
    # The patient with most rows gets other labels. The same noise is in both trainings, so that it
    # is not in the difference: the sum over patients moves by two clipping lengths at most.
    own = few.members.patient == "p00"
    labels = few.members.y.clone()
    labels[torch.from_numpy(own)] = (labels[torch.from_numpy(own)] + 1) % 3
    changed = replace(few, members=replace(few.members, y=labels))
    by_patient = (first_gradient(few, "patient") - first_gradient(changed, "patient")).norm()
    assert 0.1 < float(by_patient) * PATIENTS <= 2 * 0.5 * 1.001
    by_row = (first_gradient(few, "row") - first_gradient(changed, "row")).norm()
    assert float(by_row) * ROWS > 2 * 0.5 * 1.5


def test_rows_of_a_patient_are_in_a_step_together(
    few: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    cross_entropy = nn.functional.cross_entropy

    def watch(logits: torch.Tensor, labels: torch.Tensor, **options):
        steps.append(len(labels))
        return cross_entropy(logits, labels, **options)

    monkeypatch.setattr("medpriv.defenses.private_training.F.cross_entropy", watch)
    # Patients of 1, 2, 4 and 8 rows: a step's number of rows says who was in it.
    cohort = cohort_of(np.repeat(["a", "b", "c", "d"], [1, 2, 4, 8]), rows=15)
    how = Privately(5.0, delta=0.05, epochs=100, batch_size=2)
    trained = train_privately(cohort, how, unit="patient", device="cpu")
    assert len(steps) == trained.steps == 200
    there = np.array([[size >> bit & 1 for bit in range(4)] for size in steps])
    # Each is in half of the steps (four standard errors), whoever else is.
    assert there.mean(0) == pytest.approx([0.5] * 4, abs=0.15)
    assert np.abs(np.corrcoef(there.T) - np.eye(4)).max() < 0.3
    assert 0 in steps  # an empty one is a step, too


def test_data_that_do_not_know_patients_are_refused(few: Cohort) -> None:
    unknown = replace(few, card=replace(few.card, patient_identity=False))
    with pytest.raises(ValueError, match="which rows belong to one patient"):
        train_privately(unknown, Privately(1.0), unit="patient")
    with pytest.raises(ValueError, match="unknown unit"):
        train_privately(few, Privately(1.0), unit="hospital")
