"""A hash of contents, the same in any process and on any day."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import pickle
import sysconfig
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

#: The repository's root, or the folder in which the package is installed.
ROOT = Path(__file__).resolve().parents[2]
HOUSES = tuple(ROOT / name for name in ("medpriv", "experiments", "build_tools"))
_INSTALLED = tuple(Path(one).resolve() for one in {*sysconfig.get_paths().values()})


def content_hash(*parts: Any) -> str:
    """A sha256 over nested values: arrays, tensors, frames, dataclasses, paths, plain values.

    Two calls agree exactly when types and contents agree, in any process.

    Raises:
        TypeError: a value has no defined content, such as a function.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    digest.update(f"<{type(value).__name__}>".encode())
    if isinstance(value, Tensor):
        # As bytes, since NumPy has no bfloat16; the dtype goes in by name.
        flat = value.detach().cpu().contiguous().view(-1)
        _feed(digest, flat.view(torch.uint8).numpy() if len(flat) else np.empty(0))
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, pd.DataFrame):
        _feed(digest, [(str(name), str(kind)) for name, kind in value.dtypes.items()])
        _feed(digest, pd.util.hash_pandas_object(value, index=True).to_numpy())
    elif isinstance(value, Path):
        digest.update(hashlib.sha256(value.read_bytes()).digest())
    elif isinstance(value, dict):
        digest.update(str(len(value)).encode())
        for key in sorted(value, key=repr):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, (list, tuple, range)) or (
        isinstance(value, np.ndarray) and value.dtype == object
    ):
        digest.update(str(len(value)).encode())
        for item in value:
            _feed(digest, item)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed(digest, {field.name: getattr(value, field.name) for field in fields(value)})
    elif value is None or isinstance(value, (str, bytes, int, float, bool, np.generic)):
        digest.update(repr(value).encode())
    else:
        raise TypeError(
            f"cannot hash the content of a {type(value).__name__}. What decides a result that is "
            "kept has to be numbers, texts, arrays, tensors, frames, paths, networks, dataclasses "
            "or functions, or lists and dictionaries of these; an inner function counts with what "
            "it takes along"
        )


def identity(value: Any) -> Any:
    """What sets a value apart from others, as nested plain values for :func:`content_hash`.

    A function is its name and, where it is not of this repository, its source text and what it uses
    of the reader's own modules; what it calls of this package is not followed
    (:func:`medpriv.runtime.code.code_hash` does that). A cohort is its content, a network its
    layers and weights.

    Args:
        value: a function of a module, ``functools.partial`` of one, a dataclass, a plain value or
            a list, tuple or dictionary of these.
    """
    if inspect.ismethod(value):
        return ["method", identity(value.__func__), identity(value.__self__)]
    if isinstance(value, functools.partial):
        keywords = sorted(value.keywords.items())
        return ["partial", identity(value.func), identity(value.args), identity(keywords)]
    if isinstance(value, nn.Module):
        plain = [_plain_attributes(part) for part in value.modules()]
        kinds = [identity(kind) for kind in dict.fromkeys(map(type, value.modules()))]
        return [kinds, repr(value), dict(value.state_dict()), plain]
    if hasattr(value, "content_hash"):
        return value.content_hash()
    if is_dataclass(value) and not isinstance(value, type):
        own = [(field.name, identity(getattr(value, field.name))) for field in fields(value)]
        return [identity(type(value)), own]
    if isinstance(value, (list, tuple)):
        return [identity(item) for item in value]
    if isinstance(value, dict):
        return [(str(key), identity(item)) for key, item in value.items()]
    if callable(value) and not hasattr(value, "__qualname__"):  # an object that can be called
        return [identity(type(value)), identity(vars(value))]
    if callable(value):
        value = inspect.unwrap(value)
        taken = _captured(value) if inspect.isfunction(value) else []
        return [value.__module__, value.__qualname__, source_text(value), taken, *used_by(value)]
    return value


