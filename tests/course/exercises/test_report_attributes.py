"""The check cells of chapter 05: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from answering import accepted, refused


def shared(truth, guess):
    return (truth & guess).sum(1)


def f1(truth, guess, empty=1.0):
    words = truth.sum(1) + guess.sum(1)
    return np.where(words > 0, 2 * shared(truth, guess) / np.maximum(words, 1), empty)


def together(facts):
    x = facts.double()
    return x.T @ x / len(x)


def lift(facts):
    share = facts.double().mean(0)
    return together(facts) / share[:, None] / share


def one_bit(x):
    return torch.where(x >= 0, 1.0, -1.0) / x.shape[1] ** 0.5


def changed(x):
    x[0] = 0
    return one_bit(x)


RIGHT = [
    ("05-f1", f1),
    ("05-f1", lambda t, g: torch.tensor(f1(t, g))),
    ("05-lift", lift),
    ("05-lift", lambda f: lift(f).numpy()),
    ("05-bit", one_bit),
    ("05-bit", lambda x: one_bit(x).double()),
]

WRONG = [
    ("05-f1", lambda t, g: f1(t, g, empty=np.nan), "0 / 0; say 1"),
    ("05-f1", lambda t, g: shared(t, g) / np.maximum(g.sum(1), 1), "that is the precision"),
    ("05-f1", lambda t, g: shared(t, g) / np.maximum(t.sum(1), 1), "that is the recall"),
    ("05-f1", lambda t, g: shared(t, g) / np.maximum((t | g).sum(1), 1), "Jaccard's"),
    ("05-f1", lambda t, g: f1(t, g).mean(), "return one number a report, shape (4,), got ()"),
    ("05-f1", lambda t, g: f1(t, g, empty=0.0), "for four test reports your function gives"),
    ("05-lift", lambda f: together(f) / f.double().mean(0)[:, None], "that is P(column | row)"),
    ("05-lift", together, "that is how often both occur"),
    ("05-lift", lambda f: lift(f) ** 2, "for 200 test patients the first row is"),
    ("05-lift", lambda f: lift(f)[0], "got (3,)"),
    ("05-bit", lambda x: x.sign(), "an embedding has the length 1, yours has 4.000"),
    ("05-bit", lambda x: x.sign() / x.shape[1] ** 0.5, "a zero has no sign"),
    ("05-bit", lambda x: x / x.norm(dim=1, keepdim=True), "only the sign may differ"),
    ("05-bit", lambda x: one_bit(-x), "the signs are not those"),
    ("05-bit", changed, "you changed the embeddings"),
    ("05-bit", lambda x: one_bit(x)[:, :4], "return the same shape, got (5, 4)"),
    ("05-bit", lambda x: None, "did you forget `return`"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_are_accepted(name: str, answer: Any, capsys) -> None:
    accepted(name, answer, capsys)


@pytest.mark.parametrize(("name", "answer", "reason"), WRONG)
def test_wrong_answers_are_told_why(name: str, answer: Any, reason: str, capsys) -> None:
    refused(name, answer, reason, capsys)
