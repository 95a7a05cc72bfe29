"""The check cells of chapter 14."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from medpriv.bounds.ball import gallery_ceiling
from medpriv.course.exercises.base import call, number


def most_named(answer: Any) -> None:
    """``answer(gallery, ratio, q)`` → how often anybody names the right one, at most."""
    for gallery, ratio, q in ((100, 1.0, 1), (10, 0.5, 4), (30, 0.3, 9)):
        found = number(call(answer, gallery, ratio, q))
        right = gallery_ceiling(gallery, ratio, 1.0, q)
        assert q == 1 or abs(found - ndtr(ndtri(1 / gallery) + q * ratio)) > 1e-9, (
            "the mean of q answers has a noise that is smaller by the root of q, not by q"
        )
        assert abs(found - ndtr(ratio * q**0.5)) > 1e-9, "begin at the prior, 1 / gallery"
        _close(found, right, f"{gallery} candidates, a ratio of {ratio} and {q} answers")


def largest_ratio(answer: Any) -> None:
    """``answer(gallery, most, q)`` → the largest C / sigma that keeps the promise."""
    for gallery, most, q in ((100, 0.05, 1), (10, 0.3, 4)):
        found = number(call(answer, gallery, most, q))
        one = float(ndtri(most) - ndtri(1 / gallery))
        assert q == 1 or abs(found - one) > 1e-9, "that is for one answer; there are q of them"
        _close(found, one / q**0.5, f"{gallery} candidates, a promise of {most}, {q} answers")


def at_least_open(answer: Any) -> None:
    """``answer(auc, gallery)`` → the smallest ceiling that a system with this AUC can have."""
    for auc, gallery in ((0.9, 100), (0.75, 10)):
        found = number(call(answer, auc, gallery))
        far = float(ndtri(auc))
        assert abs(found - ndtr(ndtri(1 / gallery) + far)) > 1e-9, (
            "two patients are 2C apart, and two draws are compared: divide by the root of 2"
        )
        right = float(ndtr(ndtri(1 / gallery) + far / np.sqrt(2)))
        _close(found, right, f"an AUC of {auc} and {gallery} candidates")


def _close(found: float, right: float, where: str) -> None:
    assert abs(found - right) < 1e-6, f"for {where} you return {found:.4f}, right is {right:.4f}"


TESTS = {"14-ball": most_named, "14-ratio": largest_ratio, "14-client": at_least_open}
