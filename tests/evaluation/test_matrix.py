"""The whole matrix: every attack against every defended view of every exposure.

It runs where the view exposes enough, and is refused everywhere else.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from medpriv import attacks
from medpriv.data import load_images, load_records, load_reports
from medpriv.data.cohort import Cohort
from medpriv.deployment import ThreatModelError, View
from medpriv.evaluation import (
    NOTHING,
    Case,
    known_attacks,
    known_defenses,
    named_attack,
    named_defense,
    trained,
)
from medpriv.evaluation.attack_catalog import images
from medpriv.evaluation.attacks import Attack
from medpriv.evaluation.defenses import Defended
from medpriv.evaluation.targets import learned_noise
from medpriv.runtime.cache import Memory
from medpriv.statistics import Estimate
from tiny import ROOT, make_encoder
from unlisted import unlisted_attacks

MODALITIES = ("images", "records", "reports")
EXPOSES = {
    "images": ("label", "scores", "features", "back", "weights"),
    "records": ("label", "scores", "features", "back", "weights"),
    "reports": ("label", "scores", "features", "embedding", "weights"),
}
SPLITS = {"images": "conv4", "records": "hidden1", "reports": "layer1"}


def one_of_each(modality: str) -> list[Defended]:
    """Each defense in its first strength."""
    return list({one.name: one for one in reversed(known_defenses(modality))}.values())[::-1]


def another_layer(attack: Attack, defended: Defended) -> bool:
    """Whether the system gives the features of one layer, and the attack is made for another."""
    return bool(defended.split and attack.split) and defended.split != attack.split


def all_attacks(modality: str) -> tuple[Attack, ...]:
    """Those of the comparison, and all others that ask a view."""
    return (*known_attacks(modality), *unlisted_attacks(modality))


PAIRS = [
    pytest.param(attack, defended, expose, id=f"{attack.name}-{defended.name}-{expose}")
    for modality in MODALITIES
    for attack in all_attacks(modality)
    for defended in one_of_each(modality)
    for expose in EXPOSES[modality]
    if expose in defended.exposes and not another_layer(attack, defended)
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_encoder(tmp_path_factory.mktemp("encoder")))


@cache
def case_of(modality: str, encoder: str) -> Case:
    if modality == "images":
        cohort: Cohort = load_images(profile="smoke", size=32)
    elif modality == "records":
        cohort = load_records(profile="smoke")
    else:
        cohort = load_reports(profile="smoke")
    return Case(cohort, profile="smoke", device="cpu", encoder=encoder)


@cache
def target_of(defended: Defended, modality: str, encoder: str) -> nn.Module:
    return trained(case_of(modality, encoder), defended)


def view_of(attack: Attack, defended: Defended, expose: str, encoder: str) -> tuple[View, Case]:
    case = case_of(attack.modality, encoder)
    recipe = defended if defended.train else NOTHING
    whole = None if expose == "weights" else SPLITS[attack.modality]
    split = attack.split or defended.split or whole
    if expose == "weights" and attack.modality == "reports":
        split = None  # the front of a report classifier cannot be had
    return defended.deploy(target_of(recipe, attack.modality, encoder), case, expose, split), case


def gives(view: View) -> set[str]:
    """What a view of each kind lets an attacker compute."""
    return {
        "label": {"label"},
        "scores": {"scores", "label"},
        "features": {"features"},
        "back": {"back", "features"},
        "embedding": {"embedding"},
        "weights": {"weights", "features"} if view.split else {"weights", "scores", "label"},
    }[view.expose]


@pytest.mark.parametrize(("attack", "defended", "expose"), PAIRS)
def test_an_attack_runs_exactly_where_the_view_exposes_enough(
    attack: Attack, defended: Defended, expose: str, encoder: str
) -> None:
    view, case = view_of(attack, defended, expose, encoder)
    if attack.needs in gives(view):
        found = attack(view, view, case)
        assert isinstance(found, Estimate)
        assert math.isnan(found.value) or -1 <= found.value <= 1
        # A comparison runs it too; but it asks for no more than an attack needs.
        assert defended.exposure(attack) or (expose == "weights" != attack.needs)
    else:
        with pytest.raises(ThreatModelError, match=f"{attack.name} needs {attack.needs}.*exposes"):
            attack(view, view, case)
        assert view.queries == 0


def test_no_attack_that_asks_a_view_is_left_out() -> None:
    modules = pkgutil.walk_packages(attacks.__path__, "medpriv.attacks.")
    asking = {
        name
        for module in modules
        for name, attack in vars(importlib.import_module(module.name)).items()
        if inspect.isfunction(attack) and attack.__module__.startswith("medpriv.attacks")
        if not name.startswith("_") and "view" in inspect.signature(attack).parameters
    } - {"descend", "planned_queries", "open_access"}  # what attacks have in common
    assert len(asking) > 15
    files = [*(ROOT / "medpriv" / "evaluation").rglob("*.py"), ROOT / "tests" / "unlisted.py"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    used = set(re.findall(r"\battacks\.(?:\w+\.)*(\w+)", text))
    assert asking - used == set()


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_comparison_leaves_out_what_no_view_of_a_system_allows(modality: str) -> None:
    for attack in known_attacks(modality):
        for defended in known_defenses(modality):
            also = {"label": {"label", "scores"}, "features": {"features", "back"}}
            wanted = also.get(attack.needs, {attack.needs})
            enough = wanted & set(defended.exposes) and not another_layer(attack, defended)
            assert bool(enough) == (defended.exposure(attack) is not None)


@pytest.mark.parametrize("other", MODALITIES)
@pytest.mark.parametrize("modality", MODALITIES)
def test_data_of_another_modality_are_a_type_error(modality: str, other: str, encoder: str) -> None:
    case = case_of(other, encoder)
    view = NOTHING.deploy(target_of(NOTHING, other, encoder), case, "scores", None)
    for attack in all_attacks(modality) if modality != other else ():
        with pytest.raises(TypeError, match=f"{attack.name}.* is on {modality}, .*holds {other}"):
            attack(view, view, case)
    assert view.queries == 0


# --- What must agree exactly ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack", [a for m in MODALITIES for a in known_attacks(m)], ids=lambda a: a.name
)
def test_undefended_the_attacker_who_adapts_is_the_one_who_does_not(
    attack: Attack, encoder: str
) -> None:
    def view() -> View:
        return view_of(attack, NOTHING, attack.needs, encoder)[0]

    case, deployed = case_of(attack.modality, encoder), view()
    assert str(attack(deployed, deployed, case)) == str(attack(view(), view(), case))


# Where the unit has a zero that is no defense.
FROM_NOTHING = {
    "randomised response, fresh",
    "randomised response, remembered",
    "parameter noise, once",
    "parameter noise, per query",
    "noise",
    "dropout",
    "private labels",
    "smoothed labels",
}


@pytest.mark.parametrize(
    ("modality", "defended"),
    [(m, d) for m in MODALITIES for d in one_of_each(m) if d.name in FROM_NOTHING],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_strength_of_nothing_is_no_defense(
    modality: str, defended: Defended, encoder: str
) -> None:
    none, case = replace(defended, strength=0.0), case_of(modality, encoder)
    # Nobody trains the encoder of reports.
    skipped = "embedding" if defended.train else ""
    met = [a for a in known_attacks(modality) if none.exposure(a) and a.needs != skipped]
    assert met or defended.exposes == ("label",)  # no attack on images is content with labels
    for attack in met[:1]:
        expose = none.exposure(attack)
        found, plain = (view_of(attack, one, expose, encoder)[0] for one in (none, NOTHING))
        assert str(attack(found, found, case)) == str(attack(plain, plain, case))


# --- What is kept between cells -------------------------------------------------------------------


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[View]:
    """The views through which inverse networks are fitted, from nothing kept."""
    seen: list[View] = []
    fit = images.attacks.fit_inverse_network

    def counted(view: View, *args: object, **options: object) -> object:
        seen.append(view)
        return fit(view, *args, **options)

    monkeypatch.setattr(images.attacks, "fit_inverse_network", counted)
    monkeypatch.setattr(images, "_fitted", Memory(3))
    return seen


def test_each_defense_meets_the_same_naive_inverse(fits: list[View], encoder: str) -> None:
    attack = named_attack("images", "inverse network, conv4")
    plain = [view_of(attack, NOTHING, "features", encoder)[0] for _ in range(2)]
    rounding = named_defense("images", "rounding", 4)
    served, case = view_of(attack, rounding, "features", encoder)
    first, again = (str(attack(view, served, case)) for view in plain)
    assert first == again
    assert len(fits) == 1
    through = [
        view_of(attack, named_defense("images", "rounding", 4), "features", encoder)[0]
        for _ in range(2)
    ]
    assert str(attack(through[0], served, case)) == str(attack(through[1], served, case))
    assert len(fits) == 3  # through a defense it is fitted anew: equal answers prove little there


def test_what_is_kept_is_of_this_model(fits: list[View], encoder: str) -> None:
    attack = named_attack("images", "inverse network, conv4")
    case = case_of("images", encoder)
    for defended in (NOTHING, named_defense("images", "smoothed labels", 0.2)):
        view = NOTHING.deploy(target_of(defended, "images", encoder), case, "features", "conv4")
        attack(view, view, case)
    assert len(fits) == 2


@pytest.mark.parametrize("tensors", [1, 16])
def test_learned_noise_comes_back_from_the_cache(
    tensors: int, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of("images", encoder)
    model = target_of(NOTHING, "images", encoder)
    first = learned_noise(case, tensors, model, "conv4")
    monkeypatch.delattr("medpriv.evaluation.targets.learn_noise")
    again = learned_noise(case, tensors, model, "conv4")
    assert torch.equal(again.tensors, first.tensors)
    assert again.unit == pytest.approx(first.unit)
    assert len(again.tensors) == tensors


def test_a_defense_of_one_layer_is_refused_at_another(encoder: str) -> None:
    case, model = case_of("images", encoder), target_of(NOTHING, "images", encoder)
    with pytest.raises(ValueError, match="made for the features of conv4.* cut at conv5"):
        named_defense("images", "learned noise, conv4", 16).deploy(model, case, "features", "conv5")


# --- By name --------------------------------------------------------------------------------------


def test_attacks_and_defenses_are_found_by_name() -> None:
    for modality in MODALITIES:
        for attack in known_attacks(modality):
            assert named_attack(modality, attack.name) == attack
        for defended in known_defenses(modality):
            assert named_defense(modality, defended.name, defended.strength) is defended
    own = named_defense("images", "noise", 0.7)
    assert own == replace(named_defense("images", "noise", 0.3), strength=0.7)
    with pytest.raises(ValueError, match="unknown attack on reports 'tokens'.*tokens, layer2"):
        named_attack("reports", "tokens")
    with pytest.raises(ValueError, match="unknown defense of records 'noise'.*nothing, randomised"):
        named_defense("records", "noise", 1)
