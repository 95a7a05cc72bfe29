"""What a caller may pass: the checks that every room shares."""

from __future__ import annotations

from collections.abc import Iterable
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
