"""Columns of numbers as spreadsheets write them: decimal commas, units, separated thousands.

A column is one of numbers where most of its filled cells are. Then each of them has to be one, in
one reading: what could be read in two ways, such as ``1,234``, is decided by what other cells of
the column, or else other columns of the table, show beyond doubt, and refused where they show
nothing. Ranges (``40-49``) and stages (``1a``) are categories.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.cells import Cells, visible

Marks = Callable[[], set[str]]

_NUMBER: Final = re.compile(
    r"(?P<bound>(?:[<>]=?|[≤≥~≈±])\s*)?(?P<currency>[$€£]\s*)?(?P<sign>[+-]?)\s*"
    r"(?P<body>\d[\d.,'’ ]*|[.,]\d+)(?P<power>[eE][+-]?\d+(?!\w))?\s*"
    r"(?P<unit>10\^\d[^\s<>,;=-]*|"
    r"(?!(?:st|nd|rd|th)$)(?:[%‰°µμΩ€$£A-Za-z\[]|/ ?[^\W\d])[^\s<>,;=-]*(?: [^\s\d<>,;=-]+)*)?"
)
# The digits of a number with a decimal point, and of one with a decimal comma. India parts by two.
_WITH_POINT: Final = re.compile(
    r"(?:\d+|[1-9]\d{0,2}(?:(?:[ '’]\d{3})+|(?:,\d{3})+|(?:,\d\d)+,\d{3}))(?:\.\d*)?|\.\d+"
)
_WITH_COMMA: Final = re.compile(
    r"(?:\d+|[1-9]\d{0,2}(?:(?:[ '’]\d{3})+|(?:\.\d{3})+))(?:,\d+)?|,\d+"
)
_EITHER: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")
_STAGE: Final = re.compile(r"\d[a-eA-E]?")
_LARGEST: Final = float(np.finfo(np.float32).max)
_PLAINLY: Final = "write decimals with a point, and nothing between thousands"

_BELOW: Final = (-7, -8, -9, -77, -88, -99, -777, -888, -999, -7777, -8888, -9999, -99999)
_ABOVE: Final = (77, 88, 99, 777, 888, 999, 7777, 8888, 9999, 99999, 999999)
_CODES: Final = {*_BELOW, *_ABOVE, -1, 9}


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


class _Number(NamedTuple):
    """A cell that is one: ``mark`` is that of its decimals, or ",?" and ".?" if of thousands."""

    digits: str
    mark: str
    unit: str
    bound: bool  # such as "<0.5"

    def value(self, decimal: str) -> float:
        thousands = "," if decimal == "." else "."
        return float(self.digits.replace(thousands, "").replace(decimal, "."))


def _number(cell: str) -> _Number | None:
    """What a cell says, as a reader sees it, if it is a number."""
    found = _NUMBER.fullmatch(cell.replace("\u2212", "-"))
    body = found["body"].strip() if found else ""
    point, comma = _WITH_POINT.fullmatch(body), _WITH_COMMA.fullmatch(body)
    if not found or not (point or comma):
        return None
    held = re.sub("[^.,]", "", body)
    mark = "," if not point else "." if not comma else held and f"{held}?"
    digits = found["sign"] + re.sub("[ '’]", "", body) + (found["power"] or "")
    unit = " ".join(filter(None, ((found["currency"] or "").strip(), found["unit"])))
    return _Number(digits, mark, unit, found["bound"] is not None)


def decimal_marks(columns: Iterable[NDArray]) -> set[str]:
    """The decimal marks that the cells of columns show beyond doubt: each column's first ones."""
    first = (visible(str(cell)) for cells in columns for cell in pd.unique(cells)[:200])
    return {one.mark for one in map(_number, first) if one} & {",", "."}


def numbers_of(cells: Cells, marks: Marks) -> Numbers | None:
    """The column as numbers, or ``None`` if it is one of something else.

    Args:
        cells: of the column.
        marks: gives the decimal marks that the whole table shows, and ``;`` where its columns are
            not parted by commas, so that it may be of a place where decimals are.

    Raises:
        DataError: most cells are numbers, and others are not; their units differ; one is a bound
            such as ``<0.5``; or it cannot be told what a comma or a point parts.
    """
    plain = pd.to_numeric(cells.text, errors="coerce").astype(np.float64)
    points = [cell for cell in cells.text if "." in cell]
    if np.isfinite(plain).all() and not (points and all(map(_EITHER.fullmatch, points))):
        return Numbers(plain)
    words = [
        None if gone else _number(w) for w, gone in zip(cells.seen, cells.missing, strict=True)
    ]
    number = np.array([word is not None for word in words])
    bound = np.array([word is not None and word.bound for word in words])
    if not cells.are_most(number) or (number == bound).all() or _are_stages(cells):
        return None
    cells.forbid(
        (~number & ~cells.missing)[cells.code],
        "correct these cells, or empty them and choose missing=",
        expected="a finite number",
    )
    cells.forbid(
        bound[cells.code],
        "decide on a number for it, such as the limit, or make categories of all cells",
        what="a bound, such as below or above a limit,",
        expected="a number",
    )
    unit = next(word.unit for word in words if word)
    differs = np.array([word is not None and word.unit != unit for word in words])
    cells.forbid_both(
        (number & ~differs)[cells.code],
        differs[cells.code],
        "has numbers in different units, or with and without one",
        "convert them to one unit, and write it in the column's name",
    )
    mark = np.array([word and word.mark for word in words], dtype=object)[cells.code]
    decimal = _decimal(cells, mark, marks)
    values = np.array([np.nan if word is None else word.value(decimal) for word in words])
    how = _how({*mark}, unit, decimal)
    if not how and np.isnan(plain)[number[cells.code]].any():
        how = "with other signs or separated thousands"
    return Numbers(values[cells.code], unit, how)


