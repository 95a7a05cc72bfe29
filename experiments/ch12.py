"""Sweep of chapter 12: attacks on every kind of data against the defenses, at several strengths."""

from __future__ import annotations

import warnings
from typing import Any

from experiments.recording import Table
from medpriv.evaluation import compare, known_attacks, known_defenses, named_attack, named_defense
from medpriv.evaluation.attacks import Attack
from medpriv.evaluation.cell import computed
from medpriv.evaluation.defenses import Defended

#: Which data stand for each modality.
DATASETS = {"phantom": "images", "warfarin": "records", "synthetic": "reports"}
SEEDS = (0, 1, 2)
# Longer than the others: three cuts of one network tell the same story, and a decoder of reports
# or a reader of tokens takes as long as all the rest.
_LEFT_OUT = {
    "inverse network, conv2",
    "inverse network, conv6",
    "without a query, conv2",
    "report decoder",
    "tokens, layer2",
}
_KEPT = ("naive", "adaptive", "averaged", "baseline", "low", "high", "utility", "accuracy")


def matrix_cell(
    dataset: str, attack: str, defense: str, strength: float, seed: int, profile: str = "quick"
) -> dict[str, Any]:
    """One cell of ``12-matrix``: one row of :func:`medpriv.evaluation.compare`.

    ``attack`` and ``defense`` are names of :func:`medpriv.evaluation.known_attacks` and
    :func:`medpriv.evaluation.known_defenses`; a cell that failed raises ``RuntimeError``.
    """
    modality = DATASETS[dataset]
    chosen, against = named_attack(modality, attack), named_defense(modality, defense, strength)
    with warnings.catch_warnings():  # the table has the baseline beside each figure
        warnings.filterwarnings("ignore", message="no better than the guess")
        row = compare([chosen], [against], [seed], dataset=dataset, profile=profile).iloc[0]
    if row["error"]:
        raise RuntimeError(f"{attack} against {defense} {strength:g}, seed {seed}: {row['error']}")
    found = row.to_dict() | {"low": row["interval"].left, "high": row["interval"].right}
    return {"metric": row["metric"]} | {name: float(found[name]) for name in _KEPT}


def _uses(setting: dict[str, Any]) -> list[Any]:
    """What a cell uses: the engine, and of all attacks and defenses its own."""
    modality = DATASETS[setting["dataset"]]
    attack = named_attack(modality, setting["attack"])
    against = named_defense(modality, setting["defense"], setting["strength"])
    return [computed, attack.run, attack.baseline, against.train, against.around]


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
