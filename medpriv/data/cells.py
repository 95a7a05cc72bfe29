"""A column of a table as text: what its cells say, and how one that says something else is refused.

A message gives a row, counted from 1 under the header, and says of what kind its cell is. It never
quotes one: it is a patient's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cohort import DataError

MAX_CLASSES: Final = 100
#: What stands for "nothing is known", in small letters. Not "none" and "unknown": of pain, "none"
#: is an answer, and "unknown" is what a reader writes for a category of its own.
_MISSING: Final = frozenset(
    ("", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "nat", "-", "--", ".", "..")
)
_HIDDEN: Final = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_ZEROS: Final = re.compile(r"(?<![\d.])0+(?=\d)")
_EXACT: Final = 2**53  # from here on float64 has no longer each whole number


def visible(cell: str) -> str:
    """The cell with plain spaces, and without the characters that nobody sees."""
    return re.sub(r"\s", " ", _HIDDEN.sub("", cell)).strip()


def spelling(cell: str) -> str:
    """What two ways to write one thing have in common: ``P1`` and ``p1``; ``1``, ``01``, ``1.0``.

    Case, spaces, zeros in front and after a decimal point, hidden characters and the forms of
    Unicode do not count.
    """
    plain = unicodedata.normalize("NFKC", _HIDDEN.sub("", cell)).casefold()
    plain = _ZEROS.sub("", unicodedata.normalize("NFKC", re.sub(r"\s", "", plain)))
    return re.sub(r"^([+-]?\d+)\.0*$", r"\1", plain)


def kind(cell: str) -> str:
    """What a message says of a patient's cell, which it does not quote."""
    cell = cell.strip()
    if not cell:
        return "an empty cell"
    if re.fullmatch(r"[+-]?(inf(inity)?|nan)", cell, re.IGNORECASE):
        return "no finite number"
    if re.fullmatch(r"[+-]?\d[\d.]*", cell):
        return "another number"
    if not re.search(r"\d", cell):
        return "a word"
    return "digits and letters" if re.search(r"[^\W\d_]", cell) else "a number with other signs"


