"""Who is exposed: the worst patients, chosen on one half of the models, judged on the other.

Whoever takes the largest of many figures takes luck with it: with memberships shuffled, the "worst
5 %" of patients have an AUC well above one half on the models that chose them. So a tail is chosen
on one half of the models and its figures are those of the other; and a patient is called *exposed*
only by an exact test there, corrected for how many were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from medpriv.metrics.per_patient import (
    auc_of_ranks,
    checked,
    halves_of,
    midranks,
    resampled_auc,
)
from medpriv.metrics.risk_comparison import rank_correlation
from medpriv.runtime.seeds import rng
from medpriv.statistics import Estimate, interval, patient_bootstrap

FEWEST_MODELS = 100  # with fewer, an exact test of a whole tail finds nobody


@dataclass(frozen=True)
class Tail:
    """The patients who were worst on one half of the models, and what the other half says of them.

    Attributes:
        chosen: ``(k,)`` numbers of the patients, in the order of the half that chose them. That
            the first of them is the worst is not confirmed.
        auc: ``(k,)`` the AUC of each on the other half.
        p: ``(k,)`` of :func:`exact_p` on the other half, before the correction.
        exposed: ``(k,)`` bool, who is exposed after it.
        confirmed: mean AUC of the chosen on the other half, with an interval over its models.
        others: the same of everybody else.
        gain: how much higher the former is, on the same resamples.
        selected: mean AUC of the chosen on the half that chose them; too high by luck.
        agreement: rank correlation of all patients' AUC in the two halves.
        share: of all patients, those who are exposed, with Clopper and Pearson's interval. Only
            the chosen were tested, so it is a floor.
        models: numbers of the models of the other half, for more figures of the chosen there.
    """

    chosen: np.ndarray
    auc: np.ndarray
    p: np.ndarray
    exposed: np.ndarray
    confirmed: Estimate
    others: Estimate
    gain: Estimate
    selected: float
    agreement: Estimate
    share: Estimate
    models: np.ndarray


def exposed_tail(
    score: np.ndarray,
    inside: np.ndarray,
    *,
    share: float = 0.05,
    alpha: float = 0.01,
    draws: int = 500,
    seed: int = 0,
) -> Tail:
    """Choose the worst share of the patients on one half of the models, report on the other.

    Args:
        score: ``(M, n)`` float, what each of M models gives of each patient, the larger the more
            it would tell: see :mod:`medpriv.metrics.per_patient`. Ties may be many.
        inside: ``(M, n)`` bool, who was in the training of each.
        share: of the patients who are chosen; at least one is.
        alpha: chance that anybody at all is called exposed where nobody is (Holm 1979).
        draws: bootstrap resamples of the models.
        seed: decides the halves, the resamples, and between ties.

    Raises:
        ValueError: as for :func:`medpriv.metrics.per_patient.patient_auc`, in each half; fewer than
            100 models; a share or alpha out of range, or nobody beside the chosen.
    """
    found = _Halves(score, inside, share, seed)
    chosen, p, exposed = found.test(found.inside, alpha, seed)
    report, members = found.scores[1], found.inside[1]
    counts = patient_bootstrap(np.arange(len(report)), draws=draws, seed=seed)
    counts = np.concatenate([np.ones((1, len(report)), dtype=counts.dtype), counts])
    areas = resampled_auc(report, members, counts)
    rest = np.setdiff1d(np.arange(areas.shape[1]), chosen)
    confirmed, others = (_mean(areas[:, who], members[:, who], seed) for who in (chosen, rest))
    before = found.auc(0, found.inside[0])
    return Tail(
        chosen=chosen,
        auc=areas[0, chosen],
        p=p,
        exposed=exposed,
        confirmed=confirmed,
        others=others,
        gain=confirmed.gain(over=others),
        selected=float(before[chosen].mean()),
        agreement=rank_correlation(before, areas[0], seed=seed),
        share=share_of(int(exposed.sum()), areas.shape[1]),
        models=halves_of(len(score), seed)[1],
    )


def exposed_if_shuffled(
    score: np.ndarray,
    inside: np.ndarray,
    *,
    shuffles: int = 100,
    share: float = 0.05,
    alpha: float = 0.01,
    seed: int = 0,
) -> np.ndarray:
    """The control: how many are called exposed where nobody can be, in each of some shuffles.

    Each patient's memberships are shuffled over the models, so that she stays in as many. At most a
    share ``alpha`` of the shuffles may report anybody.

    Returns:
        ``(shuffles,)`` int, patients called exposed in each.

    Raises:
        ValueError: as for :func:`exposed_tail`.
    """
    found = _Halves(score, inside, share, seed)
    everything = np.concatenate(found.inside)
    draw, cut = rng(seed, "shuffled memberships"), len(found.inside[0])
    reported = np.zeros(shuffles, dtype=np.int64)
    for number in range(shuffles):
        mixed = draw.permuted(everything, axis=0)
        reported[number] = found.test((mixed[:cut], mixed[cut:]), alpha, seed)[2].sum()
    return reported


class _Halves:
    """Scores and memberships of the two halves of the models, and the ranks in each."""

    def __init__(self, score: np.ndarray, inside: np.ndarray, share: float, seed: int) -> None:
        score, inside = checked(score, inside)
        models, patients = score.shape
        if models < FEWEST_MODELS:
            raise ValueError(
                f"whether a patient is exposed takes {FEWEST_MODELS} models or more, got {models}"
            )
        self.size = max(1, round(share * patients))
        if not 0 < share < 1 or self.size >= patients:
            raise ValueError(
                f"expected a share between 0 and 1 that leaves others to compare with, got {share} "
                f"of {patients} patients"
            )
        parts = halves_of(models, seed)
        self.scores = tuple(score[part] for part in parts)
        self.inside = tuple(inside[part] for part in parts)
        self.ranks = tuple(midranks(one) for one in self.scores)

    def auc(self, half: int, inside: np.ndarray) -> np.ndarray:
        checked(self.scores[half], inside, "a patient is in all models of a half, or in none")
        return auc_of_ranks(self.ranks[half], inside)

    def test(
        self, inside: tuple[np.ndarray, np.ndarray], alpha: float, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Who is chosen on the first half; p on the second; and who is exposed."""
        first = self.auc(0, inside[0])
        self.auc(1, inside[1])
        luck = rng(seed, "ties").random(len(first))
        chosen = np.lexsort((luck, -first))[: self.size]
        p = exact_p(self.scores[1][:, chosen], inside[1][:, chosen])
        return chosen, p, holm(p, alpha)


