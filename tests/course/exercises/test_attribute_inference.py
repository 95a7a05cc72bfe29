"""The check cells of chapter 04: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from answering import accepted, refused


def recalls(truth, guess, values):
    return np.array([(guess[truth == v] == v).mean() if (truth == v).any() else 0 for v in values])


def g_mean(truth, guess):
    found = recalls(truth, guess, np.unique(truth))
    return found.prod() ** (1 / len(found))


def away(grid, printed):
    return (grid - printed[:, None]).abs()


def fits(grid, printed, digits, step=0.5, slack=1e-6):
    return (away(grid, printed) <= step * 10**-digits + slack).all(2)


def rows_to_one(x):
    return x / x.sum(1, keepdim=True)


def first(likelihood, prior):
    return rows_to_one((likelihood * prior).sum(2))


RIGHT = [
    ("04-gmean", g_mean),
    ("04-gmean", lambda t, g: torch.tensor(g_mean(t, g))),
    ("04-gmean", lambda t, g: np.exp(np.log(recalls(t, g, np.unique(t)) + 1e-300).mean())),
    ("04-fits", fits),
    ("04-fits", lambda g, p, d: fits(g, p, d).numpy()),
    ("04-fits", lambda g, p, d: away(g, p).amax(2) <= 0.5 * 10**-d + 1e-6),
    ("04-sum", first),
    ("04-sum", lambda x, p: rows_to_one(torch.einsum("nab,ab->na", x, p)).numpy()),
]

WRONG = [
    ("04-gmean", lambda t, g: recalls(t, g, np.unique(t)).mean(), "that is the arithmetic mean"),
    ("04-gmean", lambda t, g: (t == g).mean(), "that is the arithmetic mean of the shares, or"),
    ("04-gmean", lambda t, g: recalls(t, g, np.unique(t)).prod(), "take its root"),
    ("04-gmean", lambda t, g: recalls(t, g, np.unique(t)).prod() ** (1 / 4), "that occur in truth"),
    ("04-gmean", lambda t, g: recalls(t, g, range(4)).prod() ** (1 / 4), "not from guess"),
    ("04-gmean", lambda t, g: 0.3, "for ten test patients your function gives 0.300"),
    ("04-gmean", lambda t, g: g_mean(t, g) if len(t) == 10 else 0.5, "the G-mean is 0"),
    ("04-gmean", lambda t, g: recalls(t, g, np.unique(t)), "return one number, got 3"),
    ("04-gmean", lambda t, g: None, "did you forget `return`"),
    ("04-fits", lambda g, p, d: away(g, p) <= 0.5 * 10**-d, "return (60, 4), got (60, 4, 3)"),
    ("04-fits", lambda g, p, d: fits(g, p, d).float(), "return truth values, got torch.float32"),
    (
        "04-fits",
        lambda g, p, d: (away(g, p) <= 0.5 * 10**-d + 1e-6).any(2),
        "one score that fits is not enough",
    ),
    ("04-fits", lambda g, p, d: fits(g, p, d, step=1.0), "you allow a whole step"),
    ("04-fits", lambda g, p, d: fits(g, p, d, step=0.1), "the true candidate is ruled out"),
    ("04-fits", lambda g, p, d: fits(g, p, d, step=0.8), "digits your function keeps"),
    ("04-fits", lambda g, p, d: (g - p).abs() < 1, "your code raised"),
    ("04-sum", lambda x, p: (x * p).sum(2), "each row must add up to 1"),
    ("04-sum", lambda x, p: rows_to_one((x * p).amax(2)), "you take the largest completion"),
    ("04-sum", lambda x, p: rows_to_one(x.sum(2) * p.sum(1)), "with its own prior"),
    ("04-sum", lambda x, p: rows_to_one(x.sum(2)), "for the first test victim"),
    ("04-sum", lambda x, p: rows_to_one((x * p).sum(1)), "return (20, 3), got (20, 4)"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_are_accepted(name: str, answer: Any, capsys) -> None:
    accepted(name, answer, capsys)


@pytest.mark.parametrize(("name", "answer", "reason"), WRONG)
def test_wrong_answers_are_told_why(name: str, answer: Any, reason: str, capsys) -> None:
    refused(name, answer, reason, capsys)
