"""What a model trained with DP-SGD tells of one training row, by its curve of power.

A step of DP-SGD with noise multiplier s and sampling rate r tells of one row as much as one number
does, drawn from P = (1 - r) N(0, s²) + r N(1, s²) with the row and from Q = N(0, s²) without it, at
most; and T steps as much as T such numbers, though each step sees the ones before it (Zhu, Dong &
Wang 2022, AISTATS, arXiv 2106.08567: P and Q are a dominating pair, and so is their product). Hayes
et al. 2023 (arXiv 2302.07225) estimate its curve by drawing; here it is computed, from
the distribution of the privacy loss ln(dP / dQ):

1. The loss of a step is put on a grid, each interval's mass divided between its ends so that P and
   Q both keep it ("connect the dots"; Doroshenko et al. 2022, PoPETs, arXiv 2207.04380). That
   divides each outcome into two that tell more, so it is a bound, and a tight one.
2. T steps add up T losses: the T-fold convolution, by FFT, of P's masses and of Q's.
3. A test that calls out at losses from l on has level Q[loss ≥ l] and power P[loss ≥ l]. These
   points, joined by lines, are the curve.

Neighbours differ by one row (one patient, if training samples and clips patients) that is added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, logsumexp, ndtr

from medpriv.bounds.power import Power, chained
from medpriv.runtime.arguments import require_integer

_TAIL = 1e-13  # of all mass, left out on either side, and counted as if it told everything
_ROUNDING = 1e-12  # of a sum of masses that went through a Fourier transform
_CELLS = 2**20  # of the grid, at most


@dataclass(frozen=True)
class Trained:
    """The curves of power of a DP-SGD training.

    Attributes:
        found: of an event that is so often true of a model without the row: how often it can be
            true with it. For guesses of any kind, and for membership.
        missed: the other way round.
    """

    found: Power
    missed: Power

    @property
    def exchanged(self) -> Power:
        """Where a row is exchanged for another, as where a training set has a fixed size.

        It is taken out and one is put in. A share of members found among members, and of others
        among others of one split, is of this kind.
        """
        return chained(self.found, self.missed)


def training_power(noise: float, rate: float, steps: int) -> Trained:
    """The curves of power of DP-SGD.

    Args:
        noise: s, in units of the clipping length.
        rate: r, the chance of a row (or a patient) to be in a step.
        steps: T.

    Raises:
        ValueError: an argument is out of range.
    """
    require_integer("steps", steps, 1)
    if not (0 < noise < math.inf and 0 < rate <= 1):
        raise ValueError(f"expected noise above 0 and a rate in (0, 1]; got {noise}, {rate}")
    with_row, without = (np.cumsum(one[::-1]) for one in _composed(noise, rate, steps))
    # What was left out tells everything: it is found at level 0.
    found = np.minimum(1, np.concatenate([[0], with_row]) + 2 * _TAIL)
    level = np.clip(np.concatenate([[0], without]) - _ROUNDING, 0, 1)
    return Trained(_curve(level, found), _curve(1 - found[::-1], 1 - level[::-1]))


def _curve(levels: NDArray[np.float64], powers: NDArray[np.float64]) -> Power:
    def power(level: ArrayLike) -> NDArray[np.float64]:
        return np.interp(np.asarray(level, dtype=float), levels, powers, right=1.0)

    return power


def _composed(
    noise: float, rate: float, steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The masses of P and of Q on one grid of losses, after all steps."""
    step = _grid_step(noise, rate, steps)
    losses, p, q = _one_step(noise, rate, steps, step)
    high = _end(losses, p, steps) / step
    low = -_end(-losses, q, steps) / step
    begin = min(math.floor(low), 0)
    cells = max(math.ceil(high) - begin + 1, len(losses))
    size = 1 << (cells - 1).bit_length()
    # Masses of one step begin at their first loss, those of T steps at T times as much.
    shift = (round(losses[0] / step) * steps - begin) % size
    found = []
    for masses in (p, q):
        total = np.fft.irfft(np.fft.rfft(masses, size) ** steps, size)
        found.append(np.maximum(np.roll(total, shift), 0))
    return found[0], found[1]


