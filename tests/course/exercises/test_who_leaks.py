"""The check cells of chapter 13: what they say to right, wrong, nearly right and no answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from answering import accepted, refused


def gap(margin, had):
    return np.where(had, margin, 0).sum(0) / had.sum(0) - np.where(had, 0, margin).sum(0) / (
        (~had).sum(0)
    )


def size(values):
    return max(1, round(0.05 * len(values)))


def tail(chose, judges):
    return judges[np.argsort(-chose)[: size(chose)]].mean()


def held(p, alpha, allowed=lambda k, alpha: alpha / np.arange(k, 0, -1), back=True, stop=True):
    order = np.argsort(p)
    passed = p[order] <= allowed(len(p), alpha)
    if stop:
        passed = np.logical_and.accumulate(passed)
    if not back:
        return passed
    found = np.zeros(len(p), dtype=bool)
    found[order] = passed
    return found


def by_loop(p, alpha):
    found = [False] * len(p)
    for number, place in enumerate(np.argsort(p)):
        if p[place] > alpha / (len(p) - number):
            break
        found[place] = True
    return found


RIGHT = [
    ("13-gap", gap),
    ("13-gap", lambda m, h: torch.tensor(gap(m, h))),
    ("13-gap", lambda m, h: [m[h[:, i], i].mean() - m[~h[:, i], i].mean() for i in range(6)]),
    ("13-tail", tail),
    ("13-tail", lambda c, j: float(np.mean(j[np.argsort(c)[::-1][: size(c)]]))),
    ("13-holm", held),
    ("13-holm", by_loop),
]

WRONG = [
    ("13-gap", lambda m, h: -gap(m, h), "turned round"),
    ("13-gap", lambda m, h: np.where(h, m, 0).sum(0) / h.sum(0), "models without her is missing"),
    ("13-gap", lambda m, h: np.where(h, m, 0).mean(0) - np.where(h, 0, m).mean(0), "of all models"),
    ("13-gap", lambda m, h: m.mean(1), "one number a model"),
    ("13-gap", lambda m, h: np.zeros(6), "for the first test patient"),
    ("13-tail", lambda c, j: c[np.argsort(-c)[: size(c)]].mean(), "with its luck"),
    ("13-tail", lambda c, j: np.sort(j)[-size(j) :].mean(), "choose by `chose`"),
    ("13-tail", lambda c, j: j[np.argsort(c)[: size(c)]].mean(), "the least exposed"),
    ("13-tail", lambda c, j: j.mean(), "the mean of everybody"),
    ("13-tail", lambda c, j: j[np.argsort(-c)[:20]].mean(), "of whom 10 are the worst"),
    ("13-tail", lambda c, j: tail(c, j) if len(c) > 20 else 0.0, "at least one patient"),
    ("13-holm", lambda p, alpha: p <= alpha, "nothing is corrected"),
    ("13-holm", lambda p, alpha: p <= alpha / len(p), "Bonferroni's rule"),
    ("13-holm", lambda p, alpha: held(p, alpha, back=False), "the order of the sorted"),
    ("13-holm", lambda p, alpha: held(p, alpha, stop=False), "stops at the first"),
    ("13-holm", lambda p, alpha: held(p, alpha).astype(float), "return truth values"),
    ("13-holm", lambda p, alpha: np.array([True]), "return 5 truth values"),
    ("13-holm", lambda p, alpha: ~held(p, alpha), "right is"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_are_accepted(name: str, answer: Any, capsys) -> None:
    accepted(name, answer, capsys)


@pytest.mark.parametrize(("name", "answer", "hint"), WRONG)
def test_wrong_answers_are_told_what_is_wrong(name: str, answer: Any, hint: str, capsys) -> None:
    refused(name, answer, hint, capsys)
