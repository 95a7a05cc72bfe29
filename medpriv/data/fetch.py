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
        raise source.refuse(f"downloading {source.url} failed ({_reason(error)})") from error
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


@dataclass(frozen=True)
class Source:
    """Where the file of a data set can come from.

    Attributes:
        name: the data set's name.
        files: names that the reader's folder may hold it under, the preferred one first, the
            publisher's last.
        url: where it is downloaded from.
        page: the page that a person downloads it from.
        checksum: the publisher's own, as ``"md5:..."`` or ``"sha256:..."``; ``None`` if the
            publisher gives none.
        check: raises :class:`DataError` at a wrong file; ``None`` where there is a checksum.
        kept: the name of a download in the cache; else the last part of ``url``.
        transfer: brings the file to a path.
    """

    name: str
    files: tuple[str, ...]
    url: str
    page: str
    checksum: str | None = None
    check: Callable[[Path], object] | None = None
    kept: str = ""
    transfer: Callable[[Source, Path], None] = download

    @property
    def cache_path(self) -> Path:
        """Where the download is kept."""
        return cache_dir() / "data" / (self.kept or Path(self.url.split("?")[0]).name)

    def refuse(self, wrong: str) -> DataError:
        """The error for a download, to be raised; it says what a person can do."""
        return DataError(
            f"{self.name}: {wrong}. Try again later, or download it by hand from {self.page} and "
            f"put it as {self.files[-1]} into a folder that the variable MEDPRIV_DATA names"
        )


def local_file(files: tuple[str, ...]) -> Path | None:
    """The first of ``files`` in the folder that ``MEDPRIV_DATA`` names, or ``None``.

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
        source.transfer(source, part)
        verify(part, source)
        if source.checksum is None:
            # First the note: a run that is killed leaves no file that nothing vouches for.
            with atomic_path(_note(target)) as note:
                note.write_text(sha256(part))
    return target


def verify(path: Path, source: Source) -> None:
    """Check a downloaded file: its noted or published checksum, and its structure.

    Raises:
        DataError: it differs from what was downloaded, or from what its publisher states.
    """
    note = _note(path)
    if note.is_file() and note.read_text(errors="replace") != sha256(path):
        raise DataError(f"{path} is not as it was downloaded: it has another sha256.")
    if source.checksum is not None:
        method, expected = source.checksum.split(":")
        got = pooch.file_hash(str(path), alg=method)
        if got != expected:
            raise source.refuse(
                f"the file from {source.url} has {method} {got}, but its publisher states "
                f"{expected}; it is damaged, or is not that file"
            )
    if source.check is not None:
        source.check(path)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def sha256(path: Path) -> str:
    """The file's sha256, as a data card shows it."""
    return pooch.file_hash(str(path), alg="sha256")
