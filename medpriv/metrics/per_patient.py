"""How exposed each single patient is, from many models that had her in their training or not.

An average over patients hides those who leak. So one statistic of every patient, by each of M
models on random halves of the patients: by how much is it higher in the models that had her? The
statistic may be any: the margin phi of :func:`medpriv.attacks.membership.true_margin`, SSIM of a
reconstruction, facts read, or whether an attribute was guessed right.

Nothing here says who is the *worst*: of many patients one has the largest figure by luck. For that
see :mod:`medpriv.metrics.exposure`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medpriv.runtime.seeds import rng
from medpriv.statistics import Estimate, interval, patient_bootstrap, unseen

_AT_ONCE = 250_000  # entries of a block, which the processor's cache shall hold


def patient_auc(score: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Each patient's AUC: models that had her against those that had not.

    Of all pairs of such models the share in which the first scores her higher, ties half (Mann &
    Whitney 1947): 0.5 where her having been in the training tells nothing.

    Args:
        score: ``(M, n)`` float, what each of M models gives of each of n patients; not NaN.
        inside: ``(M, n)`` bool, who was in the training of each.

    Returns:
        ``(n,)`` float64 in [0, 1].

    Raises:
        ValueError: shapes differ, a score is NaN, or a patient is in all models or in none.
    """
    score, inside = checked(score, inside)
    return auc_of_ranks(midranks(score), inside)


def midranks(score: np.ndarray) -> np.ndarray:
    """Ranks of each patient's scores ``(M, n)`` over the models, from 1; ties share their mean."""
    from scipy.stats import rankdata

    return rankdata(score, axis=0)


