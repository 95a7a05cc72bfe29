"""What is proved of a row of a comparison: the most that any attacker can have, where there is one.

Only where every step of the proof holds of what is measured. So far that is membership after
DP-SGD, on the course's data, whose members are drawn by lot: a member and another patient could
have changed places, so that rates among members and among others are bounded by the curve of power
of an exchange (:class:`medpriv.bounds.dp_sgd.Trained`). The row is what DP-SGD protects; a patient
with k rows takes k rows out, and another puts k in.

Not bounded are scores of how alike a picture or a text is, what is guessed of an attribute beside
what is known anyway, and all defenses that prove nothing.
"""

from __future__ import annotations

import math

import numpy as np

from medpriv.bounds import power
from medpriv.evaluation import recipes
from medpriv.evaluation.attack_catalog import membership
from medpriv.evaluation.cell import Cell, case_of
from medpriv.evaluation.sweep import Row

_OF_MEMBERSHIP = (membership.no_advantage, membership.as_many_of_both)
_BOUNDED = {"advantage": power.advantage, "AUC": power.auc}


def with_ceilings(row: Row, cell: Cell) -> Row:
    """The same row, with ``ceiling`` in each of its measures; NaN where nothing is proved."""
    curve = _curve(cell) if not row["error"] else None
    measures = [
        {**one, "ceiling": _BOUNDED[one["metric"]](curve)}
        if curve is not None and one["metric"] in _BOUNDED
        else {**one, "ceiling": math.nan}
        for one in row["measures"]
    ]
    return {**row, "measures": measures}


def _curve(cell: Cell) -> power.Power | None:
    """How much the training of a defended model tells of who was exchanged for whom."""
    private = cell.defended.train is recipes.with_dp_sgd
    if not private or cell.data.own is not None or cell.attack.baseline not in _OF_MEMBERSHIP:
        return None
    cohort = case_of(cell.data).cohort
    parts = (cohort.members, cohort.test)
    rows = max(int(np.unique(part.patient, return_counts=True)[1].max()) for part in parts)
    # What train_privately takes where nobody asks for another.
    delta = 1 / (10 * len(cohort.members))
    return power.chained(*[power.pure(cell.defended.strength, delta)] * (2 * rows))
