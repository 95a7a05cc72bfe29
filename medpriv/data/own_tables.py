"""Tables of the reader's own: records, and reports with what is known beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medpriv.data.archives import check_readable, refuse
from medpriv.data.cohort import Cohort, Column, DataError
from medpriv.data.csv_files import MAX_CLASSES, read_csv
from medpriv.data.own_cells import missing_words, named, refuse_two_spellings
from medpriv.data.own_cohort import OwnRows, own_cohort
from medpriv.data.own_dates import UNIT, compact_dates, dates_of
from medpriv.data.own_missing import (
    filled_numbers,
    filled_words,
    refuse_missing,
    without_codes,
)
from medpriv.data.own_numbers import Numbers, decimal_marks, numbers_of
from medpriv.data.own_roles import (
    chosen_columns,
    different_words,
    looks_like_number_of_row,
)
from medpriv.data.sources import Roles, Wanted
from medpriv.data.splitting import row_keys
from medpriv.data.text import normalise_text
from medpriv.data.yes_no import yes_no_columns

LEVELS = 20  # a sensitive column of at most so many whole numbers is one of categories


def own_records(path: Path, wanted: Wanted) -> Cohort:
    """Records from the reader's ``.csv``; see :mod:`medpriv.data.own_files`."""
    return records_of(read_table(path, "records"), path, wanted)


