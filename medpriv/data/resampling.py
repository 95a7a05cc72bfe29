"""Drawing patients again: the bootstrap that every interval of the course rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medpriv.runtime import rng


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, from a bootstrap over patients."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def patient_bootstrap(patient: np.ndarray, *, draws: int = 500, seed: int = 0) -> np.ndarray:
    """How often each row counts in each of ``draws`` resamples of whole patients.

    Rows of one patient are not independent, so patients are drawn, not rows (the cluster
    bootstrap; Davison & Hinkley 1997, section 3.8).

    Args:
        patient: ``(n,)`` the patient of each row.
        draws: number of resamples.
        seed: decides the draws.

    Returns:
        ``(draws, n)`` int64 counts; each row of the result sums over patients to their number.
    """
    names, inverse = np.unique(np.asarray(patient), return_inverse=True)
    chance = np.full(len(names), 1 / len(names))
    counts = rng(seed, "bootstrap").multinomial(len(names), chance, size=draws)
    return counts[:, inverse]


def interval(value: float, resampled: np.ndarray) -> Estimate:
    """A figure with the 2.5 and 97.5 % points of its resamples; those that are NaN are left out."""
    if np.isnan(resampled).all():
        return Estimate(float(value), float("nan"), float("nan"))
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))


def resampled_auc(case: np.ndarray, score: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Of all pairs of a case and another row, the share in which the case scores higher.

    Ties count half: the area under the ROC curve in the form of Mann and Whitney.

    Args:
        case: ``(n,)`` bool.
        score: ``(n,)``.
        counts: ``(draws, n)`` how often each row counts.

    Returns:
        ``(draws,)`` float64 in [0, 1], NaN where a resample lacks cases or others.
    """
    order = np.argsort(score, kind="stable")
    ties = np.unique(score[order], return_index=True)[1]  # where each value of the score starts
    cases = np.add.reduceat((counts * case)[:, order], ties, axis=1)
    others = np.add.reduceat((counts * ~case)[:, order], ties, axis=1)
    below = np.cumsum(others, axis=1) - others
    pairs = cases.sum(1) * others.sum(1)
    right = (cases * (below + others / 2)).sum(1)
    return np.divide(right, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)
