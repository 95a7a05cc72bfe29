"""A figure and how sure we are of it: every interval, nearly always a bootstrap over patients."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np

from medpriv.runtime.arguments import T
from medpriv.runtime.seeds import rng


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, over patients: see :func:`interval`.

    Attributes:
        value: the figure.
        low: where the interval begins.
        high: where it ends.
        patients: of how many patients it is, where two groups are compared of the smaller; 0 where
            nobody said.
        resampled: ``(draws,)`` the figure in each resample, for :meth:`gain`. None where a share's
            interval is not theirs, since they have no spread.
        drawn: names the resamples; figures of one name rest on the same ones.
        reach: by how much it may change where as many patients as none of these rules out are
            otherwise, see :func:`unseen`; NaN where nobody said.
    """

    value: float
    low: float
    high: float
    patients: int = field(default=0, repr=False, compare=False)
    resampled: np.ndarray | None = field(default=None, repr=False, compare=False)
    drawn: str = field(default="", repr=False, compare=False)
    reach: float = field(default=math.nan, repr=False, compare=False)

    def gain(self, over: Estimate) -> Estimate:
        """By how much it exceeds another figure of the same patients.

        In pairs where both rest on the same resamples of patients. Pairs that never differ may
        differ by what so many patients have not shown, ``reach``. Where there are no pairs, as
        where one is a share of none or of all, the squares of both distances are added (Zou &
        Donner 2008, Stat. Med. 27:1693), as for figures that have nothing to do with each other:
        too wide where both do well with the same patients, too narrow where with opposite ones.
        """
        value = self.value - over.value
        if self.drawn and self.drawn == over.drawn:
            resampled = self.resampled - over.resampled
            found = interval(value, resampled)
            if found.low < found.high:
                low, high = _outer(found, resampled)
                return replace(found, low=low, high=high, patients=self.patients, reach=self.reach)
            reach = max(self.reach, over.reach)
            if found.low == 0 and reach >= 0:
                return Estimate(value, -reach, reach, self.patients, reach=reach)
        ours, theirs = (_outer(one, one.resampled) for one in (self, over))
        down = math.hypot(self.value - ours[0], theirs[1] - over.value)
        up = math.hypot(ours[1] - self.value, over.value - theirs[0])
        return Estimate(value, value - down, value + up, self.patients, reach=self.reach)

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


def interval(
    value: float,
    resampled: np.ndarray,
    *,
    share_of: int = 0,
    patient: np.ndarray | None = None,
    seed: int = 0,
) -> Estimate:
    """A figure with the 2.5 and 97.5 % points of its resamples; those that are NaN are left out.

    Whoever draws again from patients of whom none was hit draws none: the resamples of a share of
    0 or of 1 have no spread, and say nothing of other patients. There the interval is the one of
    Clopper and Pearson 1934 (Biometrika 26:404), see :func:`unseen`. It holds for any score from 0
    to 1 that is 0 for every patient, since the mean is at most the share of those above 0; and from
    the other side for 1.

    Args:
        value: the figure.
        resampled: ``(draws,)`` the figure in each resample.
        share_of: of how many patients it is a share, or a mean of scores from 0 to 1; 0 where it is
            not one, such as a difference or a correlation.
        patient: ``(n,)`` who was drawn by :func:`patient_bootstrap`, so that figures of the same
            patients can be compared in pairs.
        seed: of these draws.
    """
    own = {
        "patients": 0 if patient is None else len(np.unique(np.asarray(patient))),
        "reach": unseen(share_of) if share_of else math.nan,
    }
    if np.isnan(resampled).all():
        return Estimate(float(value), math.nan, math.nan, **own)
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    if share_of and low == high and low in (0, 1):
        low, high = (0.0, unseen(share_of)) if low == 0 else (1 - unseen(share_of), 1.0)
    else:
        own["resampled"] = resampled
    if patient is not None and "resampled" in own:
        who = hashlib.sha256("\0".join(map(str, patient)).encode()).hexdigest()
        own["drawn"] = f"{who} {seed} {len(resampled)}"
    return Estimate(float(value), float(low), float(high), **own)


def _outer(found: Estimate, resampled: np.ndarray | None) -> tuple[float, float]:
    """The ends of its interval, or of the BCa one of its resamples where these are further out.

    Where few patients were hit, each of the two is too narrow on one side: percentiles on the
    upper, since more may be hit of those whom nobody has drawn, and BCa (Efron 1987, JASA 82:171)
    on the lower. Its acceleration is a sixth of the resamples' skewness, which it is of a mean.
    """
    drawn = np.array([]) if resampled is None else resampled[~np.isnan(resampled)]
    if not len(drawn) or np.ptp(drawn) == 0:
        return found.low, found.high
    value, normal, least = found.value, NormalDist(), 0.5 / len(drawn)
    lean = (((drawn - drawn.mean()) / drawn.std()) ** 3).mean() / 6
    below = ((drawn < value).mean() + (drawn <= value).mean()) / 2
    bias = normal.inv_cdf(min(max(below, least), 1 - least))
    levels = []
    for end in (bias + normal.inv_cdf(0.025), bias + normal.inv_cdf(0.975)):
        # Beyond its pole the formula turns round; nothing is surer than all of the resamples.
        far = end / (1 - lean * end) if lean * end < 1 else math.copysign(math.inf, end)
        levels.append(normal.cdf(bias + far))
    low, high = np.quantile(drawn, levels)
    return min(found.low, float(low)), max(found.high, float(high))


