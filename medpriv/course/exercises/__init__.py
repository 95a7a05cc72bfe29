"""The tests behind the check cells, one module a chapter, which bears the chapter's name.

A test takes the reader's answer and passes, raises ``AssertionError`` with a hint that a reader
can act on, or raises :class:`Unsolved` where a function is still its stub. A module is imported
when one of its exercises is checked: together they import every attack.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from medpriv.course.catalog import CHAPTERS
from medpriv.course.exercises.base import Unsolved, call

__all__ = ["Unsolved", "call", "find", "known"]


def find(name: str) -> Callable[[Any], None]:
    """The test of an exercise such as ``"06-blank"``; the name begins with the chapter's number.

    Raises:
        ValueError: no such exercise; the message lists those there are.
    """
    number = name.split("-")[0]
    for chapter in CHAPTERS:
        if chapter.split("-")[0] == number and name in (tests := known(chapter)):
            return tests[name]
    raise ValueError(
        f"unknown exercise {name!r}; known: "
        + ", ".join(exercise for chapter in CHAPTERS for exercise in known(chapter))
    )


def known(chapter: str) -> dict[str, Callable[[Any], None]]:
    """The tests of a chapter's exercises, by their names."""
    return import_module(exercises_of(chapter)).TESTS


def exercises_of(chapter: str) -> str:
    """The module that holds them; it bears the chapter's name."""
    return f"{__name__}.{chapter.partition('-')[2].replace('-', '_')}"
