"""Columns of a reader's ``.csv`` that say of each row whether something is so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from medpriv.data.archives import refuse
from medpriv.data.csv_files import kind

_YES: Final = ("1", "1.0", "true", "t", "yes", "y", "present", "positive")
_NO: Final = ("0", "0.0", "false", "f", "no", "n", "absent", "negative")


def yes_no_columns(frame: pd.DataFrame, names: Sequence[str], path: Path) -> pd.DataFrame:
    """Those of the columns that say yes or no, as truth values, in their order.

    The cells of such a column are 1 and 0, true and false, yes and no (or their first letters),
    present and absent, or positive and negative, in small letters or capitals. A column that has
    only one of the two tells nobody apart, and one that counts (0, 1, 2) is none; neither comes
    back.

    Args:
        frame: cells as text, as ``read_csv`` gives them.
        names: the columns to look at.
        path: of the file, for messages.

    Raises:
        DataError: over half of a column's filled cells say yes or no, and another cell is empty
            or says something else. An empty cell is no "no". The message gives its row and kind.
    """
    found = {name: _truth(frame[name], name, path) for name in names}
    told = {name: truth for name, truth in found.items() if truth is not None}
    return pd.DataFrame(told, index=pd.RangeIndex(len(frame)), dtype=bool)


def _truth(cells: pd.Series, name: str, path: Path) -> np.ndarray | None:
    said = cells.str.lower()
    yes, no, filled = said.isin(_YES), said.isin(_NO), said != ""
    other = ~(yes | no)
    if (yes | no).sum() <= filled.sum() / 2 or not (yes.any() and no.any()):
        return None
    numbers = pd.to_numeric(said, errors="coerce").notna()
    if (other & filled & numbers).any() and numbers[yes | no].all():
        return None  # it counts, or measures
    if other.any():
        row = int(np.flatnonzero(other)[0])
        raise refuse(
            path,
            f"the column {name!r} says yes or no, but has {kind(cells.iloc[row])} in row {row + 1} "
            f"({int(other.sum())} such cell(s))",
            "say yes or no in each row, or remove the column",
        )
    return yes.to_numpy()
