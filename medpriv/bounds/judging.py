"""How much more than its claim a test of two worlds finds, chosen on one half, judged on the other.

Rates are bounded by Clopper & Pearson 1934 (Biometrika 26:404), each with half of the error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medpriv.bounds.power import Power


def judged(
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    power: Power,
    error: float,
    delta: float,
) -> dict[str, object]:
    """Thresholds and sides chosen on the first half of each, judged on the second.

    One for the claim, where it is exceeded most, and one for epsilon, where its bound is largest.
    """
    half = len(one) // 2
    best, largest = ((-np.inf, 0.0, 1.0),) * 2
    for side in (1.0, -1.0):
        found, accused = (one, other) if side > 0 else (other, one)
        cuts = np.unique(side * np.concatenate([one[:half], other[:half]]))
        least, most = _rates(side * found[:half], side * accused[:half], cuts, error)
        for_epsilon = _bound(least, most, delta)
        margin = least - power(most)
        best = max(best, _at_top(margin, cuts, side))
        largest = max(largest, _at_top(for_epsilon, cuts, side))
    rates = []
    for _, cut, side in (best, largest):
        found, accused = (
            side * each[half:] for each in ((one, other) if side > 0 else (other, one))
        )
        ends = _rates(found, accused, np.array([cut]), error)
        rates.append(((found >= cut).mean(), (accused >= cut).mean(), *ends))
    (found, accused, least, most), (_, _, low, high) = rates
    allowed = float(power(most)[0])
    return {
        "found": float(found),
        "accused": float(accused),
        "epsilon": float(_bound(low, high, delta)[0]),
        "least": float(least[0]),
        "most": allowed,
        "broken": bool(least[0] > allowed),
    }


def _at_top(
    values: NDArray[np.float64], cuts: NDArray[np.float64], side: float
) -> tuple[float, float, float]:
    top = int(values.argmax())
    return float(values[top]), float(cuts[top]), side


def _bound(
    least: NDArray[np.float64], most: NDArray[np.float64], delta: float
) -> NDArray[np.float64]:
    """ln((found - δ) / accused), or 0: how large epsilon is at least (Kairouz et al. 2015)."""
    return np.log(np.maximum(least - delta, most) / most)


def _rates(
    found: NDArray[np.float64],
    accused: NDArray[np.float64],
    cuts: NDArray[np.float64],
    error: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lower end of the share found and the upper end of the share accused, at each cut."""
    from scipy.stats import beta

    hits, alarms = ((each[:, None] >= cuts).sum(0) for each in (found, accused))
    n = len(found)
    least = np.where(hits > 0, beta.ppf(error, np.maximum(hits, 1), n - hits + 1), 0.0)
    most = np.where(alarms < n, beta.ppf(1 - error, alarms + 1, np.maximum(n - alarms, 1)), 1.0)
    return least, most
