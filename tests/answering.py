"""What a check cell says to an answer: the tests of all exercises judge it in the same way."""

from __future__ import annotations

from typing import Any

import pytest

from medpriv.course.checks import check


def accepted(exercise: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Insist that the answer is right, and that a reader is told so."""
    check(exercise, answer, insist=True)
    assert capsys.readouterr().out.strip() == "Right."


def test_right_answers(name: str, answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a module's ``RIGHT``."""
    accepted(name, answer, capsys)


def test_wrong_answers(
    name: str, answer: Any, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a module's ``WRONG``."""
    refused(name, answer, told, capsys)


def refused(exercise: str, answer: Any, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Insist that the answer is wrong, that a reader gets the hint, and that the notebook goes on.

    The course's own solution would not get away with it.
    """
    check(exercise, answer)
    said = capsys.readouterr().out
    assert said.startswith("Not yet: ")
    assert hint in said
    with pytest.raises(AssertionError, match=f"exercise {exercise}: Not yet"):
        check(exercise, answer, insist=True)
    assert capsys.readouterr().out == ""
