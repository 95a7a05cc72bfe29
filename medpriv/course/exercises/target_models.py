"""The exercises of chapter 03-target-models."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from medpriv.course.exercises.base import call, number, views_asked
from medpriv.data.cohort import Column
from medpriv.metrics import mean_estimate
from medpriv.models.records import RecordMLP
from medpriv.runtime.seeds import rng, seeded, torch_rng
from medpriv.statistics import Estimate

ENOUGH = 30  # patients in a group, as the exercise says


def majority(answer: Any) -> None:
    """``answer(answers, labels)`` → accuracy minus the accuracy of the most common label."""
    labels = torch.tensor([1, 1, 1, 1, 1, 2, 2, 0, 0, 0])
    answers = torch.tensor([1, 1, 2, 2, 1, 2, 2, 0, 2, 2])
    accuracy, most, named = 0.6, 0.5, 0.6
    found = number(call(answer, answers, labels))
    assert abs(found - accuracy) > 1e-6, "that is the accuracy alone; the majority is missing"
    assert abs(found - (most - accuracy)) > 1e-6, "the sign is turned round"
    assert abs(found - (accuracy - named)) > 1e-6, "count the labels, not the model's answers"
    assert abs(found - (accuracy - 1 / len(labels))) > 1e-6, (
        "your count takes each of the ten labels for another one: the elements of a tensor are "
        "tensors themselves. Count with torch.bincount(labels), or count labels.tolist()"
    )
    assert abs(found - (accuracy - most)) < 1e-6, (
        f"for ten test patients your function gives {found:.3f}, right is "
        f"{accuracy - most:.3f}: {accuracy} of the answers are right, and {most} of the labels are "
        "the most common one"
    )
    renamed = number(call(answer, (answers + 1) % 3, (labels + 1) % 3))
    assert abs(renamed - (accuracy - most)) < 1e-6, (
        "where another class is the most common one your function goes wrong; find out which it is"
    )


def group(answer: Any) -> None:
    """``answer(right, patient, chosen)`` → an estimate, or ``"too few"`` below 30 patients."""
    patient = np.repeat([f"p{number:02}" for number in range(60)], 2)
    right = (rng(0, "exercise").random(120) < 0.7).astype(float)
    chosen = np.arange(120) < 80  # 40 patients
    found = call(answer, right, patient, chosen)
    assert isinstance(found, Estimate), (
        f"for a group of 40 patients return what metrics.mean_estimate returns, got "
        f"{type(found).__name__}"
    )
    expected = mean_estimate(right[chosen], patient[chosen])
    assert abs(found.value - right.mean()) > 1e-9, "that is the accuracy of everybody"
    assert abs(found.value - expected.value) < 1e-9, (
        f"for a test group your function gives {found.value:.3f}, right is {expected.value:.3f}"
    )
    by_row = mean_estimate(right[chosen], np.arange(chosen.sum()))
    assert found != by_row, "the interval is over rows; hand over patient[chosen]"
    just, short = np.arange(120) < 2 * ENOUGH, np.arange(120) < 2 * ENOUGH - 2
    assert isinstance(call(answer, right, patient, just), Estimate), (
        f"a group of {ENOUGH} patients is large enough"
    )
    few = call(answer, right, patient, short)
    assert isinstance(few, str), (
        f"a group of {ENOUGH - 1} patients with two rows each is too small: count patients, not "
        "rows"
    )
    assert few == "too few", f'return the words "too few", got {few!r}'


def label(answer: Any) -> None:
    """``answer(model, x, y)`` → who is called a member: those whose class the label names."""
    x = 20 + 60 * torch.rand(40, 1, generator=torch_rng(0, "exercise"))
    with seeded(0, "exercise"):
        model = RecordMLP([Column("age")], x, classes=3)
    with torch.no_grad():
        named = model(x).argmax(1)
    y = torch.arange(40) % 3
    with views_asked() as asked:
        found = torch.as_tensor(call(answer, model, x, y))
    assert found.shape == (40,), (
        f"for 40 records return 40 truth values, got the shape {tuple(found.shape)}"
    )
    assert not torch.equal(found.long(), named), (
        "these are the classes that the view names; compare them with y"
    )
    assert not torch.equal(found.bool(), named != y), (
        "turned round: a member is who is named *correctly*"
    )
    assert torch.equal(found.bool(), named == y), (
        "a patient is called a member where the view's class equals y"
    )
    assert found.dtype == torch.bool, f"return truth values, got {found.dtype}"
    assert asked, (
        "your attacker held the model itself; deploy it, and ask the view, which is all that an "
        "attacker has"
    )
    seen = ", ".join(sorted({view.expose for view in asked} - {"label"}))
    assert not seen, f"your view exposes {seen}; the clinic shows the label only"


TESTS = {"03-majority": majority, "03-group": group, "03-label": label}
