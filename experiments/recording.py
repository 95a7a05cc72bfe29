"""A recorded table: a cell, a grid of settings, and a file to which each finished cell is added."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.model_selection import ParameterGrid

from medpriv.course.recorded_tables import place
from medpriv.data.sources import DATASETS
from medpriv.evaluation.sweep import Row, sweep
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.code import ROOT, Code
from medpriv.runtime.hashing import content_hash, identity

Setting = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """What is computed for which settings.

    Attributes:
        cell: ``cell(**setting)`` → the columns of one row; a function of a module.
        grid: the settings, as :class:`sklearn.model_selection.ParameterGrid` takes them: the last
            name in the alphabet changes first.
        uses: ``uses(setting)`` → the functions that a cell uses, where its setting decides that;
            without it, ``cell``.
    """

    cell: Callable[..., Row]
    grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Sequence[Any]]]
    uses: Callable[[Setting], Sequence[Any]] | None = None

    def settings(self) -> dict[str, Setting]:
        """Each cell's setting by its key."""
        return {self.key(one): one for one in ParameterGrid(self.grid)}

    def key(self, setting: Setting) -> str:
        """A hash of a setting, of what it stands for, and of the source that its cell uses."""
        named = identity(self.uses(setting)) if self.uses else None
        return content_hash(setting, named, code_of(ROOT).hash(self.roots(setting)))[:16]

    def roots(self, setting: Setting) -> list[Any]:
        """From where all that a cell uses is reached: its functions, and its data sets."""
        functions = self.uses(setting) if self.uses else [self.cell]
        return [*functions, *(_MODULES[one] for one in setting.values() if one in _MODULES)]


_MODULES = {name: module for rows in DATASETS.values() for name, module in rows.items()}


@functools.cache
def code_of(root: Path) -> Code:
    """The source below a folder; an experiment that says a data set's name uses its module."""
    return Code(root, words=_MODULES)


def record(name: str, table: Table) -> pd.DataFrame:
    """Compute the cells of a table that are not recorded yet, and record each when it is finished.

    An interrupted table goes on where it was. After a change of a setting, or of code that a cell
    uses, cells are computed again. ``joblib.parallel_config`` decides where.
    """
    settings, path = table.settings(), place(name)
    rows = _Rows(path, list(settings))
    sweep(partial(_row, table.cell), settings, rows, name)
    if list(rows.rows) != rows.keys:  # a grid that shrank, or has another order
        rows.write()
    return pd.read_csv(path)


def _row(cell: Callable[..., Row], setting: Setting) -> Row:
    return {**setting, **cell(**setting)}


class _Rows:
    """The rows of a table's file, a :class:`medpriv.evaluation.sweep.Store`."""

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        old = pd.read_csv(path).to_dict("records") if path.exists() else []
        self.path, self.keys = path, keys
        self.rows = {row["key"]: row for row in old}

    def find(self, key: str) -> Row | None:
        return self.rows.get(key)

    def keep(self, key: str, row: Row) -> None:
        self.rows[key] = {**row, "key": key}
        self.write()

    def write(self) -> None:
        table = pd.DataFrame([self.rows[one] for one in self.keys if one in self.rows])
        with atomic_path(self.path) as part:
            table.to_csv(part, index=False, float_format="%.6g")
