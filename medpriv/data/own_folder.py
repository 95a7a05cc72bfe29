"""A reader's folder of pictures: what its ``labels.csv`` names, and where that lies."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from medpriv.data.archives import refuse
from medpriv.data.own_cohort import LABELS
from medpriv.runtime.hashing import content_hash

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm")


def find_table(folder: Path) -> Path:
    """The folder's ``labels.csv``, also where its name has capitals.

    Raises:
        DataError: there is none.
    """
    alike = [path for path in folder.iterdir() if path.name.lower() == LABELS and path.is_file()]
    exact = folder / LABELS
    if exact not in alike and len(alike) != 1:
        raise refuse(
            folder,
            f"the folder has no {LABELS}",
            "write one with the columns file, label and, if known, patient",
        )
    return exact if exact in alike else alike[0]


def named_files(table: Path, names: Iterable[str]) -> tuple[Path, ...]:
    r"""The file of each row, in the table's folder or one below; ``\`` and ``/`` mean the same.

    Raises:
        DataError: a name leads elsewhere, is nobody's, or is in the table twice.
    """
    files = tuple(_named(table, row, name) for row, name in enumerate(names, start=1))
    first: dict[tuple[int, int], int] = {}
    for row, file in enumerate(files, start=1):
        status = file.stat()
        before = first.setdefault((status.st_dev, status.st_ino), row)
        if before != row:
            raise refuse(
                table, f"rows {before} and {row} name the same picture", "remove one of the rows"
            )
    return files


def files_in(folder: Path) -> list[Path]:
    """All files in the folder and below, but for those that systems hide; sorted."""
    return sorted(
        path for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file()
    )


def _named(table: Path, row: int, name: str) -> Path:
    inside = PurePosixPath(name.replace("\\", "/"))
    elsewhere = inside.is_absolute() or PureWindowsPath(name).is_absolute() or ".." in inside.parts
    if not name or elsewhere:
        raise refuse(table, f"row {row} names a file elsewhere", "expected a name in this folder")
    # Unpacking an archive from Windows can leave files with a backslash in their names.
    for file in (table.parent / inside, table.parent / name):
        if file.is_file():
            return file
        if file.exists():  # opening a pipe would wait for ever
            raise refuse(file, f"this is not a file (row {row})", f"correct {table.name}")
    wrong = f"there is no such file (row {row} of {table.name})"
    there = (path.relative_to(table.parent) for path in files_in(table.parent))
    if _composed(inside) in map(_composed, there):
        wrong += (
            ", but one whose name differs only in capitals, or in how its accents are stored (NFC "
            "or NFD)"
        )
    raise refuse(table.parent / inside, wrong, f"correct its name in {table.name}")


def _composed(name: PurePath) -> str:
    return unicodedata.normalize("NFC", name.as_posix()).casefold()


def about_files(table: Path, files: Sequence[Path]) -> tuple[str, list[str]]:
    """The sha256 of the table and of the files in it, and what the card says of both."""
    there = {path for path in files_in(table.parent) if path.suffix.lower() in PICTURES}
    named = [(file.relative_to(table.parent).as_posix(), file) for file in files]
    notes = [f"the sha256 is over the names and contents of {LABELS} and the pictures in it"]
    if left := len(there - set(files)):
        notes.insert(0, f"{left} picture(s) that {LABELS} does not name were left out")
    return content_hash([(LABELS, table), *named]), notes
