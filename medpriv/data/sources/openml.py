"""Tables from OpenML, through scikit-learn, kept in the cache as ``.csv``, and their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from http.client import HTTPException
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.cells import Cells, cells_of
from medpriv.data.cohort import Column
from medpriv.data.fetch import Source

#: How a file writes a column: in which unit, or of each of its values in which ways.
Written = str | Mapping[str, Sequence[str]]


def openml_source(name: str, number: int) -> Source:
    """Where the table of a data set comes from, by its number on OpenML.

    scikit-learn compares the download with the MD5 that OpenML publishes.
    """
    page = f"https://www.openml.org/d/{number}"
    kept, transfer = f"openml-{number}.csv", partial(_download, number)
    return Source(name, (f"{name}.csv",), url=page, page=page, kept=kept, transfer=transfer)


def _download(number: int, source: Source, path: Path) -> None:
    from sklearn.datasets import fetch_openml

    try:
        # Kept by us, whole or not at all: scikit-learn's own cache stays out of it.
        bunch = fetch_openml(data_id=number, as_frame=True, parser="auto", cache=False)
    except (OSError, HTTPException, ValueError) as error:
        wrong = f"downloading data set {number} from OpenML failed ({error})"
        raise source.refuse(wrong) from error
    bunch.frame.to_csv(path, index=False)


def columns_of(table: Mapping[str, Written]) -> tuple[Column, ...]:
    """The columns that a table of a data set's JSON file describes."""
    return tuple(
        Column(name, unit=how) if isinstance(how, str) else Column(name, tuple(how))
        for name, how in table.items()
    )


def values_of(frame: pd.DataFrame, table: Mapping[str, Written], path: Path) -> NDArray[np.float64]:
    """These columns as ``(n, columns)``, categories as positions; ``"1.0"`` counts as ``"1"``.

    Args:
        frame: cells as text.
        table: how each column is written.
        path: of the file, for messages.

    Raises:
        DataError: a cell is no finite number, or none of the known values.
    """
    cells = cells_of(frame, path)
    return np.stack([_values(cells[name], how) for name, how in table.items()], axis=1)


def _values(cells: Cells, how: Written) -> NDArray[np.float64]:
    if isinstance(how, str):
        values, expected = pd.to_numeric(cells.text, errors="coerce"), "a finite number"
    else:
        place = {word: number for number, words in enumerate(how.values()) for word in words}
        plain = [re.sub(r"^(-?\d+)\.0+$", r"\1", word) for word in cells.words]
        values = np.array([place.get(word, np.nan) for word in plain])[cells.code]
        expected = f"one of {', '.join(place)}"
    cells.forbid(~np.isfinite(values), "correct or remove these rows", expected=expected)
    return values.astype(np.float64)