def own_reports(path: Path, wanted: Wanted) -> Cohort:
    """Reports from the reader's ``.csv``; see :mod:`medpriv.data.own_files`."""
    return reports_of(read_table(path, "reports"), path, wanted)


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
    if lost := set(wanted.roles.sensitive) - set(chosen.inputs):
        raise refuse(path, f"of sensitive=, {', '.join(lost)} is no input", "name inputs only")
    read = _Inputs(frame, wanted.roles, path)
    for name in chosen.inputs:
        read.add(name)
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

    The columns of :func:`.yes_no_columns` become the parts' ``attributes``, which
    :func:`.report_facts` gives. The card names them, and the columns that are left out.
    """
    if "text" not in frame:
        raise refuse(path, "it has no column text", "use load_records for records")
    chosen = chosen_columns(frame, wanted.roles, path, text="text")
    empty = np.flatnonzero(frame["text"] == "")
    if len(empty):
        raise refuse(
            path,
            f"{len(empty)} text(s) are empty, the first in row {empty[0] + 1}",
            "remove these rows",
        )
    texts = tuple(frame["text"])
    facts = yes_no_columns(frame, chosen.inputs, path)
    keys = [normalise_text(text) for text in texts]
    left_out = [name for name in chosen.inputs if name not in facts]
    notes = chosen.notes + _columns_used(list(facts), left_out)
    rows = OwnRows(
        path, texts, chosen.labels, chosen.patient, keys, notes, digest=digest,
        attributes=facts, part=chosen.part,
    )  # fmt: skip
    return own_cohort("reports", rows, wanted)


def _columns_used(facts: Sequence[str], left_out: Sequence[str]) -> tuple[str, ...]:
    """What the card says of the columns of a table of reports; it quotes no cell."""
    used = (
        f"facts of the patients, from columns of yes and no: {', '.join(facts)}"
        if facts
        else "no column says yes or no: common words of the reports are their facts, without words "
        "that look like names and without those that nearly always come with a more common one"
    )
    left = "columns left out, since not each row says yes or no and both are there: "
    return (used, left + ", ".join(left_out)) if left_out else (used,)


def read_table(path: Path, what: str) -> pd.DataFrame:
    """A ``.csv`` as text; ``what`` is in it, for the message.

    Raises:
        DataError: it is no such file.
    """
    if path.is_dir() or path.suffix.lower() != ".csv":
        check_readable(path)
        raise refuse(path, f"{what} come as .csv", "or use load_images for images")
    return read_csv(path)


@dataclass
class _Inputs:
    """The inputs of a table, read column by column, and what the card says of them."""

    frame: pd.DataFrame
    roles: Roles
    path: Path
    columns: list[Column] = field(default_factory=list)
    values: list[NDArray] = field(default_factory=list)
    known: list[NDArray] = field(default_factory=list)
    told: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cells = (self.frame[name].to_numpy(dtype=object) for name in self.frame)
        parted = {";"} if self.frame.attrs.get("separator", ",") != "," else set()
        self.marks = cache(lambda: decimal_marks(cells) | parted)

    def add(self, name: str) -> None:
        """Read one more column.

        Raises:
            DataError: it cannot be read beyond doubt; the message quotes no cell.
        """
        cells = self.frame[name].to_numpy(dtype=object)
        read = numbers_of(name, cells, self.path, self.marks)
        read = dates_of(name, cells, self.path) if read is None else _dates_or(read)
        if read is None:
            self._add_words(name, cells)
            return
        values = without_codes(name, read.values, self.roles.missing_codes, self.path)
        gone = np.isnan(values)
        if name in self.roles.sensitive:
            self._add_words(name, _levels(name, values, self.path))
            return
        if gone.any() and self.roles.missing == "refuse":
            raise refuse_missing(name, cells, gone, self.path)
        if gone.all():
            raise _empty(name, self.path)
        _refuse_merged(name, values[~gone], self.path)
        self._tell(read.how and f"numbers read {read.how}" if read.unit != UNIT else read.how, name)
        if read.unit != UNIT and looks_like_number_of_row(name, values, self.path):
            self._tell(
                "a different whole number in each row, as identifiers have (drop= leaves it out)",
                name,
            )
        column = Column(name, unit=read.unit)
        self.known.append(values)
        if not gone.any():
            self.columns.append(column)
            self.values.append(values)
            return
        columns, filled, where = filled_numbers(column, values, self.roles.missing)
        self.columns += columns
        self.values += filled
        self._tell("not known, and filled in with the median of all rows", where)

    def _add_words(self, name: str, cells: NDArray) -> None:
        codes, words = pd.factorize(cells)
        gone = missing_words(words)[codes]
        if gone.all():
            raise _empty(name, self.path)
        if gone.any() and self.roles.missing == "refuse":
            raise refuse_missing(name, cells, gone, self.path)
        refuse_two_spellings(cells[~gone], f"a category of the column {name!r}", self.path)
        if gone.any():
            cells = filled_words(cells, gone, self.roles.missing)
            way = "with the most common one" if self.roles.missing == "median" else "as a category"
            self._tell(f"not known, and filled in {way}", f"{name} in {int(gone.sum())} row(s)")
        values, position = np.unique(cells.astype(str), return_inverse=True)
        if len(values) > MAX_CLASSES:
            raise refuse(
                self.path,
                f"the column {name!r} has {len(values)} different words",
                f"a category has at most {MAX_CLASSES}: group or remove it; free text is called "
                "text",
            )
        digits = sum(value[:1].isdigit() for value in values) > len(values) / 2
        if digits and name not in self.roles.sensitive:
            self._tell("categories, though most of their names begin with a digit", name)
        if different_words(cells):
            self._tell("a different word in each row (drop= leaves it out)", name)
        self.columns.append(Column(name, tuple(str(value) for value in values)))
        self.values.append(position)
        self.known.append(np.where(gone, np.nan, position))

    def _tell(self, what: str, name: str) -> None:
        if what:
            self.told.setdefault(what, []).append(name)

    def notes(self) -> tuple[str, ...]:
        """What the card says of the columns; it quotes no cell."""
        return tuple(f"{what}: {named(names)}" for what, names in self.told.items())


def _dates_or(read: Numbers) -> Numbers:
    days = None if read.unit or read.how else compact_dates(read.values)
    return read if days is None else Numbers(days, UNIT, f"dates, as {UNIT}")


def _levels(name: str, values: NDArray, path: Path) -> NDArray:
    """Whole numbers as words, where there are few.

    Raises:
        DataError: there are many, or fractions.
    """
    known = values[~np.isnan(values)]
    if (known % 1).any() or len(np.unique(known)) > LEVELS:
        raise refuse(
            path,
            f"the sensitive column {name!r} has fractions, or over {LEVELS} different numbers",
            "cut it into levels with names: what is guessed is a category",
        )
    return np.array(["" if np.isnan(value) else str(int(value)) for value in values], dtype=object)


def _refuse_merged(name: str, values: NDArray, path: Path) -> None:
    """Refuse whole numbers of which a network's 32 bits would make fewer."""
    if not (values % 1).any() and len(np.unique(values.astype(np.float32))) < len(
        np.unique(values)
    ):
        raise refuse(
            path,
            f"the column {name!r} has whole numbers so large that some would become the same",
            f"subtract the smallest, or leave it out with drop=({name!r},)",
        )


def _empty(name: str, path: Path) -> DataError:
    return refuse(
        path, f"the column {name!r} is empty in all rows", f"leave it out with drop=({name!r},)"
    )