def exact_p(score: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """How likely so large a Mann-Whitney statistic is, or a larger one, if being inside is luck.

    One-sided and exact: over all ways in which as many of the models could have had her, given the
    scores. Ties share their mean rank and are part of the condition; where scores are 0 and 1, this
    is Fisher's exact test, and without ties the exact test of Mann and Whitney.

    Args:
        score: ``(M, n)``, as for :func:`medpriv.metrics.per_patient.patient_auc`.
        inside: ``(M, n)`` bool.

    Returns:
        ``(n,)`` float64.

    Raises:
        ValueError: as for :func:`medpriv.metrics.per_patient.patient_auc`.
    """
    score, inside = checked(score, inside)
    found = np.empty(score.shape[1])
    double = np.rint(2 * midranks(score)).astype(np.int64)
    for patient, (ranks, had) in enumerate(zip(double.T, inside.T, strict=True)):
        ranks = ranks - ranks.min()
        ranks //= max(1, np.gcd.reduce(ranks))
        beyond = _beyond(np.sort(ranks).tobytes(), int(had.sum()))
        found[patient] = beyond[ranks[had].sum()]
    return found


@lru_cache(maxsize=512)
def _beyond(ascending: bytes, size: int) -> np.ndarray:
    """How likely the sum of ``size`` ranks, drawn without putting back, is each sum or larger.

    Rank by rank, with the chance of each number of drawn ones and of each sum so far: the shift
    algorithm of Streitberg & Röhmel 1986, as a Markov chain, in which nothing overflows. Without
    ties it depends on the numbers of models only, so that patients share it.
    """
    ranks = np.frombuffer(ascending, dtype=np.int64)
    drawn, most = np.arange(size + 1)[:, None], int(ranks[-size:].sum())
    chance = np.zeros((size + 1, most + 1))
    chance[0, 0], reached = 1.0, 0
    for number, rank in enumerate(ranks):
        fewest = max(0, size - len(ranks) + number)  # or too few ranks are left
        most_drawn = min(number, size) + 1
        before = chance[fewest:most_drawn, : reached + 1]
        take = (size - drawn[fewest:most_drawn]) / (len(ranks) - number)
        taken = before * take
        before *= 1 - take
        there = slice(fewest + 1, fewest + 1 + len(taken))
        part = chance[there, rank : rank + reached + 1]
        part += taken[: len(part), : part.shape[1]]
        reached = min(most, reached + int(rank))
    return np.minimum(1.0, np.cumsum(chance[size, ::-1])[::-1])


def holm(p: np.ndarray, alpha: float) -> np.ndarray:
    """Which of several tests hold, so that a false one is among them with at most ``alpha``.

    The smallest p is held against alpha / k, the next against alpha / (k - 1), and so on up to the
    first that fails (Holm 1979, Scand. J. Statist. 6:65), however they depend on each other.

    Args:
        p: ``(k,)`` of the tests.
        alpha: between 0 and 1.

    Returns:
        ``(k,)`` bool.

    Raises:
        ValueError: alpha is out of range.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"expected alpha between 0 and 1, got {alpha}")
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    passed = p[order] <= alpha / np.arange(len(p), 0, -1)
    held = np.zeros(len(p), dtype=bool)
    held[order] = np.logical_and.accumulate(passed)
    return held


def share_of(found: int, patients: int) -> Estimate:
    """A share of patients with the 95 % interval of Clopper & Pearson 1934 (Biometrika 26:404)."""
    from scipy.stats import binomtest

    ends = binomtest(found, patients).proportion_ci(0.95, "exact")
    return Estimate(found / patients, float(ends.low), float(ends.high), patients)


def _mean(areas: np.ndarray, inside: np.ndarray, seed: int) -> Estimate:
    """The mean over patients of ``(1 + B, k)`` areas, with an interval over models.

    Where each area is 1, it is as sure as a share of the fewest models on one side of a patient.
    """
    means, models = np.nanmean(areas, axis=1), np.arange(len(inside))
    few = int(np.minimum(inside.sum(0), (~inside).sum(0)).min())
    found = interval(means[0], means[1:], share_of=few, patient=models, seed=seed)
    return replace(found, patients=areas.shape[1])
