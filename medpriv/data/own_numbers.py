"""Columns of numbers as spreadsheets write them: decimal commas, units, separated thousands.

A column is one of numbers where most of its filled cells are. Then each of them has to be one, in
one reading: what could be read in two ways, such as ``1,234``, is decided by what other cells of
the column, or else other columns of the table, show beyond doubt, and refused where they show
nothing. Ranges (``40-49``) and stages (``1a``) are categories.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cohort import DataError
from medpriv.data.csv_files import kind
from medpriv.data.own_cells import missing_words, visible

Marks = Callable[[], set[str]]

_CELL = re.compile(
    r"(?P<bound>(?:[<>]=?|[≤≥~≈±])\s*)?(?P<currency>[$€£]\s*)?(?P<sign>[+-]?)\s*"
    r"(?P<body>\d[\d.,'’ ]*|[.,]\d+)(?P<power>[eE][+-]?\d+(?!\w))?\s*"
    r"(?P<unit>10\^\d[^\s<>,;=-]*|"
    r"(?!(?:st|nd|rd|th)$)(?:[%‰°µμΩ€$£A-Za-z\[]|/ ?[^\W\d])[^\s<>,;=-]*(?: [^\s\d<>,;=-]+)*)?"
)
_POINT = re.compile(r"\d+\.\d*|\.\d+")
_COMMA = re.compile(r"\d*,\d+")
_EITHER = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_APART = re.compile(r"([1-9]\d{0,2}(?:[ '’]\d{3})+)([.,]\d+)?")
_COMMAS = re.compile(r"[1-9]\d{0,2}(?:(?:,\d{3}){2,}|(?:,\d{3})+\.\d+|(?:,\d\d)+,\d{3}(?:\.\d+)?)")
_POINTS = re.compile(r"[1-9]\d{0,2}(?:(?:\.\d{3}){2,}|(?:\.\d{3})+,\d+)")
_STAGE = re.compile(r"\d[a-eA-E]")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Numbers:
    """A column that was read as numbers.

    Attributes:
        values: ``(n,)`` float64, NaN where nothing is known.
        unit: that of all cells, if they name one.
        how: what the card says of the way in which it was read.
    """

    values: NDArray[np.float64]
    unit: str = ""
    how: str = ""


class _Cell(NamedTuple):
    text: str
    mark: str  # of decimals: "," or "."; "" where none is seen; ",?" and ".?" may part thousands
    unit: str
    bound: bool  # such as "<0.5"
    plain: bool  # as Python writes it

    def value(self, decimal: str) -> float:
        """The number, where this is the decimal mark."""
        mark = self.mark[:1]
        if self.mark.endswith("?") and mark != decimal:
            return float(self.text.replace(mark, ""))
        return float(self.text.replace(",", "."))


def read_number(cell: str) -> _Cell | None:
    """What a cell says, if it is a number."""
    seen = visible(cell).replace("\u2212", "-")
    found = _CELL.fullmatch(seen)
    if found is None:
        return None
    body, mark = found["body"].strip(), ""
    if apart := _APART.fullmatch(body):
        body = re.sub(r"[ '’]", "", body)
        mark = (apart[2] or "")[:1]
    elif _EITHER.fullmatch(body):
        mark = ",?" if "," in body else ".?"
    elif _COMMAS.fullmatch(body):
        body, mark = body.replace(",", ""), "."
    elif _POINTS.fullmatch(body):
        body, mark = body.replace(".", ""), ","
    elif _POINT.fullmatch(body):
        mark = "."
    elif _COMMA.fullmatch(body):
        mark = ","
    elif not body.isdecimal():
        return None
    text = found["sign"] + body + (found["power"] or "")
    unit = " ".join(filter(None, ((found["currency"] or "").strip(), found["unit"])))
    plain = text == cell.strip() and mark in ("", ".", ".?")
    return _Cell(text, mark, unit, found["bound"] is not None, plain)


def decimal_marks(columns: Iterable[NDArray]) -> set[str]:
    """The decimal marks that the cells of columns show beyond doubt: each column's first ones."""
    found = set()
    for cells in columns:
        read = (read_number(str(cell)) for cell in pd.unique(cells)[:200])
        found |= {cell.mark for cell in read if cell and cell.mark in (",", ".")}
    return found


def numbers_of(name: str, cells: NDArray, path: Path, marks: Marks) -> Numbers | None:
    """The column as numbers, or ``None`` if it is one of something else.

    Args:
        name: of the column, for messages.
        cells: ``(n,)`` text.
        path: of the file, for messages.
        marks: gives the decimal marks that the whole table shows, and ``;`` where its columns are
            not parted by commas, so that it may be of a place where decimals are.

    Raises:
        DataError: most cells are numbers, and others are not; their units differ; one is a bound
            such as ``<0.5``; or it cannot be told what a comma or a point parts. The message gives
            a row and quotes nothing.
    """
    values = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    points = [cell for cell in cells if "." in cell]
    if np.isfinite(values).all() and not (points and all(map(_EITHER.fullmatch, points))):
        return Numbers(_not_too_large(name, values, path))
    codes, words = pd.factorize(cells)
    empty, counts = missing_words(words), np.bincount(codes, minlength=len(words))
    read = [None if gone else read_number(word) for word, gone in zip(words, empty, strict=True)]
    if not _most_are_numbers(words, empty, read, counts):
        return None
    where = _Where(name, path, codes)
    others = [i for i, cell in enumerate(read) if cell is None and not empty[i]]
    if others:
        raise where.refuse_cells(
            others,
            f"{kind(words[others[0]])}",
            "where a finite number is expected",
            "correct these cells, or empty them and choose missing=",
        )
    bounds = [i for i, cell in enumerate(read) if cell and cell.bound]
    if bounds:
        raise where.refuse_cells(
            bounds,
            "a bound, such as below or above a limit,",
            "where a number is expected",
            "decide on a number for it, such as the limit, or make categories of all cells",
        )
    unit = _one_unit(where, read)
    decimal = _decimal(where, read, marks)
    found = np.array([np.nan if cell is None else cell.value(decimal) for cell in read])
    return Numbers(_not_too_large(name, found[codes], path), unit, _how(read, unit, decimal))


