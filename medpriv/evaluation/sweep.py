"""Many cells, side by side, each kept when it is finished; an interrupted sweep goes on there."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from joblib import Parallel, delayed, parallel_config

from medpriv.runtime.cache import read_sealed, write_sealed
from medpriv.runtime.memory import give_back_memory, keep_memory
from medpriv.runtime.progress import progress

#: What a cell comes to, by column. With a text as ``error`` it has failed.
Row = dict[str, Any]
S = TypeVar("S")
T = TypeVar("T")


class Store(Protocol):
    """Where finished cells are kept, by a key that says all that decides them."""

    def find(self, key: str) -> Row | None:
        """A finished cell; ``None`` if there is none, or what is kept of it is damaged."""

    def keep(self, key: str, row: Row) -> None:
        """Keep a finished cell, whole or not at all."""


@dataclass(frozen=True)
class CellFiles:
    """A file for each finished cell, in a folder that the machines of a cluster may share."""

    folder: Path

    def find(self, key: str) -> Row | None:
        """As of a :class:`Store`."""
        path = self._path(key)
        try:
            return json.loads(read_sealed(path))
        except OSError:
            return None
        except ValueError as error:
            said = f"{path.name} in {path.parent} is damaged ({error}); computing it again"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
            with contextlib.suppress(OSError):  # one warning is enough
                path.unlink()
            return None

    def keep(self, key: str, row: Row) -> None:
        """As of a :class:`Store`."""
        write_sealed(self._path(key), json.dumps(row, indent=1).encode())

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def sweep(
    cell: Callable[[S], Row], settings: Mapping[str, S], store: Store, what: str = "cells"
) -> dict[str, Row]:
    """Compute the cells that are not kept yet, and keep each as soon as it is finished.

    Cells run through joblib, so ``joblib.parallel_config`` decides where: one process without it.
    A cell that raises ends the sweep, and the next call goes on where this one was. One that hands
    back a row with an ``error`` ends nothing and is not kept, so the next call tries it again.

    Args:
        cell: ``cell(setting)`` → its row; a function that other processes can be sent.
        settings: by the key of each cell, in the order in which they are computed.
        store: where finished cells are. Into :class:`CellFiles` the workers write themselves: who
            starts a lost one again then finds what it had finished.
        what: they are, for the bar of progress.

    Returns:
        By key, in the order of ``settings``.
    """
    rows = {key: row for key in settings if (row := store.find(key)) is not None}
    missing = [(key, setting) for key, setting in settings.items() if key not in rows]
    files = store if isinstance(store, CellFiles) else None
    what = f"{what} ({len(rows)} more were kept)" if rows else what
    for key, row in side_by_side(partial(_computed, cell, files), missing, what):
        # A machine of a cluster may have other folders.
        if not row.get("error") and store.find(key) is None:
            store.keep(key, row)
        rows[key] = row
    return {key: rows[key] for key in settings}


def side_by_side(work: Callable[[S], T], items: Sequence[S], what: str) -> Iterable[T]:
    """``work`` of each item through joblib, as they are finished, with a bar of progress."""
    if not items:
        return ()
    # One at a time: a batch would be lost as a whole, and its results come late.
    done = Parallel(return_as="generator_unordered", batch_size=1)(
        delayed(_alone)(work, item) for item in items
    )
    return progress(done, what, total=len(items))


def _computed(
    cell: Callable[[S], Row], files: CellFiles | None, item: tuple[str, S]
) -> tuple[str, Row]:
    key, setting = item
    # A cluster starts a cell again if its worker is lost; it may have been finished before.
    row = files.find(key) if files else None
    if row is None:
        keep_memory()
        row = cell(setting)
        if files and not row.get("error"):
            files.keep(key, row)
        give_back_memory()
    return key, row


def _alone(work: Callable[[S], T], item: S) -> T:
    """Without bars inside the sweep's bar, nor jobs inside its jobs.

    What runs in a cell, such as a cross-validation, would else be sent to the cluster again, and
    while it waits the worker would begin another cell.
    """
    with _environment("MEDPRIV_PROGRESS", "0"), parallel_config("sequential"):
        return work(item)


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
