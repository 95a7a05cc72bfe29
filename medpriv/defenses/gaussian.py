"""How much normal noise makes one release differentially private, exactly."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import log_ndtr


def analytic_gaussian(epsilon: float, delta: float, *, sensitivity: float = 1.0) -> float:
    """The smallest standard deviation with which N(0, sigma^2) is (epsilon, delta)-private.

    The analytic Gaussian mechanism (Balle & Wang 2018, ICML, theorem 8), for every epsilon above 0.

    Args:
        epsilon: privacy loss, above 0.
        delta: between 0 and 1.
        sensitivity: by how much, in Euclidean distance, one person can change what is released.

    Returns:
        sigma, in the unit of the sensitivity.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(epsilon, delta, sensitivity)

    def excess(log_sigma: float) -> float:
        return gaussian_delta(epsilon, math.exp(log_sigma)) - delta

    low, high = -1.0, 1.0
    while excess(low) < 0:
        low -= 2
    while excess(high) > 0:
        high += 2
    return sensitivity * math.exp(brentq(excess, low, high, xtol=1e-13))


def gaussian_delta(epsilon: float, sigma: float, *, sensitivity: float = 1.0) -> float:
    """The delta that N(0, sigma^2) reaches at epsilon (Balle & Wang 2018, theorem 8).

    Phi(D / 2s - e s / D) - exp(e) Phi(-D / 2s - e s / D), with D the sensitivity.

    Raises:
        ValueError: sigma or the sensitivity is not above 0, or epsilon is negative.
    """
    if not (epsilon >= 0 and sigma > 0 and sensitivity > 0):
        raise ValueError(
            f"expected epsilon from 0, sigma and sensitivity above 0; got {epsilon}, {sigma}, "
            f"{sensitivity}"
        )
    half, shift = sensitivity / (2 * sigma), epsilon * sigma / sensitivity
    # In logarithms, since exp(epsilon) alone may overflow.
    inside = log_ndtr(half - shift)
    return float(math.exp(inside) - math.exp(epsilon + log_ndtr(-half - shift)))


def classical_gaussian(epsilon: float, delta: float, *, sensitivity: float = 1.0) -> float:
    """The older formula, sensitivity sqrt(2 ln(1.25 / delta)) / epsilon (Dwork & Roth 2014, A.1).

    Raises:
        ValueError: epsilon is above 1, for which the formula is not proved, or an argument is out
            of range.
    """
    _check(epsilon, delta, sensitivity)
    if epsilon > 1:
        raise ValueError(
            f"the classical formula is proved for epsilon up to 1, got {epsilon}; use "
            "analytic_gaussian"
        )
    return sensitivity * math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def _check(epsilon: float, delta: float, sensitivity: float) -> None:
    if not (epsilon > 0 and 0 < delta < 1 and sensitivity > 0):
        raise ValueError(
            f"expected epsilon and sensitivity above 0 and delta between 0 and 1; got {epsilon}, "
            f"{sensitivity}, {delta}"
        )
