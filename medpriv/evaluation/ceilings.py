"""What is proved of a row of a comparison: the most that any attacker can have, where there is one.

Only where every step of the proof holds of what is measured. So far that is

- membership after DP-SGD, on the course's data, whose members are drawn by lot: a member and
  another patient could have changed places, so that rates among members and among others are
  bounded by the curve of power of an exchange (:class:`medpriv.bounds.dp_sgd.Trained`). The row is
  what DP-SGD protects; a patient with k rows takes k rows out, and another puts k in;
- behind a certified split, what an inverse network gives away of whose picture it was, and of the
  finding (:mod:`medpriv.bounds.ball`): as many answers as the averaging attacker has. It looks at a
  patient's own answers alone; who looks at those of all at once can leave out whom he has found.

Not bounded are scores of how alike a picture or a text is, what is guessed of an attribute beside
what is known anyway (a coin bounds how often a guess is right, and not its correlation), and all
defenses that prove nothing.
"""

from __future__ import annotations

import math

import numpy as np

from medpriv.bounds import ball, power
from medpriv.evaluation import recipes, registry
from medpriv.evaluation.attack_catalog import images, membership
from medpriv.evaluation.cell import Cell, case_of
from medpriv.evaluation.sweep import Row

_OF_MEMBERSHIP = (membership.no_advantage, membership.as_many_of_both)


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
    victims, ratio = case_of(cell.data).cohort.victims, float(cell.defended.strength)
    # At the centre the same patient is named of each picture, the one with most of them at best.
    prior = np.unique(victims.patient, return_counts=True)[1].max() / len(victims)
    known = {"rank-1": ball.guess_ceiling(prior, ratio, 1, cell.times)}
    if len(victims.y.unique()) == 2:
        known["finding"] = ball.auc_ceiling(ratio, 1, cell.times)
    return known


def _after_dp_sgd(cell: Cell) -> dict[str, float]:
    curve = _curve(cell)
    if curve is None:
        return {}
    return {"advantage": power.advantage(curve), "AUC": power.auc(curve)}


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
