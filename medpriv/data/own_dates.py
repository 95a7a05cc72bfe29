"""Columns of dates, as days; and of what looks like a number and is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from medpriv.data.cells import Cells
from medpriv.data.own_numbers import Numbers

UNIT: Final = "days since 1970-01-01"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOW: Final = f"dates, as {UNIT}"
_ISO: Final = "write dates as 2020-12-31"
_DATE: Final = re.compile(
    r"(?:(?P<first>\d{4})|(?P<a>\d{1,2}))(?P<mark>[-/.])(?P<b>\d{1,2})(?P=mark)"
    r"(?(first)(?P<c>\d{1,2})|(?P<last>\d{4}))"
    r"(?:[T, ]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?"
    r"\s?(?P<half>[AaPp][Mm])?\s?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
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


def dates_of(cells: Cells) -> Numbers | None:
    """The column as days since 1970-01-01, or ``None`` if it is none of dates.

    Dates begin with the year, or have points, or the whole column shows which number is the day.
    A time is a part of a day, in UTC where a zone is given.

    Raises:
        DataError: most cells are dates, and another is none; it is not clear which number is the
            day; some have a zone and others do not; or the cells have a form that is not read,
            such as years of two digits.
    """
    for pattern, least, what, advice in _UNREAD:
        alike = np.array([re.fullmatch(pattern, word) is not None for word in cells.seen])
        if alike.sum() >= least and cells.are_most(alike):
            cells.forbid(alike[cells.code], advice, what=what)
    dates = [_DATE.fullmatch(word) for word in cells.seen]
    dated = np.array([date is not None for date in dates])
    if not cells.are_most(dated):
        return None
    cells.forbid(
        (~dated & ~cells.missing)[cells.code],
        f"{_ISO}, or empty these cells and choose missing=",
        expected="a date",
    )
    zoned = np.array([date is not None and date["zone"] is not None for date in dates])
    both = "has times with and without a zone"
    advice = "write all with one, or all without"
    cells.forbid_both(zoned[cells.code], (dated & ~zoned)[cells.code], both, advice)
    month_first = _month_first(cells, dates)
    days = np.array([np.nan if date is None else _days(date, month_first) for date in dates])
    no_such = (dated & np.isnan(days))[cells.code]
    cells.forbid(no_such, "correct it", what="a date or time that does not exist")
    return Numbers(days[cells.code], UNIT, _HOW)


def _month_first(cells: Cells, dates: list[re.Match | None]) -> bool:
    """Whether dates with ``/`` or ``-`` that end with the year begin with the month.

    Raises:
        DataError: the column shows both, or neither.
    """
    unsure = np.array([bool(date and date["last"] and date["mark"] != ".") for date in dates])
    begin, then = (
        np.array([int(date[key]) if date and date[key] else 0 for date in dates]) for key in "ab"
    )
    by_day, by_month = (unsure & (begin > 12))[cells.code], (unsure & (then > 12))[cells.code]
    cells.forbid_both(by_day, by_month, "begins dates with the day and with the month", _ISO)
    if not by_day.any() and not by_month.any():
        what = "a date of which the day and the month cannot be told apart"
        cells.forbid(unsure[cells.code], _ISO, what=what)
    return bool(by_month.any())


def _days(date: re.Match, month_first: bool) -> float:
    """Days since 1970-01-01, NaN where there is no such date or time."""
    day, month, hour = date["a"] or date["c"], date["b"], int(date["hour"] or 0)
    if month_first and date["last"] and date["mark"] != ".":
        day, month = month, day
    if date["half"]:
        hour = hour % 12 + 12 * (date["half"].lower() == "pm") if 1 <= hour <= 12 else 99
    time = f"{hour:02}:{date['minute'] or '00'}:{date['second'] or '00'}{date['zone'] or 'Z'}"
    try:
        moment = datetime.fromisoformat(
            f"{date['first'] or date['last']}-{month:>02}-{day:>02}T{time}"
        )
    except ValueError:
        return np.nan
    return (moment - _EPOCH) / timedelta(days=1)


def compact_dates(read: Numbers) -> Numbers:
    """Whole numbers such as 20201231 as days, if each of at least ten is a date."""
    low, high = _COMPACT
    values = read.values
    if read.unit or read.how or len(values) < 10 or not ((values >= low) & (values <= high)).all():
        return read
    text = pd.Series(values.astype(np.int64).astype(str))
    days = (pd.to_datetime(text, format="%Y%m%d", errors="coerce") - pd.Timestamp(0)).dt.days
    if (values % 1).any() or days.isna().any():
        return read
    return Numbers(days.to_numpy(np.float64), UNIT, _HOW)
