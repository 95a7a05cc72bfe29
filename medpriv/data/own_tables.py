"""Tables of the reader's own: records, and reports with what is known beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cells import MAX_CLASSES, Cells, forbid_rows, listed
from medpriv.data.cohort import Cohort, Column
from medpriv.data.own_cohort import OwnRows, own_cohort
from medpriv.data.own_dates import UNIT, compact_dates, dates_of
from medpriv.data.own_numbers import (
    Marks,
    Numbers,
    check_32_bits,
    decimal_marks,
    numbers_of,
    without_codes,
)
from medpriv.data.own_roles import chosen_columns, could_number_rows
from medpriv.data.sources import Roles, Wanted
from medpriv.data.splitting import row_keys
from medpriv.data.text import normalise_text

_LEVELS: Final = 20  # a sensitive column of at most so many whole numbers is one of categories
_MISSING: Final = "missing"
_YES: Final = ("1", "1.0", "true", "t", "yes", "y", "present", "positive")
_NO: Final = ("0", "0.0", "false", "f", "no", "n", "absent", "negative")


def records_of(
    frame: pd.DataFrame, path: Path, wanted: Wanted, digest: str | None = None
) -> Cohort:
    """Records from a table of text.

    Args:
        frame: cells as ``read_csv`` gives them.
        path: where they come from, for messages and the card.
        wanted: what is wanted of them.
        digest: stands for the sha256 of the file where there is none.
    """
    if "text" in frame and "text" not in wanted.roles.drop:
        raise refuse(path, "it has a column text", "use load_reports for reports")
    chosen = chosen_columns(frame, wanted.roles, path)
    if not chosen.inputs:
        raise refuse(path, "it has no column besides label, patient and id", "add the inputs")
    if lost := set(wanted.roles.sensitive) - {cells.name for cells in chosen.inputs}:
        raise refuse(path, f"of sensitive=, {', '.join(lost)} is no input", "name inputs only")
    columns = (frame[name].to_numpy(dtype=object) for name in frame)
    parted = {";"} if frame.attrs.get("separator", ",") != "," else set()
    read = _Inputs(wanted.roles, cache(lambda: decimal_marks(columns) | parted))
    for cells in chosen.inputs:
        read.add(cells)
    x = torch.from_numpy(np.stack(read.values, axis=1).astype(np.float32))
    # Before anything is filled in: rows that differ in what is known are not the same.
    keys = row_keys(np.stack(read.known, axis=1).astype(np.float32))
    rows = OwnRows(
        path, x, chosen.labels, chosen.patient, keys, chosen.notes + read.notes(),
        tuple(read.columns), digest, part=chosen.part,
    )  # fmt: skip
    return own_cohort("records", rows, wanted)


def reports_of(
    frame: pd.DataFrame, path: Path, wanted: Wanted, digest: str | None = None
) -> Cohort:
    """Reports from a table of text; arguments as for :func:`records_of`.

    Columns that say yes or no become the parts' ``attributes``, which :func:`.report_facts` gives.
    The card names them, and the columns that are left out.
    """
    if "text" not in frame:
        raise refuse(path, "it has no column text", "use load_records for records")
    chosen = chosen_columns(frame, wanted.roles, path, text="text")
    empty = (frame["text"] == "").to_numpy()
    forbid_rows(path, empty, "text(s) are empty", "remove these rows")
    texts = tuple(frame["text"])
    truth = {cells.name: _truth(cells) for cells in chosen.inputs}
    facts = {name: one for name, one in truth.items() if one is not None}
    notes = [
        f"facts of the patients, from columns of yes and no: {', '.join(facts)}"
        if facts
        else "no column says yes or no: common words of the reports are their facts, without words "
        "that look like names and without those that nearly always come with a more common one"
    ]
    if left_out := [name for name in truth if name not in facts]:
        why = "columns left out, since not each row says yes or no and both are there"
        notes.append(f"{why}: {', '.join(left_out)}")
    rows = OwnRows(
        path, texts, chosen.labels, chosen.patient, [normalise_text(text) for text in texts],
        (*chosen.notes, *notes), digest=digest, part=chosen.part,
        attributes=pd.DataFrame(facts, index=pd.RangeIndex(len(frame)), dtype=bool),
    )  # fmt: skip
    return own_cohort("reports", rows, wanted)


def _truth(cells: Cells) -> NDArray[np.bool_] | None:
    """Of which rows a column says that something is so, or ``None`` if it says no such thing.

    Its cells are 1 and 0, true and false, yes and no (or their first letters), present and absent,
    or positive and negative, in small letters or capitals. A column that has only one of the two
    tells nobody apart, and one that counts (0, 1, 2) is none.

    Raises:
        DataError: over half of the filled cells say yes or no, and another cell is empty or says
            something else. An empty cell is no "no".
    """
    said = np.array([word.lower() for word in cells.words], dtype=object)
    yes, no = np.isin(said, _YES), np.isin(said, _NO)
    if not (yes.any() and no.any() and cells.are_most(yes | no)):
        return None
    other = ~(yes | no)
    number = ~np.isnan(pd.to_numeric(said, errors="coerce"))
    if (other & number).any() and number[yes | no].all():
        return None  # it counts, or measures
    advice = "say yes or no in each row, or remove the column"
    cells.forbid(other[cells.code], advice, expected="yes or no")
    return yes[cells.code]


@dataclass
class _Inputs:
    """The inputs of a table, read column by column, and what the card says of them."""

    roles: Roles
    marks: Marks
    columns: list[Column] = field(default_factory=list)
    values: list[NDArray] = field(default_factory=list)
    known: list[NDArray] = field(default_factory=list)  # NaN where nothing was filled in yet
    told: dict[str, list[str]] = field(default_factory=dict)

    def add(self, cells: Cells) -> None:
        """Read one more column.

        Raises:
            DataError: it cannot be read beyond doubt; the message quotes no cell.
        """
        read = numbers_of(cells, self.marks)
        read = dates_of(cells) if read is None else compact_dates(read)
        if read is None:
            self._add_words(cells)
            return
        values = without_codes(cells, read.values, self.roles.missing_codes)
        if cells.name in self.roles.sensitive:
            self._add_words(_levels(cells, values))
        else:
            check_32_bits(cells, values)
            self._add_numbers(cells, Numbers(values, read.unit, read.how))

    def _add_numbers(self, cells: Cells, read: Numbers) -> None:
        values, name, dated = read.values, cells.name, read.unit == UNIT
        gone = self._gone(cells, np.isnan(values))
        if read.how:
            self._tell(read.how if dated else f"numbers read {read.how}", name)
        if not dated and could_number_rows(cells, values):
            said = "a different whole number in each row, as identifiers have"
            self._tell(f"{said} (drop= leaves it out)", name)
        self._add(Column(name, unit=read.unit), values, values)
        if gone.any():
            self.values[-1] = np.where(gone, np.median(values[~gone]), values)
            where = f"{name} in {int(gone.sum())} row(s)"
            self._tell("not known, and filled in with the median of all rows", where)
        if gone.any() and self.roles.missing == "category":
            self._add(Column(f"{name} {_MISSING}", ("no", "yes")), gone, gone)

    def _add_words(self, cells: Cells) -> None:
        gone = self._gone(cells, cells.missing[cells.code])
        cells.forbid_two_spellings(f"a category of the column {cells.name!r}")
        words, known = cells.text.astype(str), ~gone
        if gone.any():
            most_common, way = _MISSING, "as a category"
            if self.roles.missing == "median":
                found, counts = np.unique(words[known], return_counts=True)
                most_common, way = found[counts.argmax()], "with the most common one"
            words = np.where(gone, most_common, words)
            where = f"{cells.name} in {int(gone.sum())} row(s)"
            self._tell(f"not known, and filled in {way}", where)
        values, position = np.unique(words, return_inverse=True)
        if len(values) > MAX_CLASSES:
            raise cells.refuse(
                f"has {len(values)} different words",
                f"a category has at most {MAX_CLASSES}: group or remove it; free text is called "
                "text",
            )
        digits = sum(value[:1].isdigit() for value in values) > len(values) / 2
        if digits and cells.name not in self.roles.sensitive:
            self._tell("categories, though most of their names begin with a digit", cells.name)
        if len(values) == len(words):
            self._tell("a different word in each row (drop= leaves it out)", cells.name)
        column = Column(cells.name, tuple(map(str, values)))
        self._add(column, position, np.where(gone, np.nan, position))

    def _gone(self, cells: Cells, gone: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The rows in which nothing is known, if that may be."""
        if gone.all():
            advice = f"leave it out with drop=({cells.name!r},)"
            raise cells.refuse("is empty in all rows", advice)
        if self.roles.missing == "refuse":
            sign = cells.text[gone.argmax()]
            cells.forbid(
                gone,
                "fill it in, or choose missing='category' or missing='median' (see "
                "medpriv.data.own_files)",
                what="a sign for 'not known'" if sign else "an empty cell",
            )
        return gone

    def _add(self, column: Column, values: NDArray, known: NDArray) -> None:
        self.columns.append(column)
        self.values.append(values)
        self.known.append(known)

    def _tell(self, what: str, name: str) -> None:
        self.told.setdefault(what, []).append(name)

    def notes(self) -> tuple[str, ...]:
        """What the card says of the columns; it quotes no cell."""
        return tuple(f"{what}: {listed(names)}" for what, names in self.told.items())


def _levels(cells: Cells, values: NDArray[np.float64]) -> Cells:
    """Whole numbers as words, where there are few.

    Raises:
        DataError: there are many, or fractions.
    """
    known = np.unique(values[~np.isnan(values)])
    if len(known) > _LEVELS or not np.array_equal(known, known.round()):
        raise cells.refuse(
            f"is sensitive, and has fractions, or over {_LEVELS} different numbers",
            "cut it into levels with names: what is guessed is a category",
        )
    words = ["" if np.isnan(value) else str(int(value)) for value in values]
    return Cells(cells.name, np.array(words, dtype=object), cells.path)
