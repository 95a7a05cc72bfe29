"""How long something takes, and how much memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing import get_context
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


def peaks(
    what: str, work: Callable[[int], tuple[float, float]], numbers: tuple[int, ...]
) -> list[dict[str, object]]:
    """A row for each number of victims, each measured in a process of its own.

    Args:
        what: names the row; ``{}`` stands for the number.
        work: of a module, from a number to seconds and MB beyond the data themselves.
        numbers: of victims.
    """
    rows = []
    for number in numbers:
        with get_context("spawn").Pool(1) as pool:
            seconds, peak = pool.apply(work, (number,))
        said = f"peak {peak:.0f} MB beyond the victims' own data and guesses"
        row = {"what": what.format(f"{number:,}"), "ours": seconds, "peer": float("nan")}
        rows.append(row | {"is": said})
    return rows