def _are_stages(cells: Cells) -> bool:
    seen = [one for one, gone in zip(cells.seen, cells.missing, strict=True) if not gone]
    return all(map(_STAGE.fullmatch, seen)) and any(one[1:] for one in seen)


def _decimal(cells: Cells, mark: NDArray, marks: Marks) -> str:
    """What parts the decimals of a column, or ``"."`` where nothing does.

    Args:
        cells: of the column.
        mark: ``(n,)`` what each cell shows of it.
        marks: as for :func:`numbers_of`.

    Raises:
        DataError: it is both, or cannot be told.
    """
    for point, what in ((".", "points"), (".?", "points that may part thousands")):
        both = f"has decimal commas and decimal {what}"
        cells.forbid_both(mark == ",", mark == point, both, _PLAINLY)
    held = {*mark} - {None}
    if sure := held & {",", "."}:
        return sure.pop()
    unsure = held - {""}
    if not unsure:
        return "."
    shown = marks()
    others = shown & {",", "."}
    if unsure == {",?"} and len(others) == 1:
        return others.pop()
    # Without anything to go by they are decimals, if all cells have them and commas end columns.
    if unsure == {".?"} and (others == {"."} or (not shown and "" not in held)):
        return "."
    cells.forbid(
        np.isin(mark, list(unsure)),
        f"{_PLAINLY}; where all have three decimals, write a fourth",
        what="a number with one comma or point, three digits before its end,",
        expected="a number of which it is clear whether that parts decimals or thousands",
    )
    return "."


def _how(marks: set[str], unit: str, decimal: str) -> str:
    told = {
        "with decimal commas": "," in marks or (",?" in marks and decimal == ","),
        "with commas between thousands": ",?" in marks and decimal == ".",
        "with decimal points before three digits": ".?" in marks and not marks & {".", ","},
        "without their unit, which is noted with the column": bool(unit),
    }
    return " and ".join(how for how, so in told.items() if so)


def check_32_bits(cells: Cells, values: NDArray[np.float64]) -> None:
    """Pass if a network's 32 bits hold the column's numbers, and whole ones apart.

    Raises:
        DataError: they do not.
    """
    cells.forbid(
        np.abs(values) > _LARGEST,
        "correct it, or write the column in a larger unit",
        what="a number that is too large",
    )
    known = values[~np.isnan(values)]
    large = np.abs(known).max(initial=0) > 2**24 and not (known % 1).any()
    if large and len(np.unique(known.astype(np.float32))) < len(np.unique(known)):
        raise cells.refuse(
            "has whole numbers so large that some would become the same",
            f"subtract the smallest, or leave it out with drop=({cells.name!r},)",
        )


def without_codes(cells: Cells, values: NDArray, codes: Sequence[float] | None) -> NDArray:
    """The column's numbers, NaN in the place of ``codes``.

    Raises:
        DataError: none are given (``None``), and some numbers look like codes.
    """
    if codes is not None:
        return np.where(np.isin(values, np.asarray(codes, dtype=np.float64)), np.nan, values)
    cells.forbid(
        likely_codes(values),
        "empty these cells, or say with missing_codes=(…) which numbers mean so in this table, and "
        "with missing_codes=() that none does",
        what="a number far from all others that looks like a code for 'not known'",
    )
    return values


def likely_codes(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which numbers look like codes for "nothing is known".

    Of a column whose other numbers are not negative: -9, -99, -999 and the like, and -1 where
    others reach 10. And 99, 999 and the like, of at least twice the largest other number; and 9
    beside 0 to 3.

    Args:
        values: ``(n,)``, NaN where nothing is known.
    """
    # One of the two ends is a code if any number is: of most columns that is all it takes.
    if not {np.nanmin(values, initial=np.inf), np.nanmax(values, initial=-np.inf)} & _CODES:
        return np.zeros(len(values), dtype=bool)
    known = np.unique(values[~np.isnan(values)])
    return np.isin(values, list(_codes_among(known)))


def _codes_among(known: NDArray) -> set[float]:
    """The likely codes among the different numbers of a column, ascending."""
    rest = known[~np.isin(known, _BELOW + _ABOVE)]
    if not len(rest):
        return set()
    below = set(known) & set(_BELOW)
    if len(rest) > 1 and rest[0] == -1 and rest[1] >= 0 and rest[-1] >= 10:
        below, rest = below | {-1.0}, rest[1:]
    found = below if rest[0] >= 0 else set()
    # A number stands out from the largest before it that is no code.
    largest = np.abs(rest).max()
    for one in known[np.isin(known, _ABOVE)]:
        if one >= 2 * largest and one > rest[-1]:
            found = found | {one}
        else:
            largest = max(largest, abs(one))
    levels = set(known) - {9.0}
    return found | {9.0} if 9 in known and len(levels) > 1 and levels <= {0, 1, 2, 3} else found
