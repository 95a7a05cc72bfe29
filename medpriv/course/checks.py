"""Checking a reader's answer: right, not yet (with a reason), or not solved yet."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from medpriv.course import exercises

RAISED = "your code raised"
NOT_SOLVED = "Not solved yet: replace the ... in the cell above, run it, then run this cell again."


def check(name: str, answer: Any, *, insist: bool = False) -> None:
    """Check the answer to an exercise and print what came of it; the notebook goes on.

    Args:
        name: the exercise, such as ``"06-blank"``.
        answer: what the exercise asks for: a value or a function. ``...``, or a function that
            returns it, is an unsolved stub.
        insist: raise instead, so that the course's own solution is proved by running it.

    Raises:
        ValueError: no such exercise.
        AssertionError: only with ``insist``: the answer is wrong or missing.
    """
    test = exercises.find(name)
    verdict = _verdict(test, answer)
    if insist and verdict is not None:
        raise AssertionError(f"exercise {name}: {verdict}")
    print(verdict or "Right.")


def _verdict(test: Callable[[Any], None], answer: Any) -> str | None:
    """``None`` for a right answer, otherwise what to tell the reader."""
    if answer is ...:
        return NOT_SOLVED
    try:
        test(answer)
    except exercises.Unsolved:
        return NOT_SOLVED
    except AssertionError as wrong:
        return f"Not yet: {wrong}"
    except Exception as error:  # whatever the reader's code raises is theirs to see
        return f"Not yet: {_place(error, answer)} {type(error).__name__}: {error}"
    return None


def _place(error: Exception, answer: Any) -> str:
    """Which line of the reader's own code an error comes from, or that it comes from none."""
    code = getattr(answer, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if own:
        return f"your code raised, in the line `{own[-1].line}`," if own[-1].line else RAISED
    # A call with the wrong number of arguments ends where the function is called.
    called = frames[-1].name == exercises.call.__name__
    return RAISED if called else "what your code returned cannot be used:"
