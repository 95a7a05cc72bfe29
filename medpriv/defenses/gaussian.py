"""How much normal noise makes one release differentially private, exactly."""

from __future__ import annotations

import math

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
    from scipy.optimize import brentq

    if not (epsilon > 0 and 0 < delta < 1 and sensitivity > 0):
        raise ValueError(
            f"expected epsilon and sensitivity above 0 and delta between 0 and 1; got {epsilon}, "
            f"{sensitivity}, {delta}"
        )

    def excess(log_sigma: float) -> float:
        return gaussian_delta(epsilon, math.exp(log_sigma)) - delta

    low, high = -1.0, 1.0
    while excess(low) < 0:
        low -= 2
    while excess(high) > 0:
        high += 2
    return sensitivity * math.exp(brentq(excess, low, high, xtol=1e-13))


def gaussian_delta(epsilon: float, sigma: float) -> float:
    """The delta that N(0, sigma^2) reaches at epsilon and sensitivity 1 (theorem 8).

    Phi(1 / 2s - e s) - exp(e) Phi(-1 / 2s - e s).

    Raises:
        ValueError: sigma is not above 0, or epsilon is negative.
    """
    if not (epsilon >= 0 and sigma > 0):
        raise ValueError(f"expected epsilon from 0 and sigma above 0; got {epsilon}, {sigma}")
    half, shift = 1 / (2 * sigma), epsilon * sigma
    # In logarithms, since exp(epsilon) alone may overflow.
    inside = log_ndtr(half - shift)
    return float(math.exp(inside) - math.exp(epsilon + log_ndtr(-half - shift)))
