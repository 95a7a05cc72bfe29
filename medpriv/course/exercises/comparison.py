"""The check cells of chapter 12."""

from __future__ import annotations

from typing import Any

import numpy as np

from medpriv.course.exercises.base import call, number, numbers
from medpriv.evaluation import on_front
from medpriv.runtime.seeds import rng


def left(answer: Any) -> None:
    """``answer(scores, baseline, undefended)`` → the share of a leak that each defense leaves."""
    for n, seed in ((6, 1), (9, 2)):
        draws = rng(seed, "exercise")
        baseline = draws.uniform(0.1, 0.3, n)
        undefended = baseline + draws.uniform(0.3, 0.6, n)
        shares = draws.uniform(0.1, 0.9, (n, 3))
        shares[0] = (-0.4, -0.1, -0.2)  # all below the baseline
        baseline[4], undefended[4] = -0.5, -0.1  # such as an MCC can be
        shares[4] = (0.3, 0.7, np.nan)
        shares[1] = (0.2, 1.1, 0.3)  # by chance a little above no defense
        shares[2:4, 2] = np.nan  # answers that are always the same cannot be averaged
        shares[3, 0] = np.nan  # and some cannot be read by who knows of no defense
        scores = baseline[:, None] + shares * (undefended - baseline)[:, None]
        found = numbers(
            call(answer, scores.copy(), baseline.copy(), undefended.copy()), (n,),
            "one share for each defense",
        )  # fmt: skip
        best = np.nanmax(shares, axis=1)
        right = best.clip(0, 1)
        assert not np.isnan(found).any(), (
            "some shares are NaN: an attacker who is not there has NaN, and `max` passes it on"
        )
        zeroed = (np.nan_to_num(scores).max(1) - baseline) / (undefended - baseline)
        assert not np.allclose(found, zeroed.clip(0, 1)), (
            "an attacker who is not there is no attacker with a score of 0; leave him out"
        )
        assert not np.allclose(found, best), "keep the share between 0 and 1"
        assert not np.allclose(found, np.nanmean(shares, axis=1).clip(0, 1)), (
            "that is the mean attacker; whoever attacks takes the best way"
        )
        assert not np.allclose(found, shares[:, 1].clip(0, 1)), (
            "that is the adaptive attacker alone; now and then another one is better"
        )
        assert not np.allclose(found, (np.nanmax(scores, 1) / undefended).clip(0, 1)), (
            "take the baseline off first: what is known without the model does not leak from it"
        )
        assert np.allclose(found, right), (
            f"for the third defense you return {found[2]:.3f}, right is {right[2]:.3f}"
        )


def front(answer: Any) -> None:
    """``answer(leak, utility)`` → which defenses no other one beats."""
    drawn = rng(3, "exercise").uniform(size=(2, 40))
    examples = [
        (drawn[0], drawn[1]),
        # The last two are equal in both: neither beats the other.
        (np.array([0.2, 0.2, 0.5, 0.5, 0.9, 0.9]), np.array([0.6, 0.7, 0.7, 0.8, 0.9, 0.9])),
    ]
    for leak, utility in examples:
        found = numbers(
            call(answer, leak.copy(), utility.copy()), leak.shape, "true or false for each defense"
        ).astype(bool)
        no_worse = (leak[:, None] <= leak) & (utility[:, None] >= utility)
        right = on_front(leak, utility)
        assert not np.array_equal(found, ~right), "that marks those that are beaten; turn it round"
        assert not np.array_equal(found, ~no_worse.any(0)), (
            "each defense is as good as itself: ask for better in one of the two, too"
        )
        strictly = (leak[:, None] < leak) & (utility[:, None] > utility)
        assert np.array_equal(right, ~strictly.any(0)) or not np.array_equal(
            found, ~strictly.any(0)
        ), "one that leaks as much and is worth less is beaten, too"
        wrong = np.flatnonzero(found != right)
        assert not len(wrong), (
            f"leak {leak[wrong[0]]:.2f} with utility {utility[wrong[0]]:.2f} is "
            f"{'on the front' if right[wrong[0]] else 'beaten by another'}; you say it is not"
        )


def choose(answer: Any) -> None:
    """``answer(leak, utility, limit)`` → which defense to choose, and the leak to report."""
    for n, seed in CHOICES:
        leak, utility, limit = choices(n, seed)
        found = call(answer, leak.copy(), utility.copy(), limit)
        pair = len(found) if isinstance(found, (tuple, list)) else 0
        assert pair == 2, "return two things: the number of the defense, and the leak to report"
        which, reported = int(number(found[0])), number(found[1])
        right = _chosen(leak[::2], utility[::2], limit)
        assert which == right or which != int(leak[::2].mean(0).argmin()), (
            "that leaks least; of all that keep the limit, take the most useful one"
        )
        assert which == right or which != int(utility[::2].mean(0).argmax()), (
            "that is the most useful of all; it has to keep the limit"
        )
        assert which == right or which != _chosen(leak, utility, limit), (
            "you choose with all seeds; choose with the even ones, `leak[::2]`"
        )
        assert which == right, f"you choose defense {which}, right is {right}"
        assert not np.isclose(reported, leak[::2, which].mean()), (
            "that is the leak on the seeds that it was chosen by; report the others', `leak[1::2]`"
        )
        assert np.isclose(reported, leak[1::2, which].mean()), (
            f"you report {reported:.3f}, right is {leak[1::2, which].mean():.3f}"
        )


# Defenses and a seed, such that each of the mistakes that are told apart chooses another defense.
CHOICES = ((12, 32), (12, 1564))


def choices(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Leak and utility of ``n`` defenses with six seeds, and a limit that one of them meets."""
    draws = rng(seed, "exercise")
    leak = draws.uniform(0.2, 0.6, n) + 0.15 * draws.standard_normal((6, n))
    utility = draws.uniform(0.6, 0.9, n) + 0.08 * draws.standard_normal((6, n))
    # Multiples of 3/256: the mean of three that lies on the limit lies on it exactly.
    leak = 3 * np.round(leak * 256 / 3) / 256
    allowed = np.sort(leak[::2].mean(0))[: n // 2]
    return leak, utility, float(allowed[-1])


def _chosen(leak: np.ndarray, utility: np.ndarray, limit: float) -> int:
    allowed = leak.mean(0) <= limit
    return int(np.where(allowed, utility.mean(0), -np.inf).argmax())


TESTS = {"12-left": left, "12-front": front, "12-choose": choose}
