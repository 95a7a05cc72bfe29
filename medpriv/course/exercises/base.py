"""What the tests of all chapters share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Unsolved(Exception):
    """The answer is still the stub."""


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the reader's function.

    Raises:
        Unsolved: it returns the ``...`` of the stub.
        AssertionError: it is no function, or returns nothing.
    """
    assert callable(function), f"a function was expected, got {type(function).__name__}"
    result = function(*arguments)
    if result is ...:
        raise Unsolved
    assert result is not None, "the function returns nothing; did you forget `return`?"
    return result
