"""The check cells of chapter 08: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from answering import accepted, refused


def both(truth, guess):
    return sum(len(a & b) for a, b in zip(truth, guess, strict=True))


def recall(truth, guess):
    return both(truth, guess) / sum(map(len, truth)), both(truth, guess) / sum(map(len, guess))


def each(truth, guess):
    pairs = list(zip(truth, guess, strict=True))
    return (
        np.mean([len(a & b) / len(a) for a, b in pairs]),
        np.mean([len(a & b) / max(len(b), 1) for a, b in pairs]),
    )


def closest(goal, guesses):
    return int(torch.cosine_similarity(guesses, goal[None]).argmax())


def rounded(x, bits, steps=None):
    steps = steps or 2 ** (bits - 1) - 1
    step = x.abs().amax(dim=1, keepdim=True) / steps
    return (x / step).round() * step


def changed(x, bits):
    x *= 1.5
    return rounded(x, bits)


RIGHT = [
    ("08-recall", recall),
    ("08-recall", lambda t, g: list(recall(t, g))),
    ("08-closest", closest),
    ("08-closest", lambda goal, g: torch.tensor(closest(goal, g))),
    ("08-bits", rounded),
    ("08-bits", lambda x, bits: rounded(x.double(), bits)),
]

WRONG = [
    ("08-recall", lambda t, g: recall(t, g)[::-1], "in the other order"),
    ("08-recall", each, "that is the mean over reports"),
    ("08-recall", lambda t, g: recall(t, g)[0], "return two numbers"),
    ("08-recall", lambda t, g: (1.0, 1.0), "for three test reports your function gives"),
    ("08-closest", lambda goal, g: int((g @ goal).argmax()), "the third guess is only the longest"),
    ("08-closest", lambda goal, g: 3, "name the first of them"),
    ("08-closest", lambda goal, g: 0, "your function names guess 0"),
    ("08-closest", lambda goal, g: g[0], "return one position"),
    ("08-closest", lambda goal, g: None, "did you forget `return`"),
    ("08-bits", lambda x, bits: rounded(x, bits, steps=15), "m is 2 ** 3 - 1 = 7, not 15"),
    ("08-bits", lambda x, bits: rounded(x.flatten()[None], bits).view_as(x), "for each row"),
    ("08-bits", changed, "you changed the embeddings"),
    ("08-bits", lambda x, bits: x, "the first number of the test is"),
    ("08-bits", lambda x, bits: rounded(x, bits)[:, :4], "return the shape (6, 40)"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_are_accepted(name: str, answer: Any, capsys) -> None:
    accepted(name, answer, capsys)


@pytest.mark.parametrize(("name", "answer", "reason"), WRONG)
def test_wrong_answers_are_told_why(name: str, answer: Any, reason: str, capsys) -> None:
    refused(name, answer, reason, capsys)