def _most_are_numbers(
    words: NDArray, empty: NDArray, read: list[_Cell | None], counts: NDArray
) -> bool:
    number = np.array([cell is not None for cell in read])
    exact = np.array([cell is not None and not cell.bound for cell in read])
    seen = [visible(word) for word in words[~empty]]
    stages = any(map(_STAGE.fullmatch, seen)) and all(
        _STAGE.fullmatch(word) or re.fullmatch(r"\d", word) for word in seen
    )
    filled = counts[~empty].sum()
    return bool(exact.any() and counts[number].sum() > filled / 2 and not stages)


@dataclass(frozen=True)
class _Where:
    """Which column is read, and in which rows its different cells are."""

    name: str
    path: Path
    codes: NDArray

    def row(self, word: int) -> int:
        return int(np.flatnonzero(self.codes == word)[0]) + 1

    def refuse_cells(self, words: list[int], what: str, where: str, advice: str) -> DataError:
        many = int(np.isin(self.codes, words).sum())
        return refuse(
            self.path,
            f"the column {self.name!r} has {what} in row {self.row(words[0])} ({many} such "
            f"cell(s)) {where}",
            advice,
        )

    def refuse_two(self, first: int, second: int, what: str, advice: str) -> DataError:
        return refuse(
            self.path,
            f"the column {self.name!r} has {what}, in rows {self.row(first)} and "
            f"{self.row(second)}",
            advice,
        )


def _one_unit(where: _Where, read: list[_Cell | None]) -> str:
    first: dict[str, int] = {}
    for number, cell in enumerate(read):
        if cell is not None:
            first.setdefault(cell.unit, number)
    if len(first) > 1:
        raise where.refuse_two(
            *list(first.values())[:2],
            "numbers in different units, or with and without one",
            "convert them to one unit, and write it in the column's name",
        )
    return next(iter(first))


def _decimal(where: _Where, read: list[_Cell | None], marks: Marks) -> str:
    """What parts the decimals of a column, or ``"."`` where nothing does.

    Raises:
        DataError: it is both, or cannot be told.
    """
    first: dict[str, int] = {}
    for number, cell in enumerate(read):
        if cell is not None and cell.mark:
            first.setdefault(cell.mark, number)
    advice = "write decimals with a point, and nothing between thousands"
    if {",", "."} <= set(first):
        raise where.refuse_two(first[","], first["."], "decimal commas and decimal points", advice)
    if "," in first and ".?" in first:
        raise where.refuse_two(
            first[","], first[".?"], "decimal commas, and points that may part thousands", advice
        )
    if "," in first or "." in first:
        return "," if "," in first else "."
    unsure = {mark for mark in (",?", ".?") if mark in first}
    if not unsure:
        return "."
    shown = marks()
    if unsure == {",?"} and len(shown & {",", "."}) == 1:
        return (shown & {",", "."}).pop()
    # Without anything to go by they are decimals, if all cells have them and commas end columns.
    alone = not shown and all(cell.mark for cell in read if cell)
    if unsure == {".?"} and (shown in ({"."}, {".", ";"}) or alone):
        return "."
    raise where.refuse_cells(
        [number for number, cell in enumerate(read) if cell and cell.mark in unsure],
        "a number with one comma or point, three digits before its end,",
        "which may part decimals or thousands",
        f"{advice}; where all have three decimals, write a fourth",
    )


def _how(read: list[_Cell | None], unit: str, decimal: str) -> str:
    cells = [cell for cell in read if cell is not None]
    told = []
    if any(cell.mark == "," or (cell.mark == ",?" and decimal == ",") for cell in cells):
        told.append("with decimal commas")
    if any(cell.mark == ",?" and decimal == "." for cell in cells):
        told.append("with commas between thousands")
    marks = {cell.mark for cell in cells}
    if decimal == "." and ".?" in marks and "." not in marks:
        told.append("with decimal points before three digits")
    if unit:
        told.append("without their unit, which is noted with the column")
    if not told and not all(cell.plain for cell in cells):
        told.append("with other signs or separated thousands")
    return " and ".join(told)


def _not_too_large(name: str, values: NDArray, path: Path) -> NDArray[np.float64]:
    large = np.flatnonzero(np.abs(np.nan_to_num(values, posinf=np.inf, neginf=-np.inf)) > _LARGEST)
    if len(large):
        raise refuse(
            path,
            f"the column {name!r} has a number in row {large[0] + 1} that is too large",
            "correct it, or write the column in a larger unit",
        )
    return values
