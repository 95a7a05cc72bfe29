"""The check cells of chapter 01: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from answering import accepted, refused
from medpriv.data.cohort import Column
from medpriv.deployment import deploy
from medpriv.metrics import difference, mean_estimate
from medpriv.models.records import RecordMLP


def partner(expose="features", split="hidden2", query_budget=500):
    def answer(model):
        return deploy(model, expose=expose, split=split, query_budget=query_budget)

    return answer


def other_model():
    return RecordMLP([Column("age")], torch.rand(20, 1), classes=3)


def hits(guess, truth):
    return (guess == truth).astype(float)


def over(pick):
    """An advantage over the baseline that ``pick`` takes from the list of their hits."""

    def answer(guess, truth, baselines, patient):
        chosen = pick([hits(guessed, truth) for guessed in baselines.values()])
        return difference(hits(guess, truth), chosen, patient)

    return answer


def over_truth_values(guess, truth, baselines, patient):
    return difference(guess == truth, best([b == truth for b in baselines.values()]), patient)


def best(many):
    return max(many, key=lambda one: one.mean())


def one_patient_each(guess, truth, baselines, patient):
    ours, theirs = hits(guess, truth), best([hits(b, truth) for b in baselines.values()])
    return difference(ours, theirs, range(len(patient)))


def turned(guess, truth, baselines, patient):
    theirs = best([hits(guessed, truth) for guessed in baselines.values()])
    return difference(theirs, hits(guess, truth), patient)


def ask(view, records, rounds):
    return torch.stack([view(records) for _ in range(rounds)])


def budget_rounds(view, records):
    return view.query_budget // len(records)


def voted(view, records):
    return ask(view, records, budget_rounds(view, records)).mode(dim=0).values


def in_one_call(view, records):
    rounds = budget_rounds(view, records)
    answers = view(records.repeat_interleave(rounds, dim=0)).view(len(records), rounds)
    return answers.mode(dim=1).values


def counted(view, records):
    answers = ask(view, records, budget_rounds(view, records))
    return torch.nn.functional.one_hot(answers, 3).sum(0).argmax(1)


def as_a_list(view, records):
    return voted(view, records).tolist()


RIGHT: list[tuple[str, Any]] = [
    ("01-view", partner()),
    ("01-advantage", over(best)),
    ("01-advantage", over_truth_values),
    ("01-vote", voted),
    ("01-vote", in_one_call),
    ("01-vote", counted),
    ("01-vote", as_a_list),
]

WRONG: list[tuple[str, Any, str]] = [
    ("01-view", partner(split="hidden1"), "the second hidden layer"),
    ("01-view", partner(expose="weights"), "your view exposes weights"),
    ("01-view", partner(expose="scores", split=None), "your view exposes scores"),
    ("01-view", partner(query_budget=None), "set query_budget"),
    ("01-view", partner(query_budget=50), "may send 50 records; the contract says 500"),
    ("01-view", partner(split="conv4"), "unknown split 'conv4'"),
    ("01-view", lambda model: partner()(other_model()), "deploy the `model` that your function"),
    ("01-view", lambda model: model, "return what deploy returns, got RecordMLP"),
    ("01-view", lambda model: None, "did you forget `return`"),
    ("01-advantage", over(lambda many: many[0]), "you compare with the baseline 'most common'"),
    ("01-advantage", over(lambda many: many[-1]), "you compare with the baseline 'by group'"),
    ("01-advantage", over(lambda many: sum(many) / len(many)), "your advantage is"),
    ("01-advantage", over(lambda many: 0 * many[0]), "minus the share of the best baseline"),
    ("01-advantage", turned, "the sign is turned round"),
    ("01-advantage", one_patient_each, "its interval"),
    ("01-advantage", lambda g, t, b, p: hits(g, t).mean() - 0.5, "got float64"),
    ("01-advantage", lambda g, t, b, p: mean_estimate(hits(g, t), p), "your advantage is"),
    ("01-vote", lambda view, x: view(x), "the budget pays for 7 rounds"),
    ("01-vote", lambda view, x: ask(view, x, 6).mode(dim=0).values, "you asked 72 times"),
    ("01-vote", lambda view, x: ask(view, x, 9).mode(dim=0).values, "the view refused"),
    ("01-vote", lambda view, x: ask(view, x, 7).mode(dim=1).values, "return one label a record"),
    ("01-vote", lambda view, x: ask(view, x, 7), "return one label a record"),
    ("01-vote", lambda view, x: ask(view, x, 7).mode(dim=0), "return its `.values`"),
    ("01-vote", lambda view, x: ask(view, x, 7).double().mean(0).round(), "The mode (not the mean"),
    ("01-vote", lambda view, x: ask(view, x, 7)[0], "not the most frequent one"),
]


@pytest.mark.parametrize(("exercise", "answer"), RIGHT)
def test_right_answers_of_any_form(
    exercise: str, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted(exercise, answer, capsys)


@pytest.mark.parametrize(("exercise", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(
    exercise: str, answer: Any, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(exercise, answer, hint, capsys)