@dataclass(frozen=True, eq=False)
class Cells:
    """A column, with each of its different cells looked at once.

    Attributes:
        name: of the column.
        text: ``(n,)`` its cells.
        path: of the file, for messages.
    """

    name: str
    text: NDArray
    path: Path

    @cached_property
    def _coded(self) -> tuple[NDArray, NDArray]:
        return pd.factorize(self.text)

    @property
    def code(self) -> NDArray[np.int64]:
        """Which of ``words`` each row has."""
        return self._coded[0]

    @property
    def words(self) -> NDArray:
        """The different cells, in the order in which they come."""
        return self._coded[1]

    @cached_property
    def seen(self) -> list[str]:
        """The different cells, as a reader sees them."""
        return [visible(word) for word in self.words]

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Which of the different cells say that nothing is known; ``-`` beside ``+`` is a sign."""
        said = [word.casefold() for word in self.seen]
        signs = _MISSING - {"-"} if "+" in said else _MISSING
        return np.array([word in signs for word in said], dtype=bool)

    def are_most(self, such: NDArray[np.bool_]) -> bool:
        """Whether over half of the cells that say something are of such words."""
        counts = np.bincount(self.code, minlength=len(self.words))
        return bool(counts[such].sum() > counts[~self.missing].sum() / 2)

    def forbid(
        self, rows: NDArray[np.bool_], advice: str, *, what: str = "", expected: str = ""
    ) -> None:
        """Pass if there are none of these rows.

        Args:
            rows: ``(n,)``, those with a wrong cell.
            advice: what the reader can do.
            what: is wrong; else it is said of what kind the first such cell is.
            expected: in its place.

        Raises:
            DataError: there are some.
        """
        wrong = np.flatnonzero(rows)
        if len(wrong):
            what = what or kind(self.text[wrong[0]])
            where = f"in row {wrong[0] + 1} ({len(wrong)} such cell(s))"
            where += f" where {expected} is expected" if expected else ""
            raise self.refuse(f"has {what} {where}", advice)

    def forbid_both(
        self, one: NDArray[np.bool_], other: NDArray[np.bool_], what: str, advice: str
    ) -> None:
        """Pass if not both are there, ``(n,)`` rows of one kind and of another."""
        if one.any() and other.any():
            where = f"in rows {one.argmax() + 1} and {other.argmax() + 1}"
            raise self.refuse(f"{what}, {where}", advice)

    def forbid_two_spellings(self, what: str) -> None:
        """Pass if no two words are one thing, ``what`` is the message's word for it.

        Raises:
            DataError: it gives the first row of each.
        """
        first: dict[str, int] = {}
        for word in np.flatnonzero(~self.missing):
            before = first.setdefault(spelling(str(self.words[word])), word)
            if before != word:
                rows = [int((self.code == one).argmax()) + 1 for one in (before, word)]
                raise refuse(
                    self.path,
                    f"{what} is written in two ways, in rows {rows[0]} and {rows[1]} (such as by "
                    "case, spaces, zeros in front or characters that nobody sees)",
                    "write it in one way, or in clearly different ways if these are two",
                )

    def refuse(self, wrong: str, advice: str) -> DataError:
        """The error for the column, to be raised."""
        return refuse(self.path, f"the column {self.name!r} {wrong}", advice)


def cells_of(frame: pd.DataFrame, path: Path) -> dict[str, Cells]:
    """The columns of a table of text, by name."""
    return {name: Cells(name, frame[name].to_numpy(dtype=object), path) for name in frame}


def forbid_rows(path: Path, rows: NDArray[np.bool_], what: str, advice: str) -> None:
    """Pass if there are none of these rows of which ``what`` is wrong.

    Raises:
        DataError: it counts them, and gives the first.
    """
    wrong = np.flatnonzero(rows)
    if len(wrong):
        raise refuse(path, f"{len(wrong)} {what}, the first in row {wrong[0] + 1}", advice)


def names_of(values: NDArray, path: Path, what: str, advice: str) -> Cells:
    """Labels or patients of any type as text, of which each says something.

    Args:
        values: ``(n,)``.
        path: of the file, for messages.
        what: is wrong where nothing is said; ``none`` is no name either.
        advice: what the reader can do about it.
    """
    text = np.array([cell.strip() for cell in values.astype(str).tolist()], dtype=object)
    cells = Cells("", text, path)
    nameless = cells.missing | np.array(
        [word.lower() == "none" for word in cells.words], dtype=bool
    )
    forbid_rows(path, nameless[cells.code], what, advice)
    return cells


def class_labels(values: NDArray, path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels of any kind as ``(n,)`` int64 codes and the classes' names, sorted.

    Raises:
        DataError: a label is missing, fractional, or there are one or over 100 classes.
    """
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise refuse(path, f"the labels have shape {values.shape}", "expected one label a row")
    cells = names_of(values, path, "label(s) are missing", "fill them in or remove these rows")
    number = pd.to_numeric(cells.text, errors="coerce")
    if np.isnan(number).any():
        cells.forbid_two_spellings("a class")
        order, coded = np.unique(cells.text.astype(str), return_inverse=True)
    else:
        order, coded = np.unique(_whole(number, path), return_inverse=True)
    if len(order) < 2:
        raise refuse(path, "all labels are the same", "a model needs at least two classes")
    if len(order) > MAX_CLASSES:
        raise refuse(
            path,
            f"there are {len(order)} different labels",
            f"expected at most {MAX_CLASSES} classes; is this an identifier or a measurement?",
        )
    return coded.astype(np.int64), tuple(str(name) for name in order)


def _whole(labels: NDArray, path: Path) -> NDArray[np.int64]:
    far = ~(np.abs(labels.astype(np.float64)) < _EXACT)
    advice = "number the classes from 0, or name them"
    forbid_rows(path, far, "label(s) are not finite or too large", advice)
    if (labels % 1).any():
        raise refuse(path, "the labels are fractions", "expected classes, not measurements")
    return labels.astype(np.int64)


def listed(names: Iterable[str]) -> str:
    """Names of columns for the card; of very many the first."""
    names = list(names)
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
