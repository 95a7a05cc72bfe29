"""One cell of a reader's table: whether it holds anything, and how it is spelled."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medpriv.data.archives import refuse

#: What stands for "nothing is known", in small letters. Not "none" and "unknown": of pain, "none"
#: is an answer, and "unknown" is what a reader writes for a category of its own.
MISSING: Final = frozenset(
    ("", "?", "na", "n/a", "#n/a", "<na>", "nan", "null", "nat", "-", "--", ".", "..")
)
_HIDDEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")
_WHOLE = re.compile(r"([+-]?\d+)\.0*")


def visible(cell: str) -> str:
    """The cell with plain spaces, and without the characters that nobody sees."""
    return re.sub(r"\s", " ", _HIDDEN.sub("", cell)).strip()


def missing_words(words: NDArray) -> NDArray[np.bool_]:
    """Which cells say that nothing is known; ``-`` beside ``+`` is a sign."""
    said = [visible(word).casefold() for word in words]
    codes = MISSING - {"-"} if "+" in said else MISSING
    return np.array([word in codes for word in said], dtype=bool)


def nameless_rows(names: NDArray) -> NDArray[np.int64]:
    """The rows whose label or patient is not said; ``none`` is no name either."""
    codes, words = pd.factorize(names)
    gone = missing_words(words) | np.array([word.lower() == "none" for word in words], dtype=bool)
    return np.flatnonzero(gone[codes])


def spelling(cell: str) -> str:
    """What two ways to write one thing have in common: ``P1`` and ``p1``; ``1``, ``01``, ``1.0``.

    Case, spaces, zeros in front and after a decimal point, hidden characters and the forms of
    Unicode do not count.
    """
    plain = unicodedata.normalize("NFKC", _HIDDEN.sub("", cell)).casefold()
    plain = _ZEROS.sub("", unicodedata.normalize("NFKC", re.sub(r"\s", "", plain)))
    return _WHOLE.sub(r"\1", plain) if _WHOLE.fullmatch(plain) else plain


def refuse_two_spellings(cells: NDArray, what: str, path: Path) -> None:
    """Refuse cells of which two are one thing in two spellings; ``what`` they are, for the message.

    Raises:
        DataError: it gives the first row of each spelling.
    """
    codes, words = pd.factorize(cells)
    first: dict[str, int] = {}
    for number, word in enumerate(words):
        before = first.setdefault(spelling(str(word)), number)
        if before != number:
            rows = [int(np.flatnonzero(codes == one)[0]) + 1 for one in (before, number)]
            raise refuse(
                path,
                f"{what} is written in two ways, in rows {rows[0]} and {rows[1]} (such as by case, "
                "spaces, zeros in front or characters that nobody sees)",
                "write it in one way, or in clearly different ways if these are two",
            )


def named(names: list[str]) -> str:
    """Names of columns for the card; of very many the first."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more
