"""Columns of dates, as days; and of what looks like a number and is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.csv_files import kind
from medpriv.data.own_cells import missing_words, visible
from medpriv.data.own_numbers import Numbers

UNIT: Final = "days since 1970-01-01"
_ISO: Final = "write dates as 2020-12-31"
_TIME = (
    r"(?:[T, ]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?"
    r"\s?(?P<half>[AaPp][Mm])?\s?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})(?P<mark>[-/.])(?P<a>\d{1,2})(?P=mark)(?P<b>\d{1,2})" + _TIME
)
_YEAR_LAST = re.compile(
    r"(?P<a>\d{1,2})(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)(?P<year>\d{4})" + _TIME
)
_COMPACT: Final = (19_000_101, 21_001_231)
#: Forms that are refused where most cells have them, from so many different ones on.
_UNREAD: Final = (
    (r"\d{1,2}([-/.])\d{1,2}\1\d\d(?:[T, ].*)?", 1, "dates without their century", _ISO),
    (r"\d{1,2}[-. ]*[^\W\d_]{3,9}\.?[-., ]+\d{2,4}(?: .*)?", 1, "dates with words", _ISO),
    (r"[^\W\d_]{3,9}\.? \d{1,2},? \d{4}(?: .*)?", 1, "dates with words", _ISO),
    (r"\d{1,3}:\d\d(?::\d\d)?", 1, "times", "write them as numbers, such as minutes"),
    (r"\d{2,3} ?/ ?\d{2,3}", 13, "two numbers in a cell", "write two columns"),
)


def dates_of(name: str, cells: NDArray, path: Path) -> Numbers | None:
    """The column as days since 1970-01-01, or ``None`` if it is none of dates.

    Dates begin with the year, or have points, or the whole column shows which number is the day.
    A time is a part of a day, in UTC where a zone is given.

    Raises:
        DataError: most cells are dates, and another is none; it is not clear which number is the
            day; some have a zone and others do not; or the cells have a form that is not read,
            such as years of two digits. The message gives a row and quotes nothing.
    """
    codes, words = pd.factorize(cells)
    empty, counts = missing_words(words), np.bincount(codes, minlength=len(words))
    seen = [visible(word) for word in words]
    most = counts[~empty].sum() / 2

    def row(word: int) -> int:
        return int(np.flatnonzero(codes == word)[0]) + 1

    for pattern, least, what, advice in _UNREAD:
        alike = np.array([re.fullmatch(pattern, word) is not None for word in seen])
        if counts[alike].sum() > most and alike.sum() >= least:
            first = row(int(np.flatnonzero(alike)[0]))
            raise refuse(path, f"the column {name!r} has {what}, such as in row {first}", advice)
    found = [_YEAR_FIRST.fullmatch(word) or _YEAR_LAST.fullmatch(word) for word in seen]
    dated = np.array([match is not None for match in found])
    if counts[dated].sum() <= most:
        return None
    other = np.flatnonzero(~dated & ~empty)
    if len(other):
        raise refuse(
            path,
            f"the column {name!r} has {kind(words[other[0]])} in row {row(int(other[0]))} where a "
            "date is expected",
            f"{_ISO}, or empty these cells and choose missing=",
        )
    day_first = _day_first(name, found, row, path)
    days = np.full(len(words), np.nan)
    for number in np.flatnonzero(dated):
        try:
            days[number] = _days(found[number], day_first)
        except ValueError as error:
            raise refuse(
                path,
                f"the column {name!r} has a date in row {row(int(number))} that does not exist",
                "correct it",
            ) from error
    return Numbers(days[codes], UNIT, f"dates, as {UNIT}")


def compact_dates(values: NDArray) -> NDArray | None:
    """Whole numbers such as 20201231 as days, if each of at least ten is a date; else ``None``."""
    low, high = _COMPACT
    if len(values) < 10 or not ((values >= low) & (values <= high)).all() or (values % 1).any():
        return None
    text = pd.Series(values).astype(np.int64).astype(str)
    dates = pd.to_datetime(text, format="%Y%m%d", errors="coerce")
    if dates.isna().any():
        return None
    return (dates - pd.Timestamp("1970-01-01")).dt.days.to_numpy(np.float64)


def _day_first(name: str, found: list, row, path: Path) -> bool:
    """Whether dates with ``/`` or ``-`` begin with the day."""
    unsure = [
        number
        for number, match in enumerate(found)
        if match and match.re is _YEAR_LAST and match["mark"] != "."
    ]
    if zones := [number for number, match in enumerate(found) if match and match["zone"]]:
        without = [n for n, match in enumerate(found) if match and not match["zone"]]
        if without:
            raise refuse(
                path,
                f"the column {name!r} has times with and without a zone, in rows {row(zones[0])} "
                f"and {row(without[0])}",
                "write all with one, or all without",
            )
    days = [number for number in unsure if int(found[number]["a"]) > 12]
    months = [number for number in unsure if int(found[number]["b"]) > 12]
    if days and months:
        raise refuse(
            path,
            f"the column {name!r} begins dates with the day and with the month, in rows "
            f"{row(days[0])} and {row(months[0])}",
            _ISO,
        )
    if unsure and not days and not months:
        raise refuse(
            path,
            f"the column {name!r} has dates of which the day and the month cannot be told apart, "
            f"such as in row {row(unsure[0])}",
            _ISO,
        )
    return not months


def _days(match: re.Match, day_first: bool) -> float:
    a, b, year = int(match["a"]), int(match["b"]), int(match["year"])
    month, day = (a, b) if match.re is _YEAR_FIRST else (b, a)
    if match.re is _YEAR_LAST and match["mark"] != "." and not day_first:
        month, day = day, month
    hour = int(match["hour"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("no such hour")
        hour = hour % 12 + 12 * (match["half"].lower() == "pm")
    whole = datetime(year, month, day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    minute, second = int(match["minute"] or 0), int(match["second"] or 0)
    if hour > 24 or minute > 59 or second > 60:
        raise ValueError("no such time")
    seconds = timedelta(hours=hour, minutes=minute, seconds=second).total_seconds()
    if (zone := match["zone"]) and zone != "Z":
        sign = -1 if zone[0] == "+" else 1
        seconds += sign * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return whole.days + seconds / 86_400
