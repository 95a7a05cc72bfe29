"""How well an attribute was guessed: figures that do not reward naming the most common value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medpriv.statistics import Estimate, estimates, one_a_row, unseen


@dataclass(frozen=True)
class AttributeScores:
    """Scores of guesses over victims, each with a 95 % interval over patients.

    Attributes:
        accuracy: share that is right; says little where one value is common.
        g_mean: geometric mean of the recalls, over the values that occur among the victims; 0 as
            soon as one value is never found.
        mcc: Matthews' correlation coefficient, in Gorodkin's form for several values; 0 for a
            guess that does not depend on the truth.
    """

    accuracy: Estimate
    g_mean: Estimate
    mcc: Estimate


def attribute_scores(
    truth: np.ndarray,
    guess: np.ndarray,
    patient: np.ndarray,
    values: int,
    *,
    baseline: np.ndarray | None = None,
    draws: int = 500,
    seed: int = 0,
) -> AttributeScores:
    """Score guesses of an attribute, or by how much they beat those of a baseline.

    Where the resamples of a score have no spread, such as those of a guess that is always right or
    always the same, its interval tells what it could be if as many patients as none of these rules
    out (:func:`medpriv.statistics.unseen`) were guessed in one other way. Where all victims have
    one value, nobody can tell a good guess from a bad one: MCC and G-mean have no interval.

    Args:
        truth: ``(n,)`` int, which value each victim has, from 0.
        guess: ``(n,)`` int, the guesses.
        patient: ``(n,)`` the patient of each row.
        values: how many values there are.
        baseline: ``(n,)`` int, guesses to beat: each score is then ours minus theirs on the same
            victims, with a paired interval; where that has no spread, as of two guesses that are
            alike on every victim, with the one of :meth:`medpriv.statistics.Estimate.gain`.
        draws: bootstrap resamples over patients.
        seed: decides the resamples.

    Raises:
        ValueError: no rows, lengths differ, or a value lies outside 0..values-1.
    """
    truth, guess = _whole(truth, values, patient), _whole(guess, values, patient)

    def tables(guess: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """``(draws, values, values)``: how often each truth met each guess."""
        cells = np.zeros((len(truth), values**2))
        cells[np.arange(len(truth)), truth * values + guess] = 1
        return (counts @ cells).reshape(-1, values, values)

    def scores(guess: np.ndarray, counts: np.ndarray) -> np.ndarray:
        return _scores(tables(guess, counts))

    def alone(guess: np.ndarray) -> list[Estimate]:
        found = estimates(scores, guess, None, patient, draws=draws, seed=seed)
        once = tables(guess, np.ones((1, len(truth))))[0]
        others = _scores(_one_way_off(once, unseen(found[0].patients)))
        ends = zip(found, others.min(1), others.max(1), strict=True)
        return [_no_surer(one, float(low), float(high)) for one, low, high in ends]

    found = alone(guess)
    if baseline is not None:
        baseline = _whole(baseline, values, patient)
        paired = estimates(scores, guess, baseline, patient, draws=draws, seed=seed)
        each = zip(paired, found, alone(baseline), strict=True)
        found = [one.gain(other) if pair.low == pair.high else pair for pair, one, other in each]
    if len(np.unique(truth)) == 1:
        found[1:] = (replace(one, low=math.nan, high=math.nan, drawn="") for one in found[1:])
    return AttributeScores(*found)


def _no_surer(found: Estimate, low: float, high: float) -> Estimate:
    """A score that was found, in an interval of these ends at least where it has no spread."""
    reach = max(found.value - low, high - found.value)
    if found.low == found.high:
        return replace(found, low=low, high=high, resampled=None, drawn="", reach=reach)
    return replace(found, reach=reach)


def top_precision(
    truth: np.ndarray, rank: np.ndarray, top: Sequence[int] = (10, 50, 100)
) -> dict[int, Estimate]:
    """Of the victims that an attacker is surest about, how many have the value (PPV).

    The interval is Wilson's, over victims. Of victims that rank equally, those who come first
    count, so rank by something that does not know the truth.

    Args:
        truth: ``(n,)`` bool, who has the value.
        rank: ``(n,)`` float, the attacker's certainty that one has it.
        top: how many victims to look at; cut at n.

    Raises:
        ValueError: no rows, lengths differ, a rank is NaN, or a number is below 1.
    """
    truth, rank = np.asarray(truth, dtype=bool), np.asarray(rank, dtype=float)
    if truth.ndim != 1 or truth.shape != rank.shape or not len(truth):
        raise ValueError(f"expected one rank for each truth, got {truth.shape}, {rank.shape}")
    if np.isnan(rank).any() or min(top, default=0) < 1:
        raise ValueError("a rank is NaN, or a number of victims is below 1")
    order = np.argsort(-rank, kind="stable")
    return {number: _wilson(truth[order[:number]]) for number in top}


def _whole(values: np.ndarray, number: int, patient: np.ndarray) -> np.ndarray:
    values = one_a_row(np.asarray(values), patient)
    whole = values.astype(int)
    if (whole != values).any() or whole.min() < 0 or whole.max() >= number:
        raise ValueError(f"a value lies outside 0..{number - 1}")
    return whole


def _scores(tables: np.ndarray) -> np.ndarray:
    """``(3, draws)``: accuracy, G-mean and MCC."""
    accuracy = np.trace(tables, axis1=1, axis2=2) / tables.sum((1, 2))
    return np.stack([accuracy, _g_mean(tables), _mcc(tables)])


def _one_way_off(table: np.ndarray, share: float) -> np.ndarray:
    """The table, and those in which a share of all rows is guessed in one other way.

    Rows of one truth (all that it has, where they are fewer), any of them or those that are guessed
    right, or rows of each truth, who are guessed right.
    """
    changed = [table, (1 - share) * table + share * np.diag(table.sum(1))]
    for truth, guess in np.ndindex(table.shape):
        row = table[truth]
        right = np.where(np.arange(len(row)) == truth, row, 0)
        for some in (row, right):
            if some.any():
                moved = min(share * table.sum(), some.sum())
                other = table.astype(float)
                other[truth] -= some * moved / some.sum()
                other[truth, guess] += moved
                changed.append(other)
    return np.stack(changed)


def _g_mean(tables: np.ndarray) -> np.ndarray:
    there = tables.sum(2)
    found = np.diagonal(tables, axis1=1, axis2=2)
    with np.errstate(divide="ignore"):
        logs = np.where(there > 0, np.log(found / np.maximum(there, 1)), 0.0)
    return np.exp(logs.sum(1) / (there > 0).sum(1))


def _mcc(tables: np.ndarray) -> np.ndarray:
    """Gorodkin 2004 (Comput. Biol. Chem. 28:367), equation 8; 0 where it does not exist."""
    rows, columns, total = tables.sum(2), tables.sum(1), tables.sum((1, 2))
    both = np.trace(tables, axis1=1, axis2=2) * total - (rows * columns).sum(1)
    size = (total**2 - (rows**2).sum(1)) * (total**2 - (columns**2).sum(1))
    return np.where(size > 0, both / np.sqrt(np.maximum(size, 1e-300)), 0.0)


def _wilson(found: np.ndarray) -> Estimate:
    number, share, z = len(found), found.mean(), 1.959964
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return Estimate(float(share), float(max(0, middle - half)), float(min(1, middle + half)))
