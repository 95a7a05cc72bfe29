"""One cell of a comparison: one attack, one defense, one seed, by each attacker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from medpriv.attacks import averaged
from medpriv.data import load_images, load_records, load_reports
from medpriv.data.cohort import Cohort
from medpriv.deployment import View
from medpriv.evaluation.attacks import Attack, Case, Run, attackers
from medpriv.evaluation.defenses import NOTHING, Defended
from medpriv.evaluation.sweep import Row
from medpriv.evaluation.targets import trained
from medpriv.evaluation.utility import usefulness
from medpriv.models.contract import Ask, as_logits, check_classes
from medpriv.runtime.cache import remembered
from medpriv.runtime.code import code_hash
from medpriv.runtime.device import has_fast_bf16, pick_device
from medpriv.runtime.hashing import content_hash, identity
from medpriv.statistics import Estimate
from medpriv.training.utility_scores import Utility, predict

#: How often the averaging attacker asks.
TIMES = 16
_LOADERS: dict[str, Callable[..., Cohort]] = {
    "images": load_images,
    "records": load_records,
    "reports": load_reports,
}


@dataclass(frozen=True, eq=False)
class Own:
    """What the reader brings: data that are loaded already, and networks."""

    cohort: Cohort | None = None
    model: nn.Module | None = None
    untrained: nn.Module | None = None


@dataclass(frozen=True)
class CaseData:
    """What is loaded, and how: enough for another process to make a case of it."""

    dataset: str
    modality: str
    profile: str
    device: str
    encoder: str
    seed: int
    own: Own | None = None


def brought(
    cohort: Cohort | None,
    model: nn.Module | Ask | None,
    untrained: nn.Module | None,
    outputs: str,
    defenses: Sequence[Defended],
) -> Own | None:
    """What the reader brings, checked on a few rows; nothing where he brings nothing.

    Raises:
        ValueError: a network without data, defenses that train and nothing to train, or a network
            that does not answer with one logit for each class.
    """
    if cohort is None and model is None and untrained is None:
        return None
    if cohort is None:
        raise ValueError(
            "whose members has your model seen? Give compare(..., cohort=...): your data with the "
            "model's own patients as members, and others in the other parts"
        )
    trained_anew = [one.name for one in defenses if one.train is not None]
    if model is not None and untrained is None and trained_anew:
        raise ValueError(
            f"{', '.join(dict.fromkeys(trained_anew))} train a target anew, and your model is "
            "trained already: give the network before its training, compare(..., untrained=...), "
            "or leave these defenses out"
        )
    networks = [one if one is None else as_logits(one, outputs) for one in (model, untrained)]
    for network in networks:
        if network is not None and outputs != "labels":
            check_classes(predict(network, cohort.test.x[:2]), network, cohort.classes)
    return Own(cohort, *networks)


@dataclass(frozen=True, eq=False)
class Cell:
    """An attack, a defense, a seed, and how often the averaging attacker asks."""

    attack: Attack
    defended: Defended
    data: CaseData
    times: int


def surroundings(data: CaseData, times: int) -> str:
    """A hash of all that decides a cell, but for its attack and its defense."""
    bf16 = has_fast_bf16(pick_device(data.device))
    return content_hash(identity(case_of(data)), bf16, times)


def key_of(cell: Cell, around: str) -> str:
    """What a finished cell is found by: itself, its :func:`surroundings`, and the code it uses.

    Versions of libraries are not in it: they are recorded, and change no figure by themselves.
    """
    attack, defended = cell.attack, cell.defended
    code = code_hash(
        computed, attack.run, attack.baseline, attack.simpler, defended.train, defended.around
    )
    return content_hash(identity((attack, defended)), code, around)[:32]


def computed(cell: Cell) -> Row:
    """The row of a cell, with ``measures``, one for each metric, the attack's own first.

    Where it failed, with an ``error`` and without figures.
    """
    began = time.perf_counter()
    error, figures = "", {"measures": [{"metric": cell.attack.metric}]}
    try:
        figures = _figures(cell)
    except Exception as caught:  # whatever an attack, a defense or the data may raise
        error = f"{type(caught).__name__}: {caught}"
    return {
        "attack": cell.attack.name,
        "defense": cell.defended.name,
        "strength": float(cell.defended.strength),
        "exposes": cell.defended.exposure(cell.attack),
        "seed": cell.data.seed,
        **figures,
        "seconds": time.perf_counter() - began,
        "torch": torch.__version__,
        "error": error,
    }


def _figures(cell: Cell) -> Row:
    attack, defended, data = cell.attack, cell.defended, cell.data
    case, split = case_of(data), attack.split
    expose = defended.exposure(attack) or attack.needs
    model = _target(data, defended)

    def served() -> View:
        return defended.deploy(model, case, expose, split)

    plain, reads = None, True
    if attack.fits and not (defended.train is None and defended.around is None):
        plain = NOTHING.deploy(_target(data, NOTHING), case, expose, split)
        few = case.cohort.auxiliary.x[:1]
        reads = plain.intercept(few).shape == served().intercept(few).shape
    knowing = case
    if attack.rebuilds:
        knowing = replace(case, known=partial(_rebuilt, defended, attack.needs))

    def by_each(run: Run) -> dict[str, dict[str, Estimate]]:
        found = attackers(
            lambda fitted_on, used_on: attack.named(
                run(fitted_on, used_on, case if fitted_on is plain else knowing)
            ),
            served,
            plain=plain if reads else None,
            often=averaged(served(), cell.times) if defended.random else None,
        )
        if not reads:
            del found["naive"]
        return found

    found = by_each(attack.measure)
    simpler = by_each(attack.simpler).values() if attack.simpler else ()
    baseline = _to_beat([_baseline(data, attack), *simpler])
    given = found["adaptive"].keys()
    if given != baseline.keys():
        raise ValueError(
            f"{attack.name!r} is scored by {', '.join(given)}, and its baseline by "
            f"{', '.join(baseline)}; a gain needs the same metrics of both"
        )
    worth = _worth(data, defended, expose, split)
    return {
        "measures": [
            _measure(metric, {who: scores[metric] for who, scores in found.items()}, guess)
            for metric, guess in baseline.items()
        ],
        **_ends("utility", worth.auc),
        "accuracy": worth.accuracy.value,
    }


def _rebuilt(defended: Defended, expose: str, case: Case) -> View:
    return defended.deploy(trained(case, defended), case, expose, None)


def _to_beat(rivals: Sequence[dict[str, Estimate]]) -> dict[str, Estimate]:
    """The best figure of each metric: of the guess without the model, and of a simpler attack."""
    return {
        metric: max((one[metric] for one in rivals if metric in one), key=lambda one: one.value)
        for metric in rivals[0]
    }


def _measure(metric: str, found: dict[str, Estimate], baseline: Estimate) -> Row:
    """What each attacker has in one metric, and what the best of them has over the baseline."""
    best = max(found.values(), key=lambda one: one.value)
    gain, adaptive = best.gain(baseline), found["adaptive"]
    return {
        "metric": metric,
        "n": adaptive.patients,
        **{who: found[who].value if who in found else math.nan
           for who in ("naive", "adaptive", "averaged")},
        "low": adaptive.low,
        "high": adaptive.high,
        **_ends("baseline", baseline),
        **_ends("gain", gain),
        "reach": gain.reach,
    }  # fmt: skip


def _ends(name: str, found: Estimate) -> Row:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


# --- What a process keeps between cells -----------------------------------------------------------


@remembered(2)
def case_of(data: CaseData) -> Case:
    """Its data, loaded."""
    own = data.own or Own()
    cohort = own.cohort or _LOADERS[data.modality](
        data.dataset, profile=data.profile, seed=data.seed
    )
    return Case(
        cohort, data.seed, data.profile, data.device, data.encoder, own.model, own.untrained
    )


def _target(data: CaseData, defended: Defended) -> nn.Module:
    return _model(data, NOTHING if defended.train is None else defended)


@remembered(4)
def _model(data: CaseData, defended: Defended) -> nn.Module:
    return trained(case_of(data), defended)


@remembered(16)
def _worth(data: CaseData, defended: Defended, expose: str, split: str | None) -> Utility:
    return usefulness(_target(data, defended), defended, case_of(data), expose, split)


@remembered(16)
def _baseline(data: CaseData, attack: Attack) -> dict[str, Estimate]:
    return attack.named(attack.baseline(case_of(data)))
