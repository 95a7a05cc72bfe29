"""What is made once and kept: whole files, in one folder, that can be deleted safely."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import sys
import tempfile
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from filelock import FileLock

from medpriv.runtime.code import code_hash
from medpriv.runtime.hashing import content_hash, identity

T = TypeVar("T")
P = ParamSpec("P")


class CacheError(OSError):
    """The cache folder cannot be written: read-only, or the disk is full."""


class DamagedError(ValueError):
    """A kept file is not as it was written."""


_SEAL = b"\nsha256 "
_PART = re.compile(r"\..+\.[0-9a-f]{16}\.part(\.[^.]*)?")  # as atomic_path names them
_DAY = 24 * 3600.0  # after which a part of a run belongs to nobody


def cache_dir() -> Path:
    """Where downloads and trained models are kept: ``MEDPRIV_CACHE`` or the user's cache folder.

    Everything in it can be made again; deleting it is safe.
    """
    wish = os.environ.get("MEDPRIV_CACHE")
    if wish:
        return Path(wish).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _home() / "AppData" / "Local") / "medpriv"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "medpriv"
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))  # the standard ignores a relative one
    return (named if named.is_absolute() else _home() / ".cache") / "medpriv"


@functools.cache
def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        place = Path(tempfile.gettempdir()) / f"home-of-{getattr(os, 'getuid', int)()}"
        _warn(
            f"there is no home folder; what is made is kept in {place}. MEDPRIV_CACHE names another"
        )
        return place


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; it becomes ``target`` only if the block ends well.

    A reader sees the old file, or the whole new one, never a part, also after the power failed; two
    writers at once leave one whole file. On any error or interruption the temporary file is
    removed; what a killed run left behind goes after a day. Who may read it, the umask says.

    Raises:
        CacheError: the folder cannot be made or written.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        _sweep(target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        part.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove our parts that are a day old: their runs were killed."""
    for left in folder.glob(".*.part*"):
        with contextlib.suppress(OSError):  # somebody else was faster
            if _PART.fullmatch(left.name) and time.time() - left.stat().st_mtime > _DAY:
                left.unlink()


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file, atomically, that says its own sha256 at its end.

    Raises:
        CacheError: it cannot be written.
    """
    with atomic_path(path) as part:
        part.write_bytes(content + _SEAL + hashlib.sha256(content).hexdigest().encode())


def read_sealed(path: Path) -> bytes:
    """What :func:`write_sealed` has written.

    Raises:
        DamagedError: a byte of it is another one, or missing.
        OSError: it cannot be read.
    """
    content, seal, digest = path.read_bytes().rpartition(_SEAL)
    if not seal or hashlib.sha256(content).hexdigest().encode() != digest:
        raise DamagedError("its content does not have the sha256 that it was written with")
    return content


def _cannot_write(target: Path, error: OSError) -> CacheError:
    return CacheError(
        error.errno,
        f"cannot write {target.name} in {target.parent}: {error.strerror or error}. Free some "
        "space or make the folder writable, or point MEDPRIV_CACHE at another folder",
    )


def cached(
    kind: str,
    parts: Any,
    make: Callable[[], T],
    dump: Callable[[T], bytes],
    parse: Callable[[bytes], T],
    *,
    suffix: str = "",
) -> T:
    """Load what was made of equal parts by equal code, or make it, keep it and return it.

    The file's name is a hash of ``parts`` and of the source that ``make`` uses.

    Args:
        kind: a folder of the cache.
        parts: all that decides the value, as :func:`medpriv.runtime.hashing.identity` takes it.
        make: makes the value. A function inside another counts as that one.
        dump: ``dump(value)`` → the bytes that are kept, with their sha256.
        parse: ``parse(bytes)`` → the value.
        suffix: of the file.
    """
    return kept(cache_path(kind, parts, make, suffix=suffix), make, dump, parse)


def cache_path(kind: str, parts: Any, code: Callable[..., Any], *, suffix: str = "") -> Path:
    """Where :func:`cached` keeps what ``code`` makes of these parts."""
    key = content_hash(identity(parts), code_hash(code))
    return cache_dir() / kind / f"{key}{suffix}"


def kept(
    path: Path, make: Callable[[], T], dump: Callable[[T], bytes], parse: Callable[[bytes], T]
) -> T:
    """Load a file, or make its content, save it atomically and return it.

    Whoever asks for it while another process makes it waits for that one. A file that is damaged,
    or that ``parse`` cannot read, is made again. A cache that cannot be written costs only the
    saving: the value is returned and a warning says why it was not kept.
    """
    damaged = False
    if _is_there(path):
        try:
            return parse(read_sealed(path))
        except Exception as error:  # whatever a damaged file makes its reader raise
            _warn(f"{path.name} in {path.parent} is damaged ({error}); making it again")
            damaged = True
    with _alone(path):
        if _is_there(path) and not damaged:  # by now another process has made it
            return parse(read_sealed(path))
        value = make()
        try:
            write_sealed(path, dump(value))
        except CacheError as error:
            _warn(f"not kept for the next run: {error.strerror}")
    return value


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # a folder that may not be searched; writing into it will say so
        return False


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Run a block while no other process runs it for this path, as far as that can be had.

    The lock of a process that was killed is free again. Nobody waits longer than five minutes, for
    one that was suspended: the file is then made twice, which only costs time.
    """
    lock = FileLock(path.parent / f".{path.name}.lock", timeout=300)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):  # a timeout is an OSError; not every disk has locks
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # who waits for it already holds the file
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)


class Memory(Generic[T]):
    """The last few things that a process made, by a key that says what they are.

    Few, so that memory stays flat however long the process goes on.

    Args:
        most: how many are kept; the one that was used longest ago goes first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._alone = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for an equal key, or else what ``make`` makes now."""
        with self._alone:  # two threads may ask at once
            if key not in self._kept:
                self._kept[key] = make()
                while len(self._kept) > self.most:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def remembered(most: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function keep its last results in memory, by the content of its arguments.

    By content: what came from another process is a new object each time.

    Args:
        most: how many results are kept.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        memory: Memory[T] = Memory(most)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            # Trained in another precision, the same is something else.
            key = content_hash(identity([args, kwargs]), os.environ.get("MEDPRIV_BF16"))
            return memory.get(key, lambda: function(*args, **kwargs))

        return call

    return decorate
