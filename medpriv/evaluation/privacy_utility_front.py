"""Which of several systems no other one beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def on_front(leak: ArrayLike, utility: ArrayLike) -> np.ndarray:
    """Whether each system lies on the privacy-utility front (the Pareto front of the two).

    One system beats another if it leaks no more and is worth no less, and is better in one of the
    two. Systems that are equal in both do not beat each other.

    Args:
        leak: ``(n,)`` numbers, of which less is better.
        utility: ``(n,)`` numbers, of which more is better.

    Returns:
        ``(n,)`` bool.

    Raises:
        ValueError: the two have other shapes, or one has a NaN.
    """
    leaks, worth = np.asarray(leak, dtype=float), np.asarray(utility, dtype=float)
    if leaks.ndim != 1 or leaks.shape != worth.shape:
        raise ValueError(
            f"expected a leak and a utility for each system, got shapes {leaks.shape} and "
            f"{worth.shape}"
        )
    if np.isnan(leaks).any() or np.isnan(worth).any():
        raise ValueError("a leak or a utility is NaN; leave out systems that were not measured")
    no_worse = (leaks[:, None] <= leaks) & (worth[:, None] >= worth)
    better = (leaks[:, None] < leaks) | (worth[:, None] > worth)
    return ~(no_worse & better).any(axis=0)
