"""Strict readers of files that may be anything: ``.npz`` and ``.tar.gz``.

Each returns what the file should hold or raises one :class:`DataError` that names the file, what
is wrong and what to do. Nothing is unpickled and nothing is extracted to disk.
"""

from __future__ import annotations

import math
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from medpriv.data.cohort import DataError
from medpriv.runtime.cache import cache_dir

MAX_BYTES = 4 * 1024**3  # files are read whole into memory
_HEADS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def refuse(path: Path, wrong: str, advice: str) -> DataError:
    """The error for ``path``, to be raised; a file in the cache can simply be fetched again."""
    if path.is_relative_to(cache_dir()):
        advice = "delete it, and it will be downloaded again"
    return DataError(f"{path}: {wrong}; {advice}")


def check_readable(path: Path, size: int | None = None) -> None:
    """Check that there is a file, that it is not empty, not huge and no web page.

    Args:
        path: the file.
        size: its size once unpacked, in bytes, if that differs from its size on disk.

    Raises:
        DataError: it is one of these.
    """
    if not path.exists():
        raise refuse(path, "there is no such file", "check the path")
    if not path.is_file():
        raise refuse(path, "this is not a file", "give the path of a file")
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise refuse(path, f"it cannot be read ({error.strerror})", "check its rights") from error
    if not start:
        raise refuse(path, "the file is empty (0 bytes)", "get it again")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        raise refuse(
            path,
            "this is a web page, not data",
            "a download link probably led to a login or error page; get the file itself",
        )
    size = path.stat().st_size if size is None else size
    if size > MAX_BYTES:
        raise refuse(
            path,
            f"it holds {size / 1024**3:.1f} GiB and would be read into memory, at most "
            f"{MAX_BYTES / 1024**3:.0f} GiB",
            "take a sample of it",
        )


def read_npz(path: Path, required: tuple[str, ...]) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file, ``required`` among them.

    Raises:
        DataError: the file is missing, cut off or no ``.npz``, needs unpickling, or lacks an
            array.
    """
    check_readable(path)
    if not zipfile.is_zipfile(path):
        raise refuse(path, "this is no .npz file, or it is cut off", "get or save it again")
    try:
        check_readable(path, _size_as_float32(path))
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if "allow_pickle" in str(error):
            raise refuse(
                path,
                "it holds Python objects, which can run code when they are read",
                "save plain arrays only (numbers or fixed-length strings, no dtype=object)",
            ) from error
        raise refuse(path, f"the file is damaged ({error})", "get or save it again") from error
    if missing := [name for name in required if name not in arrays]:
        raise refuse(
            path,
            f"it lacks {', '.join(missing)} (it holds {', '.join(arrays)})",
            f"save it with np.savez(path, {', '.join(f'{n}=...' for n in required)})",
        )
    return arrays


def npz_names(path: Path) -> set[str]:
    """The names of the arrays in an ``.npz`` file; none where it is no such file."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return set()
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def _size_as_float32(path: Path) -> int:
    """What the arrays need in memory, numbers as float32 at least, by their own heads.

    An array's head may promise more than the archive holds: the room is taken before that shows.
    """
    total = 0
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            total += entry.file_size
            if not entry.filename.endswith(".npy"):
                continue
            with archive.open(entry) as file:
                version = np.lib.format.read_magic(file)
                if version not in _HEADS:
                    raise ValueError(f"{entry.filename} is of an unknown version")
                shape, _, kind = _HEADS[version](file)
            total += math.prod(shape) * max(kind.itemsize, 4) - entry.file_size
    return total


def read_tar(path: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Give name and bytes of the wanted files of a ``.tar.gz``, without extracting any.

    Raises:
        DataError: the archive is cut off, damaged, or has a name that leads outside of it.
    """
    check_readable(path)
    total = 0
    try:
        with tarfile.open(path, mode="r:*") as archive:
            for member in archive:
                _refuse_escape(path, member)
                total += member.size
                check_readable(path, total)
                if not member.isfile() or not wanted(member.name):
                    continue
                content = archive.extractfile(member)
                yield member.name, b"" if content is None else content.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise refuse(
            path, f"the archive is damaged or cut off ({error})", "get it again"
        ) from error


def _refuse_escape(path: Path, member: tarfile.TarInfo) -> None:
    for name in filter(None, (member.name, member.linkname)):
        inside = PurePosixPath(name.replace("\\", "/"))
        if inside.is_absolute() or ".." in inside.parts or ":" in inside.parts[0]:
            raise refuse(
                path,
                f"it holds the name {name!r}, which leads outside of the archive",
                "do not use this file; get it from its publisher",
            )
