"""What a process keeps for a while, so that few cells make the same thing again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The last few things that were made, by a key that says what they are.

    Few, so that memory stays flat however many cells a process computes.

    Args:
        most: how many are kept; the one that was used longest ago goes first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for an equal key, or else what ``make`` makes now."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
