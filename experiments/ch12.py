"""Sweep of chapter 12: attacks on every kind of data against the defenses, at several strengths."""

from __future__ import annotations

from typing import Any

from experiments.recording import Table
from medpriv.evaluation import known_attacks, known_defenses, named_attack, named_defense
from medpriv.evaluation.attacks import Attack
from medpriv.evaluation.ceilings import with_ceilings
from medpriv.evaluation.cell import TIMES, CaseData, Cell, computed
from medpriv.evaluation.defenses import Defended
from medpriv.evaluation.sweep import Row
from medpriv.models.reports import PACKAGED
from medpriv.runtime.device import pick_device

#: Which data stand for each modality.
DATASETS = {"phantom": "images", "warfarin": "records", "synthetic": "reports"}
SEEDS = (0, 1, 2)
# Longer than the others: three cuts of one network tell the same story, and a decoder of reports, a
# reader of tokens or an attacker who trains eight models takes as long as all the rest.
_LEFT_OUT = {
    "inverse network, conv2",
    "inverse network, conv6",
    "without a query, conv2",
    "class inversion",
    "report decoder",
    "tokens, layer2",
    "membership, shadow models",
    "membership, offline LiRA",
    "membership, offline RMIA",
    "membership, offline BaVarIA",
}
_KEPT = (
    "metric", "naive", "adaptive", "averaged", "baseline", "ceiling", "low", "high", "utility",
    "accuracy",
)  # fmt: skip


def matrix_cell(
    dataset: str, attack: str, defense: str, strength: float, seed: int, profile: str = "quick"
) -> Row:
    """One cell of ``12-matrix``: one row of :func:`medpriv.evaluation.compare`.

    ``attack`` and ``defense`` are names of :func:`medpriv.evaluation.known_attacks` and
    :func:`medpriv.evaluation.known_defenses`; a cell that failed raises ``RuntimeError``.
    """
    pair = _pair(dataset, attack, defense, strength)
    where = pick_device().type
    return _figures(*pair, CaseData(dataset, DATASETS[dataset], profile, where, PACKAGED, seed))


def _pair(dataset: str, attack: str, defense: str, strength: float) -> tuple[Attack, Defended]:
    modality = DATASETS[dataset]
    return named_attack(modality, attack), named_defense(modality, defense, strength)


def _figures(attack: Attack, defended: Defended, data: CaseData) -> Row:
    cell = Cell(attack, defended, data, TIMES)
    row = with_ceilings(computed(cell), cell)
    if row["error"]:
        strength = f"{defended.strength:g}"
        raise RuntimeError(
            f"{attack.name} against {defended.name} {strength}, seed {data.seed}: {row['error']}"
        )
    whole = {**row, **row["measures"][0]}  # by the attack's own metric
    return {name: whole[name] for name in _KEPT}


def _uses(setting: dict[str, Any]) -> list[Any]:
    """What a cell uses: the engine, and of all attacks and defenses its own."""
    names = (setting[name] for name in ("dataset", "attack", "defense", "strength"))
    return [_figures, *_pair(*names)]


def _slow(attack: Attack, defended: Defended) -> bool:
    """What takes so long that each defense is met in one strength: CNNs trained anew, searches."""
    return attack.modality == "images" and (bool(defended.train) or attack.needs == "weights")


def _last(modality: str) -> list[Defended]:
    """Each defense in its last strength, of either sign."""
    by = {(one.name, one.strength < 0): one for one in known_defenses(modality)}
    return list(by.values())


def _met(modality: str, defended: Defended) -> list[str]:
    """The attacks that the defense meets, and whose threat model allows it."""
    return [
        attack.name
        for attack in known_attacks(modality)
        if attack.name not in _LEFT_OUT and defended.exposure(attack)
        if not _slow(attack, defended) or defended in _last(modality)
    ]


TABLES = {
    # Those of one model behind one another.
    "12-matrix": Table(
        matrix_cell,
        [
            {
                "dataset": [dataset],
                "attack": met,
                "defense": [defended.name],
                "strength": [defended.strength],
                "seed": [seed],
            }
            for dataset, modality in DATASETS.items()
            for seed in SEEDS
            for defended in sorted(known_defenses(modality), key=lambda one: one.train is not None)
            if (met := _met(modality, defended))
        ],
        _uses,
    )
}
