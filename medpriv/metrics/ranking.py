"""How well a score ranks those who have a fact before those who do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medpriv.statistics import Estimate, estimates, fewest_of_each, resampled_auc


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
    The interval is from a bootstrap over patients; for an area of 0 or 1, whose resamples have no
    spread, it is Clopper and Pearson's of as many pairs as share no patient.

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
    truth = _columns(truth).astype(bool)
    scores = _scores(scores, truth, patient)
    other = None if baseline is None else _scores(baseline, truth, patient)
    chosen = np.flatnonzero(truth.any(0) & ~truth.all(0))

    def area(scores: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The mean over facts in each resample; a fact that a resample lacks is left out of it."""
        found = np.full((len(chosen), len(counts)), np.nan)
        for row, fact in enumerate(chosen):
            found[row] = resampled_auc(truth[:, fact], scores[:, fact], counts)
        there = (~np.isnan(found)).sum(0)
        total = np.where(np.isnan(found), 0, found).sum(0)
        return np.divide(total, there, out=np.full(len(counts), np.nan), where=there > 0)

    # Where the area is 1, each fact's is: the smallest of them is the least sure.
    few = min((fewest_of_each(truth[:, fact], patient) for fact in chosen), default=0)
    found = estimates(area, scores, other, patient, draws=draws, seed=seed, shares=[few])[0]
    return replace(found, reach=found.reach / max(1, len(chosen)))  # if one fact is otherwise


def _columns(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    return values[:, None] if values.ndim == 1 else values


def _scores(scores: np.ndarray, truth: np.ndarray, patient: np.ndarray) -> np.ndarray:
    scores = _columns(scores)
    if scores.shape != truth.shape or len(truth) != len(patient):
        raise ValueError(
            f"expected truth, scores and baseline of one shape with a row for each of "
            f"{len(patient)} patients, got {truth.shape} and {scores.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError("a score is NaN, so that it has no rank; look at the guess")
    return scores
