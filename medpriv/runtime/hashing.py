"""A hash of contents, the same in any process and on any day."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor


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
        raise TypeError(f"cannot hash the content of a {type(value).__name__}")


def source_hash(*rooms: str) -> str:
    """A sha256 over the package's source, or over the named rooms only (``"models"``)."""
    root = Path(__file__).parent
    roots = [root / room for room in rooms] if rooms else [root]
    files = [
        file
        for room in roots
        for file in (sorted(room.rglob("*.py")) if room.is_dir() else [room.with_suffix(".py")])
    ]
    return content_hash([(file.relative_to(root).as_posix(), file) for file in files])
