"""What a caller may pass: the checks that every room shares."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any, TypeVar

T = TypeVar("T")


def choose(value: Any, known: Iterable[Any], what: str) -> Any:
    """Return ``value`` if it is one of ``known``.

    Raises:
        ValueError: it is not; the message lists the known values.
    """
    known = tuple(known)
    if value in known:
        return value
    listed = ", ".join(str(item) for item in known)
    raise ValueError(f"unknown {what} {value!r}; expected one of: {listed}")


def require_integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int.

    Raises:
        ValueError: it is no integer from ``low`` to ``high`` (a bool or a float is none).
    """
    allowed = f"an integer of at least {low}" + ("" if high is None else f" and at most {high}")
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be {allowed}, got {value!r} ({type(value).__name__}).")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} must be {allowed}, got {value}.")
    return int(value)
