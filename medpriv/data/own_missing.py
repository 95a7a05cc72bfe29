"""What a reader's table does not say: the codes for it, and what stands in its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cohort import Column, DataError

WAYS: Final = ("refuse", "category", "median")
WORD: Final = "missing"
_BELOW: Final = (-7, -8, -9, -77, -88, -99, -777, -888, -999, -7777, -8888, -9999, -99999)
_ABOVE: Final = (77, 88, 99, 777, 888, 999, 7777, 8888, 9999, 99999, 999999)


def likely_codes(values: NDArray) -> NDArray[np.bool_]:
    """Which numbers look like codes for "nothing is known".

    Of a column whose other numbers are not negative: -9, -99, -999 and the like, and -1 where
    others reach 10. And 99, 999 and the like, of at least twice the largest other number; and 9
    beside 0 to 3.

    Args:
        values: ``(n,)``, NaN where nothing is known.
    """
    with_codes = {*_BELOW, *_ABOVE, -1, 9}
    # One of the two ends is a code if any number is: of most columns that is all it takes.
    if not {np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)} & with_codes:
        return np.zeros(len(values), dtype=bool)
    known = np.unique(values[~np.isnan(values)])
    codes = _among(known)
    return np.isin(values, known[codes]) if codes.any() else np.zeros(len(values), dtype=bool)


def _among(known: NDArray) -> NDArray[np.bool_]:
    """Which of the different numbers, ascending, are likely codes."""
    none = np.zeros(len(known), dtype=bool)
    below, above = np.isin(known, _BELOW), np.isin(known, _ABOVE)
    rest = known[~below & ~above]
    if not len(rest):
        return none
    if rest[0] == -1 and len(rest) > 1 and rest[1] >= 0 and rest[-1] >= 10:
        below, rest = below | (known == -1), rest[1:]
    found = below if rest[0] >= 0 else none
    # Ascending: a number stands out from the largest before it that is no code.
    largest = np.abs(rest).max()
    for place in np.flatnonzero(above):
        if known[place] >= 2 * largest and known[place] > rest[-1]:
            found = found | (np.arange(len(known)) == place)
        else:
            largest = max(largest, abs(known[place]))
    coded = set(known[known != 9].tolist()) <= {0, 1, 2, 3} and 9 in known and len(known) > 2
    return found | (known == 9) if coded else found


def without_codes(
    name: str, values: NDArray, codes: Sequence[float] | None, path: Path
) -> NDArray[np.float64]:
    """The numbers, NaN in the place of ``codes``.

    Raises:
        DataError: none are given (``None``), and some look like codes.
    """
    if codes is not None:
        return np.where(np.isin(values, np.asarray(codes, dtype=np.float64)), np.nan, values)
    likely = np.flatnonzero(likely_codes(values))
    if len(likely):
        raise refuse(
            path,
            f"the column {name!r} has numbers far from all others that look like a code for "
            f"'not known', the first in row {likely[0] + 1} ({len(likely)} such cell(s))",
            "empty these cells, or say with missing_codes=(…) which numbers mean so in this table, "
            "and with missing_codes=() that none does",
        )
    return values


def refuse_missing(name: str, cells: Sequence[str], gone: NDArray, path: Path) -> DataError:
    """The error for a column in which something is missing, to be raised."""
    row = int(np.flatnonzero(gone)[0])
    what = "a sign for 'not known'" if cells[row] else "an empty cell"
    return refuse(
        path,
        f"the column {name!r} has {what} in row {row + 1} ({int(gone.sum())} such cell(s))",
        "fill it in, or choose missing='category' or missing='median' (see medpriv.data.own_files)",
    )


def filled_numbers(
    column: Column, values: NDArray, way: str
) -> tuple[list[Column], list[NDArray], str]:
    """A numeric column with its median where nothing is known; the card's word for it.

    For ``"category"`` a column of no and yes follows that says where that was.
    """
    gone = np.isnan(values)
    columns, filled = [column], [np.where(gone, np.median(values[~gone]), values)]
    if way == "category":
        columns.append(Column(f"{column.name} {WORD}", ("no", "yes")))
        filled.append(gone.astype(np.float64))
    return columns, filled, f"{column.name} in {int(gone.sum())} row(s)"


def filled_words(cells: NDArray, gone: NDArray, way: str) -> NDArray:
    """Categories with one of their own, or the most common one, where nothing is known."""
    if way == "category":
        return np.where(gone, WORD, cells)
    words, counts = np.unique(cells[~gone].astype(str), return_counts=True)
    return np.where(gone, words[counts.argmax()], cells)
