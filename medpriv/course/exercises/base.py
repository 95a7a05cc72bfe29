"""What the tests of all chapters share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch

if TYPE_CHECKING:
    from medpriv.deployment import View


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


def number(found: Any) -> float:
    """One finite number, in whatever form the reader's function returns it.

    Raises:
        AssertionError: it is none, or there are several.
    """
    value = _single(found, "one number")
    assert bool(value.isfinite()), f"return a finite number, got {float(value)}"
    return float(value)


def whole_number(found: Any) -> int:
    """One whole number; otherwise as :func:`number`."""
    value = _single(found, "one whole number")
    assert value.dtype != torch.bool, "return a whole number, got a truth value"
    assert not value.is_floating_point(), (
        f"return a whole number (an int), got {value.item():.6g}, which is a float; divide whole "
        "numbers and round down"
    )
    return int(value)


def truth_value(found: Any) -> bool:
    """One truth value; otherwise as :func:`number`."""
    value = _single(found, "True or False")
    assert value.dtype == torch.bool, f"return True or False, got the number {value.item():g}"
    return bool(value)


def _single(found: Any, what: str) -> torch.Tensor:
    try:
        value = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"return {what}, got {type(found).__name__}") from None
    many = "; `.mean()` makes one of many" if value.is_floating_point() else ""
    assert value.numel() == 1, f"return {what}, got {value.numel()}{many}"
    return value


def numbers(found: Any, shape: tuple[int, ...], what: str, alone: str = "") -> np.ndarray:
    """Numbers of this shape, float64, in whatever form the reader's function returns them.

    Args:
        found: what was returned.
        shape: what it must have.
        what: for the hint, such as ``"one number a report"``.
        alone: ends the hint where a single number was returned.

    Raises:
        AssertionError: they are no numbers, or have another shape.
    """
    try:
        values = torch.as_tensor(found).detach().cpu().double().numpy()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"return {what}, got {type(found).__name__}") from None
    assert values.shape == shape, (
        f"return {what}, shape {shape}, got {values.shape}{'' if values.shape else alone}"
    )
    return values


@contextmanager
def views_asked() -> Iterator[list[View]]:
    """The views that are asked something in the meantime, however they were made."""
    from medpriv.deployment import View  # with all models; most exercises need none

    asked: list[View] = []
    plain = View.__call__

    def record(view: View, x: Any) -> torch.Tensor:
        asked.append(view)
        return plain(view, x)

    with mock.patch.object(View, "__call__", record):
        yield asked
