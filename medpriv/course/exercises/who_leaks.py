"""The exercises of chapter 13-who-leaks."""

from __future__ import annotations

from typing import Any

import numpy as np

from medpriv.course.exercises.base import call, number, numbers
from medpriv.metrics.exposure import holm as right_holm
from medpriv.runtime.seeds import rng


def gap(answer: Any) -> None:
    """``answer(margin, had)`` → ``(patients,)`` mean margin with her minus without."""
    draw = rng(0, "exercise")
    had = draw.permuted(np.tile(np.arange(10)[:, None] < 4, (1, 6)), axis=0)
    margin = draw.normal(size=(10, 6)) + 2 * had + 5
    with_her, without = (
        np.array([margin[who[:, i], i].mean() for i in range(6)]) for who in (had, ~had)
    )
    expected = with_her - without
    found = call(answer, margin, had)
    assert np.shape(found) != (10,), "that is one number a model; the mean is over the models"
    found = numbers(found, (6,), "for 10 models and 6 patients return 6 numbers")
    assert not np.allclose(found, -expected), "turned round: with her minus without"
    assert not np.allclose(found, with_her), "the mean of the models without her is missing"
    wrong = np.where(had, margin, 0).mean(0) - np.where(~had, margin, 0).mean(0)
    assert not np.allclose(found, wrong), (
        "you divide by the number of all models; of 10, four had each patient and six had not"
    )
    assert np.allclose(found, expected, atol=1e-6), (
        f"for the first test patient your function gives {found[0]:.3f}, right is {expected[0]:.3f}"
    )


def tail(answer: Any) -> None:
    """``answer(chose, judges)`` → the mean of the worst 5 % by the first, in the second."""
    draw = rng(1, "exercise")
    chose, judges = draw.random(200), draw.random(200)
    worst = np.argsort(-chose)[:10]
    expected = judges[worst].mean()
    found = number(call(answer, chose, judges))
    assert abs(found - chose[worst].mean()) > 1e-6, (
        "that is the figure of the half that chose them, with its luck"
    )
    assert abs(found - np.sort(judges)[-10:].mean()) > 1e-6, (
        "you chose them on the half that is to judge; choose by `chose`"
    )
    assert abs(found - judges[np.argsort(chose)[:10]].mean()) > 1e-6, (
        "these are the least exposed; np.argsort sorts upwards"
    )
    assert abs(found - judges.mean()) > 1e-6, "that is the mean of everybody"
    assert abs(found - expected) < 1e-6, (
        f"for 200 test patients, of whom 10 are the worst 5 %, your function gives {found:.3f}, "
        f"right is {expected:.3f}"
    )
    of_few = number(call(answer, chose[:7], judges[:7]))
    assert abs(of_few - judges[:7][chose[:7].argmax()]) < 1e-6, (
        "of 7 patients 5 % is less than one; at least one patient is in the tail"
    )


def holm(answer: Any) -> None:
    """``answer(p, alpha)`` → ``(k,)`` bool, which tests hold by Holm's rule."""
    p = np.array([0.04, 0.001, 0.015, 0.9, 0.012])
    expected = right_holm(p, 0.05)
    found = call(answer, p, 0.05)
    assert np.shape(found) == (5,), (
        f"for 5 values return 5 truth values, got the shape {np.shape(found)}"
    )
    found = np.asarray(found)
    assert found.dtype == bool, f"return truth values, got {found.dtype}"
    assert not np.array_equal(found, p <= 0.05), "nothing is corrected for how many were asked"
    assert not np.array_equal(found, p <= 0.05 / 5), (
        "that is Bonferroni's rule, every value against alpha / k; Holm's gets milder"
    )
    assert not np.array_equal(found, expected[np.argsort(p)]) or np.array_equal(found, expected), (
        "the answers are in the order of the sorted values; put them back into the order of p"
    )
    assert np.array_equal(found, expected), (
        f"for p = {p.tolist()} and alpha = 0.05 your function gives {found.tolist()}, right is "
        f"{expected.tolist()}"
    )
    gap_in_it = np.array([0.001, 0.03, 0.026, 0.04])
    again = np.asarray(call(answer, gap_in_it, 0.05))
    assert np.array_equal(again, right_holm(gap_in_it, 0.05)), (
        "the rule stops at the first value that is too large, also where a later one would pass"
    )


TESTS = {"13-gap": gap, "13-tail": tail, "13-holm": holm}
