"""Find a data set's file: the reader's folder, then the cache, then a download.

A download is verified after it has arrived and before anybody reads it, and appears in the cache
whole or not at all. A publisher's checksum is used where one exists; none is made up. Where there
is none, the sha256 of what arrived is noted beside it, so that damage done later is noticed.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from medpriv.data.cohort import DataError
from medpriv.runtime.cache import atomic_path, cache_dir
from medpriv.runtime.progress import progress

TIMEOUT_S = 30


@dataclass(frozen=True)
class Source:
    """Where the file of a data set can come from.

    Attributes:
        name: the data set's name.
        files: names that the reader's folder may hold it under, the preferred one first.
        url: where it is downloaded from.
        page: the page that a person downloads it from.
        checksum: the publisher's own, as ``"md5:..."`` or ``"sha256:..."``; ``None`` if the
            publisher gives none.
        check: raises :class:`DataError` at a wrong file; ``None`` where there is a checksum.
    """

    name: str
    files: tuple[str, ...]
    url: str
    page: str
    checksum: str | None = None
    check: Callable[[Path], object] | None = None

    @property
    def cache_path(self) -> Path:
        """Where the download is kept."""
        name = Path(self.url.split("?")[0]).name
        return cache_dir() / "data" / name


def data_folder() -> Path | None:
    """The folder that ``MEDPRIV_DATA`` names, or ``None`` where it is not set.

    Raises:
        DataError: it names no folder.
    """
    wish = os.environ.get("MEDPRIV_DATA")
    if not wish:
        return None
    folder = Path(wish).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"MEDPRIV_DATA is {wish!r}, which is no folder; make it, correct the variable, "
            "or unset it to download instead"
        )
    return folder


def local_file(files: tuple[str, ...]) -> Path | None:
    """The first of ``files`` that the reader's folder holds, or ``None``."""
    folder = data_folder()
    if folder is None:
        return None
    return next((folder / name for name in files if (folder / name).is_file()), None)


def locate(source: Source) -> Path:
    """The path of the source's file, downloaded and verified if it was nowhere yet.

    Raises:
        DataError: it cannot be had; the message says why and how to get it by hand.
        CacheError: it was downloaded but cannot be kept.
    """
    found = local_file(source.files)
    if found is not None:
        return found
    target = source.cache_path
    if target.is_file():
        try:
            verify(target, source)
        except DataError as error:
            warnings.warn(f"{error} Downloading it again.", RuntimeWarning, stacklevel=2)
        else:
            return target
    with atomic_path(target) as part:
        download(source, part)
        verify(part, source)
        if source.checksum is None:
            note_sha256(part, target)
    return target


def download(source: Source, path: Path) -> None:
    """Transfer ``source.url`` to ``path``.

    Raises:
        DataError: the host is unreachable, refuses, or ends the transfer early.
    """
    # pooch replaces the total as soon as the server has told it.
    bar = progress(None, f"download {source.name}", total=1, unit="B")
    transfer = pooch.HTTPDownloader(progressbar=bar, timeout=TIMEOUT_S, chunk_size=1 << 16)
    try:
        transfer(source.url, path, None)
    except requests.RequestException as error:
        raise DataError(
            f"{source.name}: downloading {source.url} failed ({_reason(error)}). {by_hand(source)}"
        ) from error
    finally:
        bar.close()


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_S} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer ended early"
    if isinstance(error, requests.ConnectionError):
        return "the host cannot be reached or stopped answering; is there a network?"
    return str(error)


def verify(path: Path, source: Source) -> None:
    """Check a downloaded file against the publisher's checksum and for its structure.

    Raises:
        DataError: it differs.
    """
    check_noted(path)
    if source.checksum is not None:
        method, expected = source.checksum.split(":")
        got = pooch.file_hash(str(path), alg=method)
        if got != expected:
            raise DataError(
                f"{source.name}: the file from {source.url} has {method} {got}, but its publisher "
                f"states {expected}; it is damaged, or is not that file. {by_hand(source)}"
            )
    if source.check is not None:
        source.check(path)


def note_sha256(part: Path, target: Path) -> None:
    """Note what a file of the cache holds before it gets its name.

    In this order a run that is killed in between leaves no file that nothing vouches for.

    Raises:
        CacheError: the note cannot be written.
    """
    with atomic_path(_note(target)) as note:
        note.write_text(sha256(part))


def check_noted(path: Path) -> None:
    """Check a file against what was noted when it was kept, if anything was.

    Raises:
        DataError: it differs.
    """
    note = _note(path)
    if note.is_file() and note.read_text(errors="replace") != sha256(path):
        raise DataError(f"{path} is not as it was downloaded: it has another sha256.")


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def by_hand(source: Source) -> str:
    """What a person can do when the download does not work."""
    return (
        f"Try again later, or download it by hand from {source.page} and put it as "
        f"{source.cache_path.name} into a folder that the variable MEDPRIV_DATA names"
    )


def sha256(path: Path) -> str:
    """The file's sha256, as a data card shows it."""
    return pooch.file_hash(str(path), alg="sha256")
