"""How long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

REPEATS = 3
Result = TypeVar("Result")


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds, and what the work returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def fastest(work: Callable[[], object]) -> float:
    """The fastest of a few runs: what the work costs when nothing else is in the way."""
    return min(timed(work)[0] for _ in range(REPEATS))
