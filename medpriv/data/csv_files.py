"""A strict reader of ``.csv`` files."""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from medpriv.data.archives import check_readable, refuse
from medpriv.data.cells import Cells, listed


def read_csv(path: Path, required: Sequence[str] = ()) -> pd.DataFrame:
    """A ``.csv`` file as text: every cell a string, stripped; an empty one is ``""``.

    What parts the columns is in ``attrs["separator"]``.

    UTF-8, a header row, separated by commas or (where the header has no comma) semicolons or tabs;
    a first line ``sep=;``, as spreadsheets write it, says so itself. Lines end as on any system.

    Raises:
        DataError: the file is missing, empty, in another encoding, ragged, without rows, or
            lacks a required column.
    """
    check_readable(path)
    text = _decode(path)
    told = re.match(r"sep=(.)[\r\n]+", text)
    text = text[told.end() :] if told else text
    header = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]
    separator = told[1] if told else next((mark for mark in ",;\t" if mark in header), ",")
    try:
        raw = pd.read_csv(
            io.StringIO(text), header=None, dtype=str, keep_default_na=False, sep=separator
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise refuse(path, f"this is no table ({error})", "check its quotes and commas") from error
    # A short row leaves its last cells unset.
    cells = np.frompyfunc(str.strip, 1, 1)(raw.fillna("").to_numpy(dtype=object))
    names, cells = cells[0].tolist(), cells[1:]
    often = Counter(names)
    twice = [str(place) for place, name in enumerate(names, start=1) if often[name] > 1]
    if twice:  # by number: in a file without a header these are cells
        where = " and ".join(twice)
        raise refuse(path, f"columns {where} of the header share their names", "rename them")
    if len(cells) < 2:
        raise refuse(path, f"it has {len(cells)} row(s) under the header", "more are needed")
    names = [name or f"Unnamed: {place}" for place, name in enumerate(names)]
    frame = pd.DataFrame(cells, columns=names, dtype=object)
    require_columns(frame, required, path, "check the header row")
    frame.attrs["separator"] = separator
    return frame


def require_columns(frame: pd.DataFrame, names: Sequence[str], path: Path, advice: str) -> None:
    """Pass if a table of text has these columns.

    Raises:
        DataError: it lacks some; the message says which.
    """
    missing = [name for name in dict.fromkeys(names) if name not in frame]
    if missing:
        has = f"{frame.shape[1]} columns, and its first row, not shown here, may be a patient's"
        has = listed(frame) if _has_header(frame) else has
        raise refuse(path, f"it lacks the column(s) {', '.join(missing)} (it has {has})", advice)


def _has_header(frame: pd.DataFrame) -> bool:
    """Whether the first row names the columns beyond doubt: otherwise it may be a patient's.

    Each name begins with a letter, says something, and is no cell of its own column; and under one
    of them, at least, all cells are numbers.
    """
    names = Cells("", frame.columns.to_numpy(dtype=object), Path())
    if names.missing.any() or not all(name[:1].isalpha() for name in names.text):
        return False
    columns = {name: frame[name].unique() for name in frame}
    numeric = [pd.to_numeric(words, errors="coerce") for words in columns.values()]
    return any(np.isfinite(column).all() for column in numeric) and not any(
        name in words for name, words in columns.items()
    )


def _decode(path: Path) -> str:
    content = path.read_bytes()
    utf16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        if content.startswith(utf16) or b"\x00" in content[:512]:
            raise UnicodeError("it looks like UTF-16 or a binary file")
        return content.decode("utf-8-sig")
    except UnicodeError as error:
        raise refuse(
            path,
            f"it is not encoded in UTF-8 ({error})",
            "save it as UTF-8; spreadsheets call it 'CSV UTF-8'",
        ) from error
