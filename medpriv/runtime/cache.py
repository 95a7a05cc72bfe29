"""What is made once and kept: whole files, in one folder, that can be deleted safely."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
import threading
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


def cache_dir() -> Path:
    """Where downloads and trained models are kept: ``MEDPRIV_CACHE`` or the user's cache folder.

    Everything in it can be made again; deleting it is safe.
    """
    wish = os.environ.get("MEDPRIV_CACHE")
    if wish:
        return Path(wish).expanduser()
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "medpriv"


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside ``target``; it becomes ``target`` only if the block ends well.

    A reader sees the old file, or the whole new one, never a part; two writers at once leave
    one whole file. On any error or interruption the temporary file is removed.

    Raises:
        CacheError: the folder cannot be made or written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=f".part{target.suffix}"
        )
        os.close(handle)
    except OSError as error:
        raise _cannot_write(target, error) from error
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)  # mkstemp makes files that only their owner can read
        part.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        part.unlink(missing_ok=True)


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
    save: Callable[[T, Path], None],
    load: Callable[[Path], T],
    *,
    suffix: str = "",
) -> T:
    """Load what was made of equal parts by equal code, or make it, keep it and return it.

    The file's name is a hash of ``parts`` and of the source that ``make`` uses.

    Args:
        kind: a folder of the cache.
        parts: all that decides the value, as :func:`medpriv.runtime.hashing.identity` takes it.
        make: makes the value. A function inside another counts as that one.
        save: ``save(value, path)`` writes it.
        load: ``load(path)`` reads it.
        suffix: of the file.
    """
    return kept(cache_path(kind, parts, make, suffix=suffix), make, save, load)


def cache_path(kind: str, parts: Any, code: Callable[..., Any], *, suffix: str = "") -> Path:
    """Where :func:`cached` keeps what ``code`` makes of these parts."""
    key = content_hash(identity(parts), code_hash(code))
    return cache_dir() / kind / f"{key}{suffix}"


def kept(
    path: Path, make: Callable[[], T], save: Callable[[T, Path], None], load: Callable[[Path], T]
) -> T:
    """Load a file, or make its content, save it atomically and return it.

    Whoever asks for it while another process makes it waits for that one. A file that ``load``
    cannot read is made again. A cache that cannot be written costs only the saving: the value is
    returned and a warning says why it was not kept.
    """
    damaged = False
    if path.exists():
        try:
            return load(path)
        except Exception as error:  # whatever a damaged file makes its reader raise
            _warn(f"{path.name} in {path.parent} is damaged ({error}); making it again")
            damaged = True
    with _alone(path):
        if path.exists() and not damaged:  # by now another process has made it
            return load(path)
        value = make()
        try:
            with atomic_path(path) as part:
                save(value, part)
        except CacheError as error:
            _warn(f"not kept for the next run: {error.strerror}")
    return value


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
