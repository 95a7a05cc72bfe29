"""The check cells of chapter 03: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from answering import accepted, refused
from medpriv.deployment import deploy
from medpriv.metrics import mean_estimate


def accuracy(answers, labels):
    return (answers == labels).float().mean()


def most(labels):
    return torch.bincount(labels).max() / len(labels)


def group(least=30, count=lambda patient: len(set(patient)), few="too few"):
    def answer(right, patient, chosen):
        if count(patient[chosen]) < least:
            return few
        return mean_estimate(right[chosen], patient[chosen])

    return answer


def over_rows(right, patient, chosen):
    return mean_estimate(right[chosen], np.arange(chosen.sum()))


def label(model, x, y):
    return deploy(model, expose="label")(x) == y


RIGHT = [
    ("03-majority", lambda a, y: accuracy(a, y) - most(y)),
    ("03-majority", lambda a, y: float(accuracy(a, y)) - max(np.bincount(y.numpy())) / len(y)),
    ("03-majority", lambda a, y: (accuracy(a, y) - most(y)).numpy()),
    ("03-group", group()),
    ("03-group", group(count=lambda patient: len(np.unique(patient)))),
    ("03-group", group(least=29.5)),
    ("03-label", label),
    ("03-label", lambda model, x, y: label(model, x, y).numpy()),
    ("03-label", lambda model, x, y: label(model, x, y).tolist()),
    ("03-label", lambda model, x, y: label(model, x, y).logical_and(torch.tensor(True))),
]

WRONG = [
    ("03-majority", accuracy, "that is the accuracy alone"),
    ("03-majority", lambda a, y: most(y) - accuracy(a, y), "the sign is turned round"),
    ("03-majority", lambda a, y: accuracy(a, y) - most(a), "count the labels, not the model's"),
    ("03-majority", lambda a, y: accuracy(a, y) - 1 / 3, "for ten test patients your function"),
    ("03-majority", lambda a, y: accuracy(a, y) - accuracy(y, 1), "another class is the most"),
    (
        "03-majority",
        lambda a, y: accuracy(a, y) - Counter(y).most_common(1)[0][1] / len(y),
        "count labels.tolist()",
    ),
    ("03-majority", lambda a, y: (a == y).float() - most(y), "return one number, got 10"),
    ("03-majority", lambda a, y: None, "did you forget `return`"),
    ("03-majority", lambda a, y: float("nan"), "return a finite number, got nan"),
    ("03-majority", 0.2, "a function was expected, got float"),
    ("03-group", lambda right, patient, chosen: right[chosen].mean(), "what metrics.mean_estimate"),
    ("03-group", lambda right, patient, chosen: mean_estimate(right, patient), "of everybody"),
    ("03-group", over_rows, "the interval is over rows"),
    ("03-group", lambda r, p, c: mean_estimate(r[c], p[c]), "is too small: count patients, not"),
    ("03-group", group(count=len), "is too small: count patients, not rows"),
    ("03-group", group(least=31), "a group of 30 patients is large enough"),
    ("03-group", group(least=29), "a group of 29 patients with two rows each is too small"),
    ("03-group", group(few="few"), "return the words \"too few\", got 'few'"),
    ("03-group", lambda right, patient, chosen: right[patient], "your code raised"),
    ("03-label", lambda model, x, y: deploy(model, expose="label")(x), "compare them with y"),
    ("03-label", lambda model, x, y: ~label(model, x, y), "turned round"),
    ("03-label", lambda model, x, y: label(model, x, y).float().mean(), "got the shape ()"),
    ("03-label", lambda model, x, y: label(model, x, y).float(), "return truth values, got torch"),
    ("03-label", lambda model, x, y: model(x).argmax(1) == y, "your attacker held the model"),
    (
        "03-label",
        lambda model, x, y: deploy(model, expose="scores")(x).argmax(1) == y,
        "your view exposes scores; the clinic shows the label only",
    ),
    ("03-label", lambda model, x, y: y == 0, "where the view's class equals y"),
    ("03-label", lambda model, x, y: deploy(model, expose="labels")(x) == y, "your code raised"),
]


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_right_answers(exercise: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    accepted(exercise, answer, capsys)


@pytest.mark.parametrize(("exercise", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint_and_the_notebook_goes_on(
    exercise: str, answer: Any, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(exercise, answer, hint, capsys)
