"""A figure and how sure we are of it."""

from __future__ import annotations

import numpy as np

from medpriv.data.resampling import Estimate, interval, patient_bootstrap


def mean_estimate(
    values: np.ndarray, patient: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Estimate:
    """The mean of a score over victims, with a percentile interval over patients.

    The interval is the one from 2.5 to 97.5 % of ``draws`` bootstrap means, each over whole
    patients drawn with replacement. It says what other victims would give, not what another seed
    would.

    Args:
        values: ``(n,)`` one score a row.
        patient: ``(n,)`` the patient of each row.
        draws: bootstrap resamples.
        seed: decides the resamples.

    Raises:
        ValueError: no values, a value that is not finite, or lengths that differ.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) != len(patient) or not len(values):
        raise ValueError(
            f"expected one value for each of at least one row, got shape {values.shape} for "
            f"{len(patient)} rows"
        )
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite, so that a mean does not exist; look at the guess")
    counts = patient_bootstrap(patient, draws=draws, seed=seed)
    means = counts @ values / counts.sum(axis=1)
    return interval(values.mean(), means)


def difference(
    values: np.ndarray, baseline: np.ndarray, patient: np.ndarray, *, seed: int = 0
) -> Estimate:
    """By how much a score exceeds a baseline on the same victims: a paired interval.

    Args:
        values: ``(n,)`` one score a row; truth values count as 1 and 0.
        baseline: the same for the baseline.
        patient: ``(n,)`` the patient of each row.
        seed: decides the resamples.

    Raises:
        ValueError: as for :func:`mean_estimate`.
    """
    gain = np.asarray(values, dtype=float) - np.asarray(baseline, dtype=float)
    return mean_estimate(gain, patient, seed=seed)
