"""Recorded tables as chapters read them; the clone's ``experiments`` make them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from medpriv.course.catalog import chapters_dir


def recorded(name: str) -> pd.DataFrame:
    """A recorded table.

    Raises:
        ValueError: it was never made; ``make grids`` makes it.
    """
    path = place(name)
    if not path.exists():
        raise ValueError(f"no recorded table {name!r} at {path}; run `make grids` to make it")
    return pd.read_csv(path)


def data_sets(name: str) -> list[str] | None:
    """The data sets in a recorded table; nothing where it has no such column, or is not there."""
    if not place(name).exists():
        return None
    table = recorded(name)
    return sorted(table["dataset"].unique()) if "dataset" in table else None


def place(name: str) -> Path:
    """Where a recorded table is kept."""
    return chapters_dir() / "recorded" / f"{name}.csv"