def _grid_step(noise: float, rate: float, steps: int) -> float:
    """The width of a cell: a hundredth of the loss's spread, if the grid can hold that."""
    draws = np.linspace(-9, 9, 20_001)  # in standard deviations, without the row and with it
    density = np.exp(-(draws**2) / 2)
    losses = [_loss(draws * noise + mean, noise, rate) for mean in (0.0, 1.0)]
    moments = [[(density * one**k).sum() / density.sum() for k in (1, 2)] for one in losses]
    spread = math.sqrt(max(moments[0][1] - moments[0][0] ** 2, 1e-30))
    reach = (losses[1].max() - losses[0].min()) + 20 * math.sqrt(steps) * spread
    far = abs(steps * moments[0][0]) + steps * abs(
        (1 - rate) * moments[0][0] + rate * moments[1][0]
    )
    return max(spread / 100, (reach + far) / (_CELLS / 2))


def _loss(at: NDArray[np.float64], noise: float, rate: float) -> NDArray[np.float64]:
    """ln(dP / dQ) at a number."""
    own = math.log(rate) + (2 * at - 1) / (2 * noise**2)
    return own if rate == 1 else np.logaddexp(math.log1p(-rate), own)


def _one_step(
    noise: float, rate: float, steps: int, step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Losses on the grid, and the masses that P and Q have there."""
    far = -float(_normal_end(math.log(_TAIL / steps / 2)))
    least, most = _loss(np.array([-far * noise, 1 + far * noise]), noise, rate)
    grid = np.arange(math.floor(least / step), math.ceil(most / step) + 1)
    losses = grid * step
    # Where the loss has each value of the grid; below its infimum, ln(1 - r), nowhere.
    left = np.full(len(grid), -np.inf)
    above = losses > (math.log1p(-rate) if rate < 1 else -np.inf)
    over = losses[above]
    inner = over if rate == 1 else over + np.log1p(-np.exp(math.log1p(-rate) - over))
    left[above] = 0.5 + noise**2 * (inner - math.log(rate))
    # Intervals between neighbours on the grid: the first begins, and the last ends, at infinity.
    begin, end = left[:-1], left[1:].copy()
    begin[0], end[-1] = -np.inf, np.inf
    without = _between(begin / noise, end / noise)
    inside = _between((begin - 1) / noise, (end - 1) / noise)
    mass = (1 - rate) * without + rate * inside
    # An interval's mass goes to its ends so that P's and Q's are kept: where P has b at the upper
    # one, Q has b e^-(l + h). Where one of the two is too small a number, all goes the worse way.
    low, up = (np.exp(np.minimum(sign * losses[:-1], 700)) for sign in (1, -1))
    upper = np.clip((mass - low * without) / -math.expm1(-step), 0, mass)
    other = np.clip((up * mass - without) / math.expm1(step), 0, without)
    p, q = (
        np.append(all_ - end, 0) + np.append(0, end)
        for all_, end in ((mass, upper), (without, other))
    )
    return losses, p, q


def _between(begin: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal mass of intervals, exact in both tails."""
    turned = begin > 0
    low, high = np.where(turned, -end, begin), np.where(turned, -begin, end)
    return ndtr(high) - ndtr(low)


def _normal_end(log_mass: float) -> float:
    """Below which number so little normal mass lies, by halving."""
    low, high = -60.0, 0.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if log_ndtr(middle) < log_mass else (low, middle)
    return low


def _end(losses: NDArray[np.float64], masses: NDArray[np.float64], steps: int) -> float:
    """Above which sum of T losses at most the tail lies, by Chernoff's bound."""
    with np.errstate(divide="ignore"):
        logs = np.log(masses)
    ways = np.geomspace(1e-3, 1e3, 60) / max(1e-12, float(np.abs(losses).max()))
    return min(
        float((steps * logsumexp(logs + way * losses) - math.log(_TAIL)) / way) for way in ways
    )
