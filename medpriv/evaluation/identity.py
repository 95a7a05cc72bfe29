"""What sets one function or setting apart from another, in any process and on any day."""

from __future__ import annotations

import functools
import inspect
import pickle
from dataclasses import fields, is_dataclass
from typing import Any

_PACKAGE = __name__.partition(".")[0]


def identity(value: Any) -> Any:
    """Nested plain values that :func:`medpriv.runtime.hashing.content_hash` takes.

    A function is its name and, where it is not of this package, its source text: the package's
    source has a hash of its own. What a function calls in turn is not followed.

    Args:
        value: a function of a module, ``functools.partial`` of one, a dataclass, a plain value or
            a list, tuple or dictionary of these.
    """
    if isinstance(value, functools.partial):
        keywords = sorted(value.keywords.items())
        return ["partial", identity(value.func), identity(value.args), identity(keywords)]
    if is_dataclass(value) and not isinstance(value, type):
        own = [(field.name, identity(getattr(value, field.name))) for field in fields(value)]
        return [identity(type(value)), own]
    if isinstance(value, (list, tuple)):
        return [identity(item) for item in value]
    if isinstance(value, dict):
        return [(str(key), identity(item)) for key, item in value.items()]
    if callable(value):
        return [value.__module__, value.__qualname__, _source(value)]
    return value


def _source(value: Any) -> str:
    if value.__module__.partition(".")[0] == _PACKAGE:
        return ""
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):  # typed into a console, or not written in Python
        code = getattr(value, "__code__", None)
        return "" if code is None else f"{code.co_code!r} {code.co_names!r}"


def check_sendable(value: Any, what: str) -> None:
    """Pass if another process can be sent it.

    Raises:
        TypeError: it cannot.
    """
    try:
        pickle.dumps(value)
    except Exception as error:  # pickle raises its own, AttributeError and TypeError
        raise TypeError(
            f"{what} cannot be sent to another process ({error}); make its functions those of a "
            "module, or functools.partial of such, in the place of lambdas and inner functions"
        ) from error
