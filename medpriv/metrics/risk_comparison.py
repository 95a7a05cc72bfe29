"""Are they the same patients? Two risks of each patient side by side, and groups of patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medpriv.runtime.seeds import rng
from medpriv.statistics import Estimate, interval, patient_bootstrap


def rank_correlation(
    first: np.ndarray, second: np.ndarray, *, draws: int = 500, seed: int = 0
) -> Estimate:
    """Spearman's correlation of two risks of the same patients, with an interval over patients.

    Two figures from the same models share those models' luck: take each risk from models of its
    own. And what is measured with noise correlates less than what it measures: compare with the
    correlation of one risk in two halves of the models, which is the most that can be seen.

    Args:
        first: ``(n,)`` one risk of each patient.
        second: ``(n,)`` another.
        draws: bootstrap resamples of the patients.
        seed: decides the resamples.

    Returns:
        The estimate, from -1 to 1; NaN where a risk is the same for all.

    Raises:
        ValueError: lengths differ, there are fewer than two patients, or a risk is NaN.
    """
    first, second = _paired(first, second)
    patients = np.arange(len(first))
    counts = patient_bootstrap(patients, draws=draws, seed=seed)
    counts = np.concatenate([np.ones((1, len(first)), dtype=counts.dtype), counts])
    middle = (len(first) + 1) / 2
    one, other = (_midranks(risk, counts) - middle for risk in (first, second))
    both, own, others = ((counts * pair).sum(1) for pair in (one * other, one**2, other**2))
    size = np.sqrt(own * others)
    found = np.divide(both, size, out=np.full(len(counts), np.nan), where=size > 0)
    return interval(found[0], found[1:], patient=patients, seed=seed)


def _midranks(risk: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``(draws, n)`` the midrank of each patient in each resample."""
    values, which = np.unique(risk, return_inverse=True)
    order = np.argsort(which, kind="stable")
    starts = np.searchsorted(which[order], np.arange(len(values)))
    same = np.add.reduceat(counts[:, order], starts, axis=1)
    return (np.cumsum(same, axis=1) - (same - 1) / 2)[:, which]


@dataclass(frozen=True)
class Overlap:
    """How many of the worst by one risk are among the worst by another.

    Attributes:
        share: of the worst by the first, those who are among the worst by the second too.
        chance: what two risks that have nothing to do with each other give on average.
        p: how likely so large an overlap is by chance.
    """

    share: float
    chance: float
    p: float


def tail_overlap(
    first: np.ndarray,
    second: np.ndarray,
    *,
    share: float = 0.05,
    shuffles: int = 9_999,
    seed: int = 0,
) -> Overlap:
    """Whether the worst by one risk are the worst by another.

    Who stands at the edge of a tail with others counts by the share of them that fits in. The p is
    of a permutation test, one-sided, and at least one in the number of shuffles plus one.

    Args:
        first: ``(n,)`` one risk of each patient; of models of its own, see
            :func:`rank_correlation`.
        second: ``(n,)`` another.
        share: of the patients in each tail; at least one is.
        shuffles: of the second risk over the patients.
        seed: decides them.

    Raises:
        ValueError: as for :func:`rank_correlation`, or a share out of range.
    """
    first, second = _paired(first, second)
    if not 0 < share < 1:
        raise ValueError(f"expected a share between 0 and 1, got {share}")
    size = max(1, round(share * len(first)))
    one, other = _worst(first, size), _worst(second, size)
    common = one @ other
    draw = rng(seed, "overlap by chance")
    by_chance = np.array([one @ draw.permutation(other) for _ in range(shuffles)])
    as_large = (by_chance >= common - 1e-9).sum()
    return Overlap(float(common / size), size / len(first), float((1 + as_large) / (1 + shuffles)))


def _worst(risk: np.ndarray, size: int) -> np.ndarray:
    """``(n,)`` how much of each patient is in the tail: all, none, or a share of a tie."""
    edge = np.sort(risk)[-size]
    above, at = risk > edge, risk == edge
    return above + at * (size - above.sum()) / at.sum()


def subgroup_gaps(
    risk: np.ndarray, group: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> dict[str, Estimate]:
    """How much higher the mean risk of each group is than everybody else's.

    Args:
        risk: ``(n,)`` of each patient.
        group: ``(n,)`` to which each belongs.
        draws: bootstrap resamples, of a group and of the others apart.
        seed: decides the resamples.

    Returns:
        For each group, by name, the gap with a 95 % interval over patients. Of several groups some
        are apart by luck: their number says how often.

    Raises:
        ValueError: lengths differ, a risk is NaN, or there is a single group.
    """
    risk, group = np.asarray(risk, dtype=float), np.asarray(group).astype(str)
    if risk.ndim != 1 or risk.shape != group.shape or np.isnan(risk).any():
        raise ValueError(
            f"expected a risk, not NaN, and a group for each patient, got shapes {risk.shape} and "
            f"{group.shape}"
        )
    names = np.unique(group)
    if len(names) < 2:
        raise ValueError(f"a gap is between two groups or more, got {len(names)}")
    found = {}
    for name in names:
        parts = [risk[group == name], risk[group != name]]
        means = []
        for number, part in enumerate(parts):
            counts = patient_bootstrap(np.arange(len(part)), draws=draws, seed=seed + number)
            means.append(counts @ part / len(part))
        value = parts[0].mean() - parts[1].mean()
        found[str(name)] = interval(value, means[0] - means[1])
    return found


def _paired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 2:
        raise ValueError(
            f"expected two risks of each of two patients or more, got shapes {first.shape} and "
            f"{second.shape}"
        )
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("a risk is NaN, so that it has no rank; look at how it was measured")
    return first, second
