"""What is proved of a row of a comparison: the most that any attacker can have, where there is one.

Only where every step of the proof holds of what is measured. So far that is

- membership after DP-SGD, on those of the course's data whose members are drawn by lot and whose
  patients have as many rows each: a member and another patient could have changed places, so that
  rates among members and among others are bounded by the curve of power of an exchange
  (:class:`medpriv.bounds.dp_sgd.Trained`), on average over lots. (A lot that is drawn in each class
  exchanges patients of one class; between classes the bound holds up to one over their number.) The
  row is what DP-SGD protects; a patient with k rows takes k rows out, and another puts k in;
- behind a certified split, what an inverse network gives away of the finding
  (:mod:`medpriv.bounds.ball`): as many answers as the averaging attacker has.

Not bounded are scores of how alike a picture or a text is, whom a picture is found to be (the
measure takes the best of several ways to look, once it knows who was right, which no attacker can),
what is guessed of an attribute beside what is known anyway (a coin bounds how often a guess is
right, and not its correlation), and all defenses that prove nothing.
"""

from __future__ import annotations

import math

import numpy as np

from medpriv.bounds import ball, power
from medpriv.evaluation import recipes, registry
from medpriv.evaluation.attack_catalog import images, membership
from medpriv.evaluation.cell import CaseData, Cell, case_of
from medpriv.evaluation.sweep import Row
from medpriv.models.reports import PACKAGED

_OF_MEMBERSHIP = (membership.no_advantage, membership.as_many_of_both)
#: Of other data, such as MedMNIST's or a reader's, nobody here knows how members were chosen.
_BY_LOT = ("phantom", "warfarin", "cardio", "heart", "mias", "synthetic", "openi")


def with_ceilings(row: Row, cell: Cell) -> Row:
    """The same row, with ``ceiling`` in each of its measures; NaN where nothing is proved."""
    known = {} if row["error"] else {**_after_dp_sgd(cell), **_behind_ball(cell)}
    measures = [{**one, "ceiling": known.get(one["metric"], math.nan)} for one in row["measures"]]
    return {**row, "measures": measures}


def _behind_ball(cell: Cell) -> dict[str, float]:
    """What an inverse network can tell of a picture, by metric; whoever's network it is."""
    around = getattr(cell.defended.around, "func", None)
    if around is not registry.behind_ball or cell.attack.run is not images.inverse_network:
        return {}
    if len(case_of(cell.data).cohort.victims.y.unique()) != 2:
        return {}
    return {"finding": ball.auc_ceiling(float(cell.defended.strength), 1, cell.times)}


def _after_dp_sgd(cell: Cell) -> dict[str, float]:
    curve = _curve(cell)
    if curve is None:
        return {}
    return {"advantage": power.advantage(curve), "AUC": power.auc(curve)}


def _by_lot(data: CaseData) -> bool:
    """Whether members were drawn by lot, and nothing else has seen them."""
    packaged = data.modality != "reports" or data.encoder == PACKAGED
    return data.own is None and data.dataset in _BY_LOT and packaged


def _curve(cell: Cell) -> power.Power | None:
    """How much the training of a defended model tells of who was exchanged for whom."""
    private = cell.defended.train is recipes.with_dp_sgd
    if not private or cell.attack.baseline not in _OF_MEMBERSHIP or not _by_lot(cell.data):
        return None
    cohort = case_of(cell.data).cohort
    counts = [
        np.unique(one.patient, return_counts=True)[1] for one in (cohort.members, cohort.test)
    ]
    rows = int(counts[0][0])
    if any((one != rows).any() for one in counts):
        return None  # after an exchange there are more rows or fewer, and other steps
    # What train_privately takes where nobody asks for another.
    delta = 1 / (10 * len(cohort.members))
    return power.chained(*[power.pure(cell.defended.strength, delta)] * (2 * rows))
