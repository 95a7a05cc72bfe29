"""The exercises of chapter 01-threat-models."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch

from medpriv.course.exercises.base import call
from medpriv.data.cohort import Column
from medpriv.deployment import QueryBudgetError, View, ViewDefense, deploy
from medpriv.deployment.view import Answer
from medpriv.metrics import difference
from medpriv.models.records import RecordMLP
from medpriv.runtime.seeds import rng, seeded, torch_rng
from medpriv.statistics import Estimate


def _model() -> RecordMLP:
    """A small untrained model of records with three classes."""
    with seeded(0, "exercise"):
        columns = (Column("age", unit="years"), Column("sex", ("female", "male")))
        return RecordMLP(columns, _records(20), classes=3)


def _records(number: int) -> torch.Tensor:
    """Records ``(number, 2)``, no two alike: an age and a sex."""
    ages = 20 + 60 * torch.rand(number, generator=torch_rng(0, "exercise"))
    return torch.stack([ages, torch.arange(number) % 2], dim=1).float()


def view(answer: Any) -> None:
    """``answer(model)`` → the partner's view: features of the second layer, 500 queries."""
    found = call(answer, _model())
    assert isinstance(found, View), f"return what deploy returns, got {type(found).__name__}"
    assert found.expose == "features", (
        f"your view exposes {found.expose}; what travels between the two halves of a network is "
        "its features at the split layer"
    )
    assert found.split == "hidden2", (
        f"your split is {found.split}; the first hospital also computes the second hidden layer"
    )
    assert found.query_budget is not None, "the contract has a limit: set query_budget"
    assert found.query_budget == 500, (
        f"your partner may send {found.query_budget} records; the contract says 500"
    )
    assert not found.defenses, "the contract names no defense; leave defenses out"
    assert _answers_like(found, _model()), (
        "your view is of another model; deploy the `model` that your function is given"
    )


def _answers_like(found: View, model: RecordMLP) -> bool:
    records = _records(3)
    expected = deploy(model, expose="features", split="hidden2")(records)
    try:
        return torch.equal(found.intercept(records), expected)
    except Exception:  # a model of other records cannot read these
        return False


def advantage(answer: Any) -> None:
    """``answer(guess, truth, baselines, patient)`` → advantage over the best baseline."""
    draw = rng(0, "exercise")
    truth = draw.integers(0, 3, 60)
    # Right for known shares of the victims, and on overlapping ones, so that pairing matters.
    guess = np.where(np.arange(60) % 10 < 6, truth, (truth + 1) % 3)
    baselines = {
        "most common": np.where(np.arange(60) % 10 < 3, truth, (truth + 1) % 3),
        "imputation": np.where(np.arange(60) % 10 > 4, truth, (truth + 2) % 3),
        "by group": np.where(np.arange(60) % 10 > 5, truth, (truth + 2) % 3),
    }
    patient = np.array([f"P{row // 2:03d}" for row in range(60)])
    found = call(answer, guess, truth, baselines, patient)
    if not isinstance(found, Estimate):
        raise AssertionError(
            "return the estimate that metrics.difference gives, with its interval, "
            f"got {type(found).__name__}"
        )
    ours = (guess == truth).astype(float)
    right = {name: (guessed == truth).astype(float) for name, guessed in baselines.items()}
    best = right["imputation"]
    expected = difference(ours, best, patient)
    for name in ("most common", "by group"):
        assert not _equal(found, difference(ours, right[name], patient)), (
            f"you compare with the baseline {name!r}; another of the three is right more often"
        )
    assert not _equal(found, difference(best, ours, patient)), (
        "the sign is turned round: the attack minus the baseline"
    )
    assert abs(found.value - expected.value) < 1e-9, (
        f"for 60 test victims your advantage is {found.value:.3f}, right is {expected.value:.3f}: "
        "the share that the attack guesses right minus the share of the best baseline"
    )
    assert _equal(found, expected), (
        f"the value {found.value:.3f} is right, its interval [{found.low:.3f}, {found.high:.3f}] "
        "is not: give metrics.difference one number a victim for each guess, and `patient` as it is"
    )


def _equal(one: Estimate, other: Estimate) -> bool:
    return np.allclose(
        [one.value, one.low, one.high], [other.value, other.low, other.high], atol=1e-9
    )


def vote(answer: Any) -> None:
    """``answer(view, records)`` → the most frequent label of each record, budget used up."""
    records, rounds = _records(12), 7
    budget = rounds * len(records) + 5  # a remainder that pays for no further round
    model = _model()
    truth = deploy(model, expose="label")(records)
    served = deploy(model, expose="label", defenses=[_lies_at_first(3)], query_budget=budget)
    try:
        found = call(answer, served, records)
    except QueryBudgetError as error:
        raise AssertionError(
            f"the view refused ({error}); ask `view.query_budget // len(records)` times about all"
        ) from error
    assert not isinstance(found, torch.return_types.mode), (
        "`.mode(dim=0)` gives values and where they stand; return its `.values`"
    )
    found = torch.as_tensor(found)
    assert found.shape == truth.shape, (
        f"return one label a record: shape {tuple(truth.shape)}, got {tuple(found.shape)}"
    )
    assert served.queries == rounds * len(records), (
        f"with a budget of {budget} and {len(records)} records you asked {served.queries} times; "
        f"the budget pays for {rounds} rounds about all records"
    )
    assert bool((found == truth).all()), (
        f"{int((found != truth).sum())} of {len(records)} labels are not the most frequent one of "
        f"their {rounds} answers. The mode (not the mean) of one record goes over its rounds: with "
        "one row a round, that is dim=0"
    )


def _lies_at_first(lies: int) -> ViewDefense:
    """Answer each record falsely for its first ``lies`` queries, whatever the order of asking."""
    asked: Counter[tuple[float, ...]] = Counter()

    def defend(honest: Answer) -> Answer:
        def perturbed(records: Any) -> torch.Tensor:
            label = honest(records).clone()
            for row, record in enumerate(records.tolist()):
                label[row] = (label[row] + (asked[tuple(record)] < lies)) % 3
                asked[tuple(record)] += 1
            return label

        return perturbed

    return ViewDefense(f"{lies} false answers first", defend)


TESTS = {"01-view": view, "01-advantage": advantage, "01-vote": vote}