def auc_of_ranks(ranks: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """:func:`patient_auc` from the midranks ``(M, n)`` of each patient's scores over the models."""
    had, had_not = inside.sum(0), (~inside).sum(0)
    return ((ranks * inside).sum(0) - had * (had + 1) / 2) / (had * had_not)


def model_auc(
    score: np.ndarray, inside: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Estimate:
    """The pooled figure: how well one model tells those it had from the others, by one threshold.

    The AUC over all patients of each model, then the mean over models. Its interval is a bootstrap
    over models: what other trainings on other halves of these patients would give.

    Args:
        score: ``(M, n)``, as for :func:`patient_auc`; M is 2 or more.
        inside: ``(M, n)`` bool.
        draws: bootstrap resamples.
        seed: decides the resamples.

    Raises:
        ValueError: as for :func:`patient_auc`, or a model had all patients or none.
    """
    score, inside = checked(np.asarray(score).T, np.asarray(inside).T, "a model had all or none")
    areas = auc_of_ranks(midranks(score), inside)
    counts = patient_bootstrap(np.arange(len(areas)), draws=draws, seed=seed)
    return interval(areas.mean(), counts @ areas / len(areas), share_of=len(areas))


def patient_table(
    score: np.ndarray, inside: np.ndarray, *, draws: int = 200, seed: int = 0
) -> pd.DataFrame:
    """One row a patient: AUC, advantage, and how often she is found at 1 and 5 % false alarms.

    ``advantage`` is of the threshold that is best for her, chosen on one half of the models and
    measured on the other, then the other way round, and averaged: on the models that chose it, it
    would be too high. ``found at 1%`` is the share of models that had her which score above all but
    1 % of those that had not. With fewer than 99 of these the highest of them is the threshold, and
    of further models more than 1 % lie above it: one of their number plus one.

    Intervals (95 %, columns ``... low`` and ``... high``) are of each patient alone, from a
    bootstrap over models; a figure whose resamples have no spread, such as an AUC of 1, may be off
    by what so many models have not shown (:func:`medpriv.statistics.unseen`). Of the largest of
    many rows they say nothing.

    Args:
        score: ``(M, n)``, as for :func:`patient_auc`.
        inside: ``(M, n)`` bool.
        draws: bootstrap resamples.
        seed: decides the resamples and the halves.

    Raises:
        ValueError: as for :func:`patient_auc`, also in one half of the models.
    """
    score, inside = checked(score, inside)
    counts = np.concatenate(
        [
            np.ones((1, len(score)), dtype=np.int64),
            patient_bootstrap(np.arange(len(score)), draws=draws, seed=seed),
        ]
    )
    blocks = [
        (one.auc(), one.rate(0.01), one.rate(0.05))
        for one in _some_at_a_time(score, inside, counts)
    ]
    area, at_1, at_5 = (np.concatenate(one).T for one in zip(*blocks, strict=True))
    advantage = _advantage(_called(score, inside, seed), inside, counts)
    found = {"AUC": area, "advantage": advantage, "found at 1%": at_1, "found at 5%": at_5}
    had, had_not = unseen(inside.sum(0)), unseen((~inside).sum(0))
    room = {"AUC": np.maximum(had, had_not), "advantage": had + had_not}
    columns = {}
    for name, values in found.items():
        low, high = _ends(values, room.get(name, had), least=-1.0 if name == "advantage" else 0.0)
        columns |= {name: values[0], f"{name} low": low, f"{name} high": high}
    return pd.DataFrame(columns).rename_axis("patient")


def resampled_auc(score: np.ndarray, inside: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Each patient's AUC where model j counts ``counts[b, j]`` times: ``(B, n)``.

    NaN where a resample lacks models that had her, or had not.
    """
    found = [one.auc() for one in _some_at_a_time(score, inside, counts)]
    return np.concatenate(found).T


@dataclass(frozen=True)
class _Block:
    """Of c patients the models, ordered for each by score from the top, in B resamples.

    Attributes:
        hits: ``(M, c, B)`` how often the model counts among those that had her.
        before: how many had not and score higher.
        upto: how many had not and score higher or the same.
        last: ``(M, c, 1)`` bool, whether the model is the last of its score.
    """

    hits: np.ndarray
    before: np.ndarray
    upto: np.ndarray
    last: np.ndarray

    def auc(self) -> np.ndarray:
        total = self.upto[-1]
        twice = (self.hits * (2 * total - self.before - self.upto)).sum(0, dtype=np.int64)
        return _share(twice / 2, self.hits.sum(0) * total)

    def rate(self, false: float) -> np.ndarray:
        """``(c, B)`` shares of the models that had her above all but ``false`` of the others."""
        allowed = (self.upto <= false * self.upto[-1] + 1e-9) & self.last
        above = np.where(allowed, np.cumsum(self.hits, axis=0), 0).max(0)
        return _share(above, self.hits.sum(0))


def _some_at_a_time(score: np.ndarray, inside: np.ndarray, counts: np.ndarray) -> Iterator[_Block]:
    weights, number = counts.T.astype(np.int32), np.arange(len(score))[:, None]
    step = max(1, _AT_ONCE // counts.size)
    for start in range(0, score.shape[1], step):
        some = score[:, start : start + step]
        order = np.argsort(-some, axis=0, kind="stable")
        ordered = np.take_along_axis(some, order, 0)
        had = np.take_along_axis(inside[:, start : start + step], order, 0)[..., None]
        new = np.ones(ordered.shape, dtype=bool)
        new[1:] = ordered[1:] != ordered[:-1]
        last = np.ones_like(new)
        last[:-1] = new[1:]
        weight = weights[order]
        accused = weight * ~had
        upto = np.cumsum(accused, axis=0, dtype=np.int32)
        before = upto - accused
        if not new.all():  # ties: from where a score begins to where it ends
            begin = np.maximum.accumulate(np.where(new, number, 0), axis=0)
            end = np.minimum.accumulate(np.where(last, number, len(number))[::-1], axis=0)[::-1]
            before = np.take_along_axis(before, begin[..., None], 0)
            upto = np.take_along_axis(upto, end[..., None], 0)
        yield _Block(weight * had, before, upto, last[..., None])


def _called(score: np.ndarray, inside: np.ndarray, seed: int) -> np.ndarray:
    """``(M, n)`` bool: whether she is called a member, by the threshold of the other half."""
    called = np.zeros(score.shape, dtype=bool)
    halves = halves_of(len(score), seed)
    for chosen, used in (halves, halves[::-1]):
        known, had = checked(score[chosen], inside[chosen], "a patient is in all or in none")
        order = np.argsort(-known, axis=0, kind="stable")
        known, had = (np.take_along_axis(one, order, 0) for one in (known, had))
        gain = np.cumsum(np.where(had, 1 / had.sum(0), -1 / (~had).sum(0)), axis=0)
        gain[:-1][known[1:] == known[:-1]] = -np.inf  # ties fall on one side
        place = gain.argmax(0)[None]
        upper = np.take_along_axis(known, place, 0)
        lower = np.take_along_axis(known, np.minimum(place + 1, len(known) - 1), 0)
        called[used] = score[used] >= (upper + lower) / 2
    return called


def _advantage(called: np.ndarray, inside: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``(B, n)``: called a member by those that had her, minus by those that had not."""
    rates = [
        _share(counts @ (called & who), counts @ who.astype(np.int64)) for who in (inside, ~inside)
    ]
    return rates[0] - rates[1]


def _ends(values: np.ndarray, room: np.ndarray, *, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of each patient's interval, ``(n,)``; ``room`` is what it gets where nothing varies."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5], axis=0)
    room = np.where(low == high, room, 0.0)
    return np.maximum(low - room, least), np.minimum(high + room, 1.0)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def halves_of(models: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the models of two halves, drawn at random; of an odd number one has one more."""
    order = rng(seed, "halves of the models").permutation(models)
    return order[: models // 2], order[models // 2 :]


def checked(
    score: np.ndarray, inside: np.ndarray, lacking: str = "a patient is in all models or in none"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores as floats and who was inside as truth values, both ``(M, n)``.

    Raises:
        ValueError: shapes differ, a score is NaN, or a column of ``inside`` is all one.
    """
    score, inside = np.asarray(score, dtype=float), np.asarray(inside)
    if score.ndim != 2 or score.shape != inside.shape or not score.size:
        raise ValueError(
            f"expected a score (M, n) of each patient by each model, and of the same shape who was "
            f"inside, got {score.shape} and {inside.shape}"
        )
    if np.isnan(score).any():
        raise ValueError("a score is NaN, so that it has no rank; look at that model")
    if not np.isin(inside, (0, 1)).all():
        raise ValueError("whether a patient was inside is True or False; got other numbers")
    inside = inside.astype(bool)
    if inside.all(0).any() or not inside.any(0).all():
        raise ValueError(f"{lacking}, so that there is nothing to compare; take more models")
    return score, inside
