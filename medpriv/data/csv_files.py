"""A strict reader of ``.csv`` files, and of the columns in them."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medpriv.data.archives import check_readable, refuse
from medpriv.data.cohort import Column, DataError
from medpriv.data.own_cells import nameless_rows, refuse_two_spellings

MAX_CLASSES = 100
_EXACT = 2**53  # from here on float64 has no longer each whole number


def read_csv(path: Path, required: tuple[str, ...] = ()) -> pd.DataFrame:
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
    held = [mark for mark in (",", ";", "\t") if mark in header]
    separator = told[1] if told else (held or [","])[0]
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    often = Counter(names)
    twice = [place for place, name in enumerate(names, start=1) if often[name] > 1]
    if twice:
        # By number: in a file without a header these are cells.
        where = " and ".join(map(str, twice))
        raise refuse(path, f"columns {where} of the header share their names", "rename them")
    try:
        with warnings.catch_warnings():
            # Rows with more cells than the header has names would only be cut, with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text), dtype=str, keep_default_na=False, sep=separator, index_col=False
            )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning) as error:
        raise refuse(path, f"this is no table ({error})", "check its quotes and commas") from error
    frame.columns = [str(name).strip() for name in frame.columns]
    missing = [name for name in required if name not in frame]
    if missing:
        raise lacking(frame, missing, path, "check the header row")
    if len(frame) < 2:
        raise refuse(path, f"it has {len(frame)} row(s) under the header", "more are needed")
    # A short row leaves its last cells unset. Plain lists: a third of the time of .str.strip().
    frame = frame.fillna("").apply(lambda column: [cell.strip() for cell in column.to_list()])
    frame.attrs["separator"] = separator
    return frame


def lacking(frame: pd.DataFrame, names: Sequence[str], path: Path, advice: str) -> DataError:
    """The error for columns that are not there, to be raised; it says which are."""
    return refuse(
        path, f"it lacks the column(s) {', '.join(names)} (it has {_header(frame)})", advice
    )


def _header(frame: pd.DataFrame) -> str:
    """The columns' names; only how many, where they could be the cells of a first row."""
    names = list(frame.columns)
    if all(name[:1].isalpha() and name not in set(frame[name]) for name in names):
        return ", ".join(names)
    return f"{len(names)} columns, and its first row looks like a patient's, not like a header"


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


def kind(cell: str) -> str:
    """What a message says of a patient's cell, which it does not quote."""
    if not cell.strip():
        return "an empty cell"
    if re.fullmatch(r"[+-]?(inf(inity)?|nan)", cell.strip(), re.IGNORECASE):
        return "no finite number"
    if re.fullmatch(r"[+-]?\d[\d.]*", cell.strip()):
        return "another number"
    if re.search(r"\d", cell):
        return (
            "a number with other signs"
            if not re.search(r"[^\W\d_]", cell)
            else "digits and letters"
        )
    return "a word"


def numbers(frame: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    """The column as float64.

    Raises:
        DataError: a cell is empty, no number, or not finite; the message gives its line.
    """
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise refuse(
            path,
            f"the column {name!r} has {kind(frame[name].iloc[bad[0]])} in row {bad[0] + 1} "
            f"({len(bad)} such cell(s)) where a finite number is expected",
            "correct or remove these rows",
        )
    return values


def codes(frame: pd.DataFrame, name: str, known: tuple[str, ...], path: Path) -> np.ndarray:
    """The column as positions in ``known``; ``"1.0"`` counts as ``"1"``.

    Raises:
        DataError: a cell has another value; the message gives its row.
    """
    which, cells = pd.factorize(frame[name])
    written = [re.sub(r"^(-?\d+)\.0+$", r"\1", cell) for cell in cells]
    code_of = np.array([known.index(cell) if cell in known else -1 for cell in written])
    position = code_of[which]
    bad = np.flatnonzero(position < 0)
    if len(bad):
        raise refuse(
            path,
            f"the column {name!r} has {kind(frame[name].iloc[bad[0]])} in row {bad[0] + 1} "
            f"({len(bad)} such cell(s)); expected one of {', '.join(known)}",
            "correct or remove these rows",
        )
    return position


def positions(
    frame: pd.DataFrame, name: str, spelled: Mapping[str, Sequence[str]], path: Path
) -> np.ndarray:
    """The column as int64 positions of its values, of which each may be written in several ways.

    Raises:
        DataError: as :func:`codes`.
    """
    known = tuple(word for words in spelled.values() for word in words)
    value_of = np.repeat(np.arange(len(spelled)), [len(words) for words in spelled.values()])
    return value_of[codes(frame, name, known, path)]


def table_columns(table: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of a JSON table that gives each a unit, or its values and their spellings."""
    return tuple(
        Column(name, unit=how) if isinstance(how, str) else Column(name, tuple(how))
        for name, how in table.items()
    )


def table_values(frame: pd.DataFrame, table: Mapping[str, Any], path: Path) -> np.ndarray:
    """These columns as ``(n, columns)`` float64, categories as positions.

    Raises:
        DataError: as :func:`numbers` and :func:`codes`.
    """
    values = [
        numbers(frame, name, path) if isinstance(how, str) else positions(frame, name, how, path)
        for name, how in table.items()
    ]
    return np.stack(values, axis=1).astype(np.float64)


def class_labels(values: np.ndarray, path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of any kind as ``(n,)`` int64 codes and the classes' names, sorted.

    Raises:
        DataError: a label is missing, fractional, or there are one or over 100 classes.
    """
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise refuse(path, f"the labels have shape {values.shape}", "expected one label a row")
    text = np.array([cell.strip() for cell in values.astype(str).tolist()], dtype=object)
    missing = nameless_rows(text)
    if len(missing):
        raise refuse(
            path,
            f"{len(missing)} label(s) are missing, the first in row {missing[0] + 1}",
            "fill them in or remove these rows",
        )
    number = pd.to_numeric(text, errors="coerce")
    if not np.isnan(number).any():
        order, coded = np.unique(_whole(number, path), return_inverse=True)
    else:
        refuse_two_spellings(text, "a class", path)
        order, coded = np.unique(text.astype(str), return_inverse=True)
    if len(order) < 2:
        raise refuse(path, "all labels are the same", "a model needs at least two classes")
    if len(order) > MAX_CLASSES:
        raise refuse(
            path,
            f"there are {len(order)} different labels",
            f"expected at most {MAX_CLASSES} classes; is this an identifier or a measurement?",
        )
    return coded.astype(np.int64), tuple(str(name) for name in order)


def _whole(labels: np.ndarray, path: Path) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        far = np.flatnonzero(~(np.abs(labels.astype(np.float64)) < _EXACT))
    if len(far):
        raise refuse(
            path,
            f"{len(far)} label(s) are not finite or too large, the first in row {far[0] + 1}",
            "number the classes from 0, or name them",
        )
    if not (labels == labels.round()).all():
        raise refuse(path, "the labels are fractions", "expected classes, not measurements")
    return labels.astype(np.int64)
