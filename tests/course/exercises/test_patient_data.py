"""The checks of chapter 02: what passes, and what a wrong or nearly right answer is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from answering import accepted, refused
from medpriv.data import drop_duplicate_texts, normalise_text


def in_more_than_one(parts: dict[str, np.ndarray]) -> list[str]:
    number = Counter(patient for patients in parts.values() for patient in set(patients))
    return [patient for patient, parts_of in number.items() if parts_of > 1]


def every_repeated_row(parts: dict[str, np.ndarray]) -> set[str]:
    number = Counter(patient for patients in parts.values() for patient in patients)
    return {patient for patient, rows in number.items() if rows > 1}


def only_next_part(parts: dict[str, np.ndarray]) -> set[str]:
    sets = [set(patients) for patients in parts.values()]
    return sets[0] & sets[1]


def neighbours(parts: dict[str, np.ndarray]) -> set[str]:
    sets = [set(patients) for patients in parts.values()]
    return set().union(*(one & other for one, other in pairwise(sets)))


def twins_by(form: Callable[[str], str]) -> Callable[[list[str]], int]:
    def answer(texts: list[str]) -> int:
        number = Counter(map(form, texts))
        return sum(number[form(text)] > 1 for text in texts)

    return answer


def gap(copies: np.ndarray) -> float:
    a = copies.mean() / 2
    return (copies == 1).mean() - 2 * a * (1 - a)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("02-parts", in_more_than_one),
        ("02-parts", lambda parts: np.array(in_more_than_one(parts))),
        ("02-parts", lambda parts: set(in_more_than_one(parts))),
        ("02-twins", twins_by(normalise_text)),
        ("02-twins", lambda t: len(t) - len(drop_duplicate_texts(t, keep_first=False))),
        ("02-twins", lambda t: np.int64(twins_by(normalise_text)(t))),
        ("02-weinberg", gap),
        ("02-weinberg", lambda copies: np.float64(gap(copies))),
    ],
)
def test_right_answers_of_any_form(
    exercise: str, answer: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted(exercise, answer, capsys)


@pytest.mark.parametrize(
    ("exercise", "answer", "hint"),
    [
        ("02-parts", every_repeated_row, "B, who is twice in the same part"),
        ("02-parts", only_next_part, "names C. Compare every part with all the others"),
        ("02-parts", lambda parts: set(), "names nobody"),
        ("02-parts", neighbours, "names C, E. Compare every part with all the others"),
        ("02-parts", lambda parts: ["C", "C", "E"], "name each patient once"),
        ("02-parts", lambda parts: {"C", "E", "H", "I"}, "only C, E and I"),
        ("02-parts", lambda parts: 2, "as a set or a list, got int"),
        ("02-parts", lambda parts: "CE", "as a set or a list, got str"),
        ("02-parts", lambda parts: None, "did you forget `return`"),
        ("02-twins", twins_by(str), "compare normal forms"),
        ("02-twins", lambda t: len(t) - len(drop_duplicate_texts(t)), "could be dropped"),
        ("02-twins", lambda t: 2, "every text that is in such a group"),
        (
            "02-twins",
            twins_by(lambda t: "".join(c for c in normalise_text(t) if not c.isdigit())),
            "the normal form keeps digits",
        ),
        ("02-twins", lambda t: 8, "three are alone"),
        ("02-twins", lambda t: twins_by(normalise_text)(t) / 8, "0.625 looks like a share"),
        ("02-twins", 5, "a function was expected, got int"),
        ("02-weinberg", lambda c: -gap(c), "observed minus expected"),
        ("02-weinberg", lambda c: (c == 1).mean() - 0.4 * 0.6, "in two ways"),
        ("02-weinberg", lambda c: (c == 1).mean() - 2 * c.mean() * (1 - c.mean()), "divided by 2"),
        ("02-weinberg", lambda c: (c == 1).mean(), "right is -0.2800"),
        ("02-weinberg", lambda c: float("nan"), "return a finite number, got nan"),
        ("02-weinberg", lambda c: c, "return one number, got 100"),
    ],
)
def test_what_an_answer_is_told(
    exercise: str, answer: Any, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(exercise, answer, hint, capsys)
