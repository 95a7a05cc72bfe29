"""How well a score ranks those who have a fact before those who do not."""

from __future__ import annotations

import numpy as np

from medpriv.statistics import Estimate, interval, patient_bootstrap, resampled_auc


def auc(
    truth: np.ndarray,
    scores: np.ndarray,
    patient: np.ndarray,
    *,
    baseline: np.ndarray | None = None,
    draws: int = 500,
    seed: int = 0,
) -> Estimate:
    """Area under the ROC curve, of one fact or the mean over several, with a 95 % interval.

    The chance that somebody who has the fact scores higher than somebody who has not, ties half
    (Hanley & McNeil 1982). Of several facts, those that everybody has, or nobody, are left out.
    The interval is from a bootstrap over patients.

    Args:
        truth: ``(n,)`` or ``(n, F)`` bool, who has which fact.
        scores: the same shape, the larger the surer.
        patient: ``(n,)`` the patient of each row.
        baseline: other scores of the same shape; the estimate is then how much larger the area is,
            on the same resamples.
        draws: bootstrap resamples.
        seed: decides the resamples.

    Returns:
        The estimate; NaN where no fact is left.

    Raises:
        ValueError: shapes differ, or a score is NaN.
    """
    truth, scores = _columns(truth).astype(bool), _columns(scores)
    other = scores if baseline is None else _columns(baseline)
    if not (truth.shape == scores.shape == other.shape) or len(truth) != len(patient):
        raise ValueError(
            f"expected truth, scores and baseline of one shape with a row for each of "
            f"{len(patient)} patients, got {truth.shape}, {scores.shape} and {other.shape}"
        )
    if np.isnan(scores).any() or np.isnan(other).any():
        raise ValueError("a score is NaN, so that it has no rank; look at the guess")
    chosen = np.flatnonzero(truth.any(0) & ~truth.all(0))
    counts = patient_bootstrap(patient, draws=draws, seed=seed)
    counts = np.concatenate([np.ones((1, len(truth)), dtype=counts.dtype), counts])
    found = _mean_area(truth, scores, counts, chosen)
    if baseline is not None:
        found = found - _mean_area(truth, other, counts, chosen)
    return interval(found[0], found[1:])


def _columns(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    return values[:, None] if values.ndim == 1 else values


def _mean_area(
    truth: np.ndarray, scores: np.ndarray, counts: np.ndarray, chosen: np.ndarray
) -> np.ndarray:
    """The mean over facts in each resample; a fact that a resample lacks is left out of it."""
    if not len(chosen):
        return np.full(len(counts), np.nan)
    areas = np.stack([resampled_auc(truth[:, f], scores[:, f], counts) for f in chosen])
    there = ~np.isnan(areas)
    total = np.where(there, areas, 0).sum(0)
    return np.divide(total, there.sum(0), out=np.full(len(counts), np.nan), where=there.any(0))