def used_by(value: Any) -> list[Any]:
    """What somebody's function or class uses of modules that are neither installed nor ours.

    The sources of functions and classes, and the contents of values, by name. What a name is bound
    to only when it runs, such as an attribute of an argument, cannot be followed.
    """
    found: list[Any] = []
    seen, todo = [value], list(_names_used(value))
    for name, held in todo:  # grows meanwhile
        if not callable(held) and not inspect.ismodule(held):
            with contextlib.suppress(TypeError):  # without a content that could be told
                found.append([name, content_hash(held)])
        elif not inspect.ismodule(held) and _is_readers(held) and held not in seen:
            seen.append(held)
            found.append([name, source_text(held)])
            todo += _names_used(held)
    return found


def _names_used(value: Any) -> list[tuple[str, Any]]:
    """What the code of a function, or of a class's methods, names of its module."""
    if inspect.ismodule(value) or not _is_readers(value):
        return []
    if inspect.isclass(value):
        inside = [getattr(one, "__func__", one) for one in vars(value).values()]
        bases = [(base.__qualname__, base) for base in value.__bases__]
        return bases + [pair for one in inside if inspect.isfunction(one) for pair in _said_in(one)]
    return _said_in(value)


def _said_in(function: Any) -> list[tuple[str, Any]]:
    codes = [function.__code__]
    for code in codes:  # grows meanwhile, by functions inside
        codes += [one for one in code.co_consts if inspect.iscode(one)]
    names = sorted({name for code in codes for name in code.co_names})
    around = function.__globals__
    held = [(name, around[name]) for name in names if name in around]
    modules = [one for _, one in held if inspect.ismodule(one) and _is_readers(one)]
    return held + [(name, getattr(one, name)) for one in modules for name in names
                   if hasattr(one, name)]  # fmt: skip


def _is_readers(value: Any) -> bool:
    """Whether it is code that is neither of this repository nor installed."""
    if not (inspect.isfunction(value) or inspect.isclass(value) or inspect.ismodule(value)):
        return False
    try:
        file = Path(inspect.getsourcefile(value) or "").resolve()
    except TypeError:  # built in
        return False
    return not any(file.is_relative_to(folder) for folder in (*HOUSES, *_INSTALLED))


def _captured(function: Any) -> list[Any]:
    """What an inner function has taken along from around it, itself and through other such."""
    found: list[Any] = []
    functions = [function]
    for cell in (cell for one in functions for cell in one.__closure__ or ()):  # grows meanwhile
        try:
            held = cell.cell_contents
        except ValueError:  # bound later, or never
            continue
        if not inspect.isfunction(held):
            found.append(identity(held))
        elif held not in functions:
            found.append([held.__module__, held.__qualname__, source_text(held)])
            functions.append(held)
    return found


def _plain_attributes(module: nn.Module) -> list[tuple[str, Any]]:
    """What sets layers apart beside their weights: what ``forward`` reads or calls of its own."""
    own = [(key, one) for key, one in vars(module).items() if key != "training"]
    plain = [(key, one) for key, one in own if isinstance(one, (bool, int, float, str))]
    called = [(key, _content(one)) for key, one in own if key[0] != "_" and _is_function(one)]
    return sorted(plain) + sorted(called)


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, (nn.Module, type))


def _content(value: Any) -> str:
    """A hash of a function, an object's method included, by what it does or else as a whole."""
    try:
        return content_hash(identity(value))
    except TypeError:  # such as a method of a forest
        try:
            return joblib.hash(value)
        except Exception as error:  # pickle raises its own, AttributeError and TypeError
            raise TypeError(
                f"cannot tell {value!r} from others, so that what it decides cannot be kept; give "
                "a function of a module that makes what it needs"
            ) from error


def source_text(value: Any) -> str:
    """The source of a function or class that is not of this repository, else nothing."""
    try:
        file = inspect.getsourcefile(value)
        if file and any(Path(file).resolve().is_relative_to(house) for house in HOUSES):
            return ""
        return inspect.getsource(value)
    except (OSError, TypeError):  # typed into a console, or not written in Python
        code = getattr(value, "__code__", None)
        return "" if code is None else f"{code.co_code!r} {code.co_names!r} {code.co_consts!r}"


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
