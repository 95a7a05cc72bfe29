"""Whether a model means its probabilities: of what it calls 80 % sure, 80 % should happen.

Predictions are sorted into bins of equal width; in each the mean prediction is compared with
what happened. The mean distance, weighted by the rows of each bin, is the expected calibration
error (Guo et al. 2017, ICML).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medpriv.runtime.seeds import rng
from medpriv.statistics import Estimate, interval, one_a_row, patient_bootstrap


@dataclass(frozen=True)
class Calibration:
    """How far predicted probabilities are from what happened.

    Attributes:
        table: one row for each bin that holds a prediction: ``rows``, ``predicted`` (the mean
            prediction), ``observed`` (the share that happened) with ``low`` and ``high``, its
            95 % interval, see :func:`medpriv.statistics.interval`.
        error: the expected calibration error, with a 95 % interval.
        by_chance: the error that a perfectly calibrated model with these predictions shows on
            average; on few rows it is well above 0.
    """

    table: pd.DataFrame
    error: Estimate
    by_chance: float


def calibration(
    predicted: np.ndarray,
    happened: np.ndarray,
    patient: np.ndarray,
    *,
    bins: int = 10,
    draws: int = 500,
    seed: int = 0,
) -> Calibration:
    """Compare predicted probabilities with what happened; intervals over patients.

    The error's interval is the basic bootstrap one (Davison & Hinkley 1997, chapter 5): the
    estimate lies above the true error, because chance adds to each distance, and a resample lies
    above it once more; reflecting the resamples takes both out. It goes down to 0 where one in
    forty perfectly calibrated models, or more, would show as large an error, and it always
    holds the estimate.

    Args:
        predicted: ``(n,)`` probabilities of an event, such as that the model's answer is right.
        happened: ``(n,)`` whether it happened.
        patient: ``(n,)`` the patient of each row.
        bins: how many bins of equal width between 0 and 1; an edge belongs to the lower one.
        draws: bootstrap resamples, and as many perfectly calibrated models.
        seed: decides both.

    Raises:
        ValueError: no rows, lengths that differ, a prediction outside [0, 1] or fewer than one
            bin.
    """
    predicted = one_a_row(np.asarray(predicted, dtype=float), patient)
    happened = one_a_row(np.asarray(happened, dtype=float), patient)
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise ValueError("a prediction is not between 0 and 1; give probabilities, not logits")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    edges = np.linspace(0, 1, bins + 1)
    found, bin_of = np.unique(np.searchsorted(edges[1:-1], predicted), return_inverse=True)
    inside = np.eye(len(found))[bin_of]
    counts = patient_bootstrap(patient, draws=draws, seed=seed)
    rows, observed, error = _binned(inside, predicted, happened, np.ones((1, len(patient))))
    _, resampled, errors = _binned(inside, predicted, happened, counts)
    patients = [len(np.unique(np.asarray(patient)[bin_of == k])) for k in range(len(found))]
    each = [interval(observed[0, k], resampled[:, k], share_of=n) for k, n in enumerate(patients)]
    drawn = rng(seed, "calibrated").random((draws, len(patient))) < predicted
    calibrated = _error(inside, predicted - drawn, len(patient))
    table = pd.DataFrame(
        {
            "rows": rows[0].astype(int),
            "predicted": (predicted @ inside) / rows[0],
            "observed": observed[0],
            "low": [share.low for share in each],
            "high": [share.high for share in each],
        },
        index=[f"{edges[k]:.2g}–{edges[k + 1]:.2g}" for k in found],
    )
    return Calibration(
        table=table,
        error=_interval(float(error[0]), errors, calibrated),
        by_chance=float(calibrated.mean()),
    )


def _binned(
    inside: np.ndarray, predicted: np.ndarray, happened: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and observed shares ``(draws, bins)``, NaN in an empty bin; errors ``(draws,)``."""
    rows = counts @ inside
    with np.errstate(invalid="ignore"):
        observed = (counts * happened) @ inside / rows
    error = _error(inside, counts * (predicted - happened), counts.sum(1))
    return rows, observed, error


def _error(inside: np.ndarray, gaps: np.ndarray, rows: np.ndarray | int) -> np.ndarray:
    # The sum of gaps in a bin is its rows times the distance of the two means.
    return np.abs(gaps @ inside).sum(1) / rows


def _interval(value: float, resampled: np.ndarray, calibrated: np.ndarray) -> Estimate:
    below, above = np.percentile(resampled, [2.5, 97.5])
    perhaps_none = value <= np.percentile(calibrated, 97.5)
    low = 0.0 if perhaps_none else min(max(0.0, 2 * value - above), value)
    return Estimate(value, float(low), float(max(value, 2 * value - below)))