def unseen(patients: int) -> float:
    """The largest share of all patients that what none of so many showed can have, at 97.5 %.

    The upper end of Clopper and Pearson's interval for 0 of n, in closed form.
    """
    return 1 - 0.025 ** (1 / patients)


def estimates(
    score: Callable[[T, np.ndarray], np.ndarray],
    guess: T,
    baseline: T | None,
    patient: np.ndarray,
    *,
    draws: int,
    seed: int,
    shares: Sequence[int] = (),
) -> list[Estimate]:
    """Scores of a guess with their intervals; with a baseline, how much larger than of that.

    ``score`` takes a guess and how often each row counts, ``(draws, n)``, and returns one score
    under each count, ``(draws,)``, or k of them, ``(k, draws)``; a baseline meets the same counts.
    ``shares`` says of each score of how many patients it is a share, 0 if of none, see
    :func:`interval`. With a baseline no score is one; but where resamples of a difference of shares
    have no spread, its ends are those of :meth:`Estimate.gain`.
    """
    counts = patient_bootstrap(patient, draws=draws, seed=seed)
    counts = np.concatenate([np.ones((1, len(patient)), dtype=counts.dtype), counts])

    def ends(found: np.ndarray, shares: Sequence[int] = ()) -> list[Estimate]:
        return [
            interval(row[0], row[1:], share_of=share_of, patient=patient, seed=seed)
            for row, share_of in zip(found, shares or [0] * len(found), strict=True)
        ]

    ours = np.atleast_2d(score(guess, counts))
    if baseline is None:
        return ends(ours, shares)
    theirs = np.atleast_2d(score(baseline, counts))
    paired = ends(ours - theirs)
    if not shares:
        return paired
    each = zip(paired, ends(ours, shares), ends(theirs, shares), strict=True)
    return [one.gain(other) if pair.low == pair.high else pair for pair, one, other in each]


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


def mean_estimate(
    values: np.ndarray, patient: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> Estimate:
    """The mean of a score over victims, with a percentile interval over patients.

    It goes from 2.5 to 97.5 % of the bootstrap means, see ``patient_bootstrap``, and says what
    other victims would give, not what another seed would. Where each score is 0, or each is 1, it
    is the one of Clopper and Pearson, see ``interval``; of scores that may lie outside of 0 to 1,
    such as gains, take :func:`difference`.

    Args:
        values: ``(n,)`` one score a row.
        patient: ``(n,)`` the patient of each row.
        draws: bootstrap resamples.
        seed: decides the resamples.

    Raises:
        ValueError: no values, a value that is not finite, or lengths that differ.
    """
    means = _means(values, patient, draws, seed)
    return interval(
        means[0], means[1:], share_of=len(np.unique(np.asarray(patient))), patient=patient,
        seed=seed,
    )  # fmt: skip


def difference(
    values: np.ndarray, baseline: np.ndarray, patient: np.ndarray, *, seed: int = 0
) -> Estimate:
    """By how much a score exceeds a baseline on the same victims: a paired interval.

    ``values`` and ``baseline`` are ``(n,)`` scores, of which truth values count as 1 and 0. Where
    scores from 0 to 1 differ by the same on every victim, as those of two guesses that are alike,
    the share of patients whom none of these rules out (``unseen``) may differ by anything from
    -1 to 1. Patients, seed and errors are as for :func:`mean_estimate`.
    """
    both = [np.asarray(one, dtype=float) for one in (values, baseline)]
    means = _means(both[0] - both[1], patient, 2000, seed)
    found = interval(means[0], means[1:], patient=patient, seed=seed)
    if found.low != found.high or any(one.min() < 0 or one.max() > 1 for one in both):
        return found
    value, off = found.value, unseen(found.patients)
    return replace(found, low=value - off * (1 + value), high=value + off * (1 - value), reach=off)


def _means(values: np.ndarray, patient: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """``(1 + draws,)``: the mean, and the means of resamples of whole patients."""
    values = one_a_row(np.asarray(values, dtype=float), patient)
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite, so that a mean does not exist; look at the guess")
    counts = patient_bootstrap(patient, draws=draws, seed=seed)
    return np.concatenate([[values.mean()], counts @ values / counts.sum(axis=1)])


def fewest_of_each(case: np.ndarray, patient: np.ndarray) -> int:
    """How many patients there are on the smaller side, of cases and others.

    Of so many pairs of a case and another no two share a patient. So where all pairs are right (an
    AUC of 1), an AUC is as sure as a share of so many patients, see ``share_of`` of
    :func:`interval`.

    Args:
        case: ``(n,)`` bool.
        patient: ``(n,)`` of whom each row is.
    """
    patient = np.asarray(patient)
    return min(len(np.unique(patient[case])), len(np.unique(patient[~case])))


def one_a_row(values: np.ndarray, patient: np.ndarray) -> np.ndarray:
    """Return ``values`` if there is one for each row, and a row at least, else raise ValueError."""
    if values.shape != (len(patient),) or not len(values):
        raise ValueError(
            f"expected one value for each of at least one row, got shape {values.shape} for "
            f"{len(patient)} rows"
        )
    return values
