"""Random numbers: a named stream for each choice, so that none moves another."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def check_seed(seed: int) -> int:
    """Return ``seed`` as an int.

    Raises:
        ValueError: it is no integer between 0 and 2**31 - 1 (a bool or a float is none).
    """
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be an integer from 0 to {2**31 - 1}, got {seed!r}")
    return int(seed)


def rng(seed: int, *scope: str | int) -> np.random.Generator:
    """A NumPy generator of its own for each ``(seed, *scope)``.

    Named streams keep one random choice from moving another: drawing more victims does not
    change the weights that a model starts from.
    """
    return np.random.default_rng(_stream(seed, scope))


def torch_rng(seed: int, *scope: str | int) -> torch.Generator:
    """A CPU ``torch.Generator`` of its own for each ``(seed, *scope)``; see ``rng``."""
    return torch.Generator().manual_seed(_stream(seed, scope))


def _stream(seed: int, scope: tuple[str | int, ...]) -> int:
    # A NumPy integer names the same stream as the plain one.
    plain = [int(part) if isinstance(part, np.integer) else part for part in scope]
    digest = hashlib.sha256(repr((check_seed(seed), *plain)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextlib.contextmanager
def seeded(seed: int, *scope: str | int) -> Iterator[None]:
    """Run a block under seeded global generators, and put the old states back afterwards.

    For code that can only draw from the global state, such as a layer's initialisation.
    """
    stream = _stream(seed, scope)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(stream)
        random.seed(stream)
        np.random.seed(stream % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
