"""The reader's own split: a column that says in which part each patient is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cohort import PARTS
from medpriv.data.csv_files import kind
from medpriv.data.own_cells import spelling
from medpriv.data.splitting import in_random_order, split_by_patient

_WORDS: Final = {
    "members": ("members", "member", "train", "training"),
    "auxiliary": ("auxiliary",),
    "victims": ("victims", "victim"),
    "test": ("test", "testing"),
    "others": ("others", "other", "nonmembers", "nonmember", "non-members", "non-member"),
}
_PART_OF: Final = {word: part for part, words in _WORDS.items() for word in words}
_SHARES: Final = {"auxiliary": 4 / 6, "victims": 1 / 6, "test": 1 / 6}
_ADVICE: Final = (
    f"write {', '.join(PARTS[:-1])} and {PARTS[-1]}, or members and others (or train and test)"
)


def is_split(cells: NDArray, name: str, path: Path) -> bool:
    """Whether a column says in which part each row is.

    One that is called ``part`` and never says so is a part of something else.

    Raises:
        DataError: only some of its cells do, or one of another name does not.
    """
    known = np.array([spelling(str(cell)) in _PART_OF for cell in cells])
    if known.all():
        return True
    if name == "part" and not known.any():
        return False
    row = int(np.flatnonzero(~known)[0])
    raise refuse(
        path,
        f"the column {name!r} has {kind(str(cells[row]))} in row {row + 1} "
        f"({int((~known).sum())} such cell(s)) where a part is expected",
        f"{_ADVICE}; or rename the column, if it means something else",
    )


def member_rows(cells: NDArray) -> NDArray[np.bool_]:
    """Which rows trained the model."""
    return _parts(cells) == "members"


def _parts(cells: NDArray) -> NDArray:
    return np.array([_PART_OF[spelling(str(cell))] for cell in cells])


def rows_of_parts(
    cells: NDArray, patient: NDArray, y: NDArray, path: Path, seed: int
) -> dict[str, NDArray]:
    """The rows of each part, its patients in random order.

    ``others`` (or ``test`` without the two parts of the attacker's) are divided 4:1:1 by patient,
    in each class, into auxiliary, victims and test.

    Raises:
        DataError: a part is missing, or a patient is in two.
    """
    parts = _parts(cells)
    said = set(parts)
    if said == {"members", "test"}:
        parts, said = np.where(parts == "test", "others", parts), {"members", "others"}
    lacks = {"members", "others"} - said if "others" in said else set(PARTS) - said
    if lacks or len(said) not in (2, len(PARTS)):
        what = f"no row of {', '.join(sorted(lacks))}" if lacks else "others beside other parts"
        raise refuse(path, f"the reader's split has {what}", _ADVICE)
    _refuse_two_parts(parts, patient, path)
    rows = {name: np.flatnonzero(parts == name) for name in sorted(said)}
    if "others" in rows:
        others = rows.pop("others")
        shared = split_by_patient(patient[others], _SHARES, seed=seed, stratify=y[others])
        rows |= {name: others[where] for name, where in shared.items()}
    return {name: in_random_order(patient, rows[name], seed) for name in PARTS}


def _refuse_two_parts(parts: NDArray, patient: NDArray, path: Path) -> None:
    frame = pd.DataFrame({"patient": patient, "part": parts})
    first = frame.drop_duplicates()
    again = first[first["patient"].duplicated()]
    if len(again):
        second = int(again.index[0])
        before = int(np.flatnonzero(patient == patient[second])[0])
        raise refuse(
            path,
            f"rows {before + 1} and {second + 1} are of one patient, in two parts "
            f"({again['patient'].nunique()} such patient(s))",
            "a patient belongs to one part: whoever trained the model is a member with all rows",
        )
