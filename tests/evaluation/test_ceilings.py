"""The column of what is proved: where there is something, as much as by hand, and NaN elsewhere."""

from __future__ import annotations

import math

import pytest

from medpriv.data import load_images, load_records
from medpriv.evaluation import NOTHING, known_attacks, named_attack, named_defense
from medpriv.evaluation.ceilings import with_ceilings
from medpriv.evaluation.cell import CaseData, Cell, Own


def ceilings(
    modality: str, dataset: str, attack, defended, own: Own | None = None, error=""
) -> list:
    data = CaseData(dataset, modality, "smoke", "cpu", "", 0, own)
    row = {
        "measures": [{"metric": "advantage"}, {"metric": "AUC"}, {"metric": "SSIM"}],
        "error": error,
    }
    found = with_ceilings(row, Cell(attack, defended, data, 16))
    assert [one["metric"] for one in found["measures"]] == ["advantage", "AUC", "SSIM"]
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
    assert math.isnan(found[2])


def test_two_rows_of_a_patient_are_four_steps() -> None:
    attack = named_attack("images", "membership, loss threshold")
    cohort = load_images("phantom", profile="smoke")
    assert len(cohort.members) == 2 * cohort.members.patients
    found = ceilings("images", "phantom", attack, named_defense("images", "DP-SGD", 0.1))
    # In the same way, with two more steps of e^0.1.
    assert 1 - math.exp(-0.2) < found[0] < 1 - math.exp(-0.2) + 0.02


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


def test_every_attack_on_members_is_known_to_be_one() -> None:
    for modality, dataset in (("records", "warfarin"), ("images", "phantom")):
        private = named_defense(modality, "DP-SGD", 1.0)
        for attack in known_attacks(modality):
            found = ceilings(modality, dataset, attack, private)
            assert math.isnan(found[0]) != attack.name.startswith("membership"), attack.name
