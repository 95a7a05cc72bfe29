"""The column of what is proved: where there is something, as much as by hand, and NaN elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm

from medpriv.data import load_images, load_records
from medpriv.evaluation import NOTHING, known_attacks, named_attack, named_defense
from medpriv.evaluation.attacks import Case
from medpriv.evaluation.ceilings import with_ceilings
from medpriv.evaluation.cell import CaseData, Cell, Own, case_of
from medpriv.evaluation.registry import certified_split
from medpriv.evaluation.targets import trained
from medpriv.models.reports import PACKAGED
from medpriv.models.split import front
from medpriv.training.utility_scores import predict

METRICS = ("advantage", "AUC", "SSIM", "rank-1", "finding")


def ceilings(
    modality: str, dataset: str, attack, defended, own: Own | None = None, error="", encoder=""
) -> list:
    data = CaseData(dataset, modality, "smoke", "cpu", encoder, 0, own)
    row = {"measures": [{"metric": name} for name in METRICS], "error": error}
    found = with_ceilings(row, Cell(attack, defended, data, 16))
    assert [one["metric"] for one in found["measures"]] == list(METRICS)
    return [one["ceiling"] for one in found["measures"]]


LOSS = named_attack("records", "membership, loss threshold")


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_membership_after_dp_sgd(epsilon: float) -> None:
    # One row a patient: out and in again. By hand, without δ: from the level e^-ε / (1 + e^ε) to
    # 1 / (1 + e^ε) to e^ε / (1 + e^ε), which is 1 - e^-ε above where it began.
    found = ceilings("records", "warfarin", LOSS, named_defense("records", "DP-SGD", epsilon))
    delta = 0.1 / len(load_records("warfarin", profile="smoke").members)
    least = 1 - math.exp(-epsilon)
    assert least < found[0] < least + 2 * delta * (1 + math.exp(epsilon))
    assert (1 + found[0]) / 2 <= found[1] + 1e-6 <= 1 + 1e-6
    assert all(map(math.isnan, found[2:]))


def test_two_rows_of_a_patient_are_four_steps() -> None:
    attack = named_attack("images", "membership, loss threshold")
    cohort = load_images("phantom", profile="smoke")
    assert len(cohort.members) == 2 * cohort.members.patients
    found = ceilings("images", "phantom", attack, named_defense("images", "DP-SGD", 0.1))
    # In the same way, with two more steps of e^0.1.
    assert 1 - math.exp(-0.2) < found[0] < 1 - math.exp(-0.2) + 0.02


@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_behind_a_certified_split(ratio: float) -> None:
    cohort = load_images("phantom", profile="smoke")
    victims = cohort.victims
    assert len(victims.y.unique()) == 2
    inverse = named_attack("images", "inverse network, conv4")
    found = ceilings("images", "phantom", inverse, certified_split(ratio))
    # Sixteen answers are four standard deviations where one is one.
    assert found[4] == pytest.approx(norm.cdf(4 * 2**0.5 * ratio))
    # Whom a picture is found to be takes the best of several matchers, once the truth is known.
    assert all(map(math.isnan, found[:4]))
    for name in ("search with weights, conv4", "class inversion"):
        attack = named_attack("images", name)
        assert all(map(math.isnan, ceilings("images", "phantom", attack, certified_split(ratio))))


def test_it_is_deployed_as_it_was_trained() -> None:
    case = case_of(CaseData("phantom", "images", "smoke", "cpu", "", 0, None))
    system = certified_split(2.0, split="conv2")
    model = trained(case, system)
    view = system.deploy(model, case, "back", "conv2")
    rows = case.cohort.victims.x[:4]
    assert view(rows).shape == predict(front(model, "conv2"), rows).shape
    assert not torch.equal(view(rows), view(rows))
    assert system.exposure(named_attack("images", "inverse network, conv2")) == "features"
    assert system.exposure(named_attack("images", "inverse network, conv4")) is None


def test_nothing_is_proved_elsewhere() -> None:
    private = named_defense("records", "DP-SGD", 1.0)
    of_attribute = named_attack("records", "confidence")
    own = Own(load_records("warfarin", profile="smoke"))
    for attack, defended, more in (
        (LOSS, NOTHING, {}),
        (LOSS, named_defense("records", "private labels", 0.3), {}),
        (of_attribute, private, {}),
        (LOSS, private, {"own": own}),  # nobody knows how its members were chosen
        (LOSS, private, {"error": "failed"}),
    ):
        assert all(map(math.isnan, ceilings("records", "warfarin", attack, defended, **more)))


def test_members_who_were_not_drawn_by_lot_have_no_ceiling(tmp_path: Path) -> None:
    """A file says itself who is a member: here they differ from the others in their class."""
    draws = np.random.default_rng(0)
    a = draws.standard_normal(400)
    member = np.arange(400) % 2 == 0
    rows = pd.DataFrame({"a": a, "y": (a > 0) == member})
    rows["part"] = np.where(member, "members", np.tile(["a", "test", "b", "auxiliary"], 100))
    rows.loc[rows["part"].isin(["a", "b"]), "part"] = "victims"
    file = tmp_path / "flip.csv"
    rows.to_csv(file, index=False)
    private = named_defense("records", "DP-SGD", 0.3)
    assert all(map(math.isnan, ceilings("records", str(file), LOSS, private)))


def test_patients_with_unequal_numbers_of_rows_have_no_ceiling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cohort = load_records("warfarin", profile="smoke")
    patient = cohort.members.patient.copy()
    patient[1] = patient[0]
    other = replace(cohort, members=replace(cohort.members, patient=patient))
    monkeypatch.setattr("medpriv.evaluation.ceilings.case_of", lambda _: Case(other))
    private = named_defense("records", "DP-SGD", 1.0)
    assert all(map(math.isnan, ceilings("records", "warfarin", LOSS, private)))


def test_an_encoder_that_may_have_seen_them_has_no_ceiling() -> None:
    attack = named_attack("reports", "membership, loss threshold")
    private = named_defense("reports", "DP-SGD", 1.0)
    for encoder, proved in ((PACKAGED, True), ("own/encoder", False)):
        found = ceilings("reports", "synthetic", attack, private, encoder=encoder)
        assert math.isnan(found[0]) != proved


def test_every_attack_on_members_is_known_to_be_one() -> None:
    for modality, dataset in (("records", "warfarin"), ("images", "phantom")):
        private = named_defense(modality, "DP-SGD", 1.0)
        for attack in known_attacks(modality):
            found = ceilings(modality, dataset, attack, private)
            assert math.isnan(found[0]) != attack.name.startswith("membership"), attack.name
