"""Curves of power: how often an event can be true of one patient, if it is so often true without.

A mechanism M and a function g, with P[M(x) in E] <= g(P[M(x') in E]) for every event E and all
neighbours x, x'. In the language of f-differential privacy (Dong, Roth & Su 2022, J. R. Stat. Soc.
B 84:3, arXiv 1905.02383) g(a) = 1 - f(a): the greatest power of a test of level a. All ceilings
follow from it:

- a guess that is right with probability κ from an answer that does not depend on the patient is
  right with at most g(κ) from the true one. The event is "the guess is right", and g is concave, so
  the mean over patients is bounded too (Jensen). So it is for re-identification, attributes and
  reconstruction alike (Balle, Cherubin & Hayes 2022, S&P, arXiv 2201.04845; Hayes, Mahloujifar &
  Balle 2023, NeurIPS, arXiv 2302.07225; Kaissis et al. 2023, arXiv 2307.03928; Kulynych et al.
  2025, NeurIPS, arXiv 2507.06969);
- membership: a true positive rate is at most g(false positive rate), an advantage at most the
  largest g(a) - a, an AUC at most the integral of g.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

# From levels in [0, 1], of any shape, to the greatest power: concave, rising, at least the level.
Power = Callable[[ArrayLike], NDArray[np.float64]]


def pure(epsilon: float, delta: float = 0.0) -> Power:
    """What (epsilon, delta)-differential privacy allows (Kairouz, Oh & Viswanath 2015, ICML).

    The least of e^ε a + δ and 1 - e^(-ε) (1 - δ - a), at most 1.

    Raises:
        ValueError: epsilon is negative, or delta outside of 0 to 1.
    """
    if not (epsilon >= 0 and 0 <= delta <= 1):
        raise ValueError(
            f"expected epsilon of 0 or more and delta from 0 to 1; got {epsilon}, {delta}"
        )

    def power(level: ArrayLike) -> NDArray[np.float64]:
        level = _level(level)
        if math.isinf(epsilon):
            return np.where(level > 0, 1.0, delta)
        # An e^ε that cannot be held leaves the second line, which is then 1.
        steep = math.exp(min(epsilon, 700.0)) * level + delta
        flat = 1 - math.exp(-epsilon) * (1 - delta - level)
        return np.clip(np.minimum(steep, flat), 0, 1)

    return power


def gaussian(distance: float) -> Power:
    """What normal noise allows if means are so many standard deviations apart.

    Φ(Φ⁻¹(a) + distance), by Neyman and Pearson: the best test of N(0, 1) against N(distance, 1) is
    a threshold. It is reached, and means in many dimensions are no easier, for they lie on a line.

    Raises:
        ValueError: the distance is negative.
    """
    if not distance >= 0:
        raise ValueError(f"expected a distance of 0 or more, got {distance}")

    def power(level: ArrayLike) -> NDArray[np.float64]:
        level = _level(level)
        if math.isinf(distance):
            return np.where(level > 0, 1.0, 0.0)
        return ndtr(ndtri(level) + distance)

    return power


def advantage(power: Power) -> float:
    """The greatest true positive rate minus false positive rate: the total variation."""
    low, high = 0.0, 1.0
    for _ in range(200):  # g(a) - a is concave: a third without the top is left out each time
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if float(power(left)) - left < float(power(right)) - right:
            low = left
        else:
            high = right
    return max(0.0, *(float(power(at)) - at for at in (low, high)))


def auc(power: Power) -> float:
    """The greatest AUC: the integral of the curve, rounded up.

    Of a concave curve the midpoint of a cell is at least its mean; cells are narrow near 0 and 1.
    """
    half = np.concatenate([[0], np.geomspace(1e-12, 0.5, 4000)])
    ends = np.concatenate([half, 1 - half[-2::-1]])
    widths = np.diff(ends)
    return min(1.0, float((power(ends[:-1] + widths / 2) * widths).sum()))


def chained(*powers: Power) -> Power:
    """What holds between x and z, if the first holds between x and y, the next between y and z.

    Of one curve k times: what it says of a group of k rows (Dong, Roth & Su 2022).
    """

    def power(level: ArrayLike) -> NDArray[np.float64]:
        level = _level(level)
        for one in reversed(powers):
            level = np.clip(one(level), 0, 1)
        return level

    return power


def _level(level: ArrayLike) -> NDArray[np.float64]:
    level = np.asarray(level, dtype=float)
    if not ((level >= 0) & (level <= 1)).all():  # NaN is neither
        raise ValueError(f"a level is a probability from 0 to 1, got {level}")
    return level
