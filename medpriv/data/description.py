"""A few lines beside the reader's own table that say what its columns are."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medpriv.data.cohort import DataError

DESCRIBED = ".toml"
_TEXT, _TEXTS, _NUMBERS = "a text", "a list of texts", "a list of numbers"
#: What can be said of a table, beside its ``file``.
KINDS = {
    "label": _TEXT, "patient": _TEXT, "part": _TEXT, "missing": _TEXT,
    "sensitive": _TEXTS, "drop": _TEXTS, "missing_codes": _NUMBERS,
}  # fmt: skip


def described(path: Path, known: Sequence[str]) -> tuple[Path, dict[str, Any]]:
    """The table that a ``.toml`` describes, and what it says of the columns.

    ``file`` is the table, beside the description or below; the other keys are arguments of
    :func:`medpriv.data.load_records`: ``label``, ``patient``, ``part``, ``sensitive``, ``drop``,
    ``missing`` and ``missing_codes``, of which ``known`` apply.

    Raises:
        DataError: it is no TOML, ``file`` is missing, or a key is unknown or of another kind.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise DataError(
            f'{path.name} is no TOML; expected lines such as: file = "patients.csv"'
        ) from None
    file = said.pop("file", None)
    if not isinstance(file, str):
        raise DataError(f'{path.name} names no table; expected a line: file = "patients.csv"')
    for key, value in said.items():
        if key not in known:
            raise DataError(
                f"{path.name} says something that is unknown here; beside file it can say: "
                f"{', '.join(known)}"
            )
        if not _fits(value, KINDS[key]):
            raise DataError(f"{path.name}: {key} has to be {KINDS[key]}")
    return path.parent / file, said


def _fits(value: Any, kind: str) -> bool:
    if kind == _TEXT:
        return isinstance(value, str)
    of = str if kind == _TEXTS else (int, float)
    return isinstance(value, list) and all(
        isinstance(one, of) and not isinstance(one, bool) for one in value
    )
