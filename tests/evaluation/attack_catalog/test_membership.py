"""Membership with shadow models, as a comparison runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from medpriv.attacks.membership import Shadows, loss_attack
from medpriv.data import load_records
from medpriv.defenses import label_alone
from medpriv.deployment import View, deploy
from medpriv.evaluation import NOTHING, Case, compare, named_attack, named_defense, trained
from medpriv.evaluation.attack_catalog import membership
from medpriv.evaluation.cell import _measure, _rebuilt
from medpriv.evaluation.verdicts import verdict
from medpriv.training import predict, train_target
from medpriv.training.targets import target_recipe

NAMES = tuple(
    f"membership, {name}"
    for name in ("shadow models", "offline LiRA", "offline RMIA", "offline BaVarIA")
)


def overfitted() -> Case:
    """A clinic with 60 members, whose model is trained for long, and an attacker with as many."""
    cohort = load_records(profile="smoke", patients=1_000)
    few = replace(
        cohort,
        members=cohort.members.first_patients(60),
        auxiliary=cohort.auxiliary.first_patients(120),
    )
    return Case(few, profile="smoke", device="cpu")


def long(case: Case) -> View:
    recipe = replace(target_recipe(case.cohort, "quick"), epochs=200, learning_rate=1e-2)
    model = train_target(case.cohort, recipe=recipe, seed=case.seed, device="cpu")
    return deploy(model, expose="scores")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_members_of_an_overfitted_model_are_found(name: str) -> None:
    """Of a model that never saw them they are not: the AUC then lies within 4 deviations of 0.5."""
    case, attack = replace(overfitted(), known=long), named_attack("records", name)
    found = attack.measure(long(case), long(case), case)
    assert list(found) == ["AUC", "found at 5%"]
    assert found["AUC"].low > 0.6
    stranger = long(replace(case, cohort=replace(case.cohort, members=case.cohort.victims)))
    x, y, _, member = membership._people(case)
    spread = np.sqrt(1 / 12 * (1 / member.sum() + 1 / (~member).sum()))
    assert abs(attack(stranger, stranger, case).value - 0.5) < 4 * spread
    plain = loss_attack(long(case), x, y)  # the same members, by no shadow models
    assert found["AUC"].value > roc_auc_score(member, plain) - 0.05


class Surer(nn.Module):
    """A network whose logits are so many times as large."""

    def __init__(self, network: nn.Module, times: float) -> None:
        super().__init__()
        self.network, self.times = network, times

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) * self.times


def test_where_most_scores_tie_the_loss_still_tells_members() -> None:
    """By a label whoever is classified rightly is called one (the gap of Yeom et al. 2018)."""
    case, attack = overfitted(), named_attack("records", "membership, loss threshold")
    recipe = replace(target_recipe(case.cohort, "quick"), epochs=200, learning_rate=1e-2)
    model = train_target(case.cohort, recipe=recipe, device="cpu")
    x, y, _, member = membership._people(case)
    right = (predict(model, x).argmax(1) == y).numpy()
    gap = right[member].mean() - right[~member].mean()
    assert gap > 0.2
    plain = deploy(model, expose="scores")
    label = deploy(model, expose="scores", defenses=[label_alone()])
    for fitted_on in (plain, label):
        assert attack(fitted_on, label, case).value == pytest.approx(gap)
    sure = deploy(Surer(model, 3.0), expose="scores")
    assert (sure(x).max(1).values == 1).double().mean() > 0.5  # their losses are 0
    assert attack(sure, sure, case).value > gap + 0.02


def lucky(view: View, x: Tensor, y: Tensor, shadows: Shadows) -> Tensor:
    """Scores that put the others of this test, who come last, below most of the members."""
    return torch.cat([torch.arange(60.0), torch.arange(len(y) - 60) / 100 + 10.5])


@pytest.mark.parametrize("others", [2, 3, 9])
def test_a_few_others_show_no_leak(others: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By luck alone most of the members may rank before each of three others."""
    case = overfitted()
    few = replace(case.cohort, test=case.cohort.test.first_patients(others))
    case = replace(case, cohort=few)
    monkeypatch.setattr(membership, "_shadows", lambda *_: None)
    found = membership.by_shadows(lucky, None, None, case)
    baseline = membership.as_many_of_both(case)
    assert list(found) == list(baseline) == ["AUC"]
    assert found["AUC"].patients == others
    measures = [_measure(name, {"adaptive": found[name]}, baseline[name]) for name in found]
    assert verdict({"error": "", "measures": measures}, "quick") == "inconclusive"


def test_who_knows_the_defense_builds_his_models_with_it() -> None:
    case, asked = overfitted(), []
    coin = named_defense("records", "temperature", 10)

    def known(other: Case) -> View:
        asked.append(other)
        return _rebuilt(coin, "scores", other)

    attack = named_attack("records", NAMES[0])
    view = coin.deploy(trained(case, NOTHING), case, "scores", None)
    knowing = attack.measure(view, view, replace(case, known=known))
    assert len(asked) == len({other.seed for other in asked}) == membership.SHADOWS
    own, victims = set(case.cohort.auxiliary.patient), membership._people(case)[2]
    for other in asked:
        assert set(other.cohort.members.patient) < own
        assert not own & set(victims)
    assert knowing["AUC"].value != attack.measure(view, view, case)["AUC"].value


@pytest.mark.filterwarnings("ignore:not seen to be better")
def test_a_model_of_ones_own_needs_the_network_before_its_training(tmp_path: Path) -> None:
    case = overfitted()
    network = nn.Sequential(nn.Linear(case.cohort.members.x.shape[1], 3))
    model = train_target(case.cohort, profile="smoke", model=network, device="cpu")
    options = {"cohort": case.cohort, "model": model, "profile": "smoke", "device": "cpu"}
    attacks = [named_attack("records", name) for name in NAMES]
    table = compare(attacks, [NOTHING], (0,), folder=tmp_path, **options)
    assert table["error"].str.contains("give it before its training").all()
    table = compare(attacks, [NOTHING], (0,), folder=tmp_path, untrained=network, **options)
    assert table["error"].eq("").all()
    assert table["metric"].tolist() == ["AUC", "found at 5%"] * len(NAMES)
    assert table["baseline"].tolist() == [0.5, 0.05] * len(NAMES)
