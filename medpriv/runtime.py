"""What every other room stands on: profile, seeds, device, precision, progress, cache.

Nothing here runs at import: no seed is set, no folder is made, no device is touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

#: The sizes of a run. ``smoke`` proves in seconds that it runs, ``quick`` is what the book shows,
#: ``full`` takes the sizes of the papers.
PROFILES = ("smoke", "quick", "full")
#: Where to compute; ``auto`` takes the accelerator where there is one.
DEVICES = ("auto", "cpu", "cuda", "mps")

T = TypeVar("T")


class CacheError(OSError):
    """The cache folder cannot be written: read-only, or the disk is full."""


# --- Parameters -------------------------------------------------------------------------------


def choose(value: Any, known: Iterable[Any], what: str) -> Any:
    """Return ``value`` if it is one of ``known``.

    Raises:
        ValueError: it is not; the message lists the known values.
    """
    known = tuple(known)
    if value in known:
        return value
    listed = ", ".join(str(item) for item in known)
    raise ValueError(f"unknown {what} {value!r}; expected one of: {listed}")


def check_profile(profile: str) -> str:
    """Return ``profile`` if it is one of :data:`PROFILES`, else raise ``ValueError``."""
    return choose(profile, PROFILES, "profile")


def check_seed(seed: int) -> int:
    """Return ``seed`` as an int.

    Raises:
        ValueError: it is no integer between 0 and 2**31 - 1 (a bool or a float is none).
    """
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not whole or not 0 <= seed < 2**31:
        raise ValueError(f"seed must be an integer from 0 to {2**31 - 1}, got {seed!r}")
    return int(seed)


# --- Seeds ------------------------------------------------------------------------------------


def rng(seed: int, *scope: str | int) -> np.random.Generator:
    """A NumPy generator of its own for each ``(seed, *scope)``.

    Named streams keep one random choice from moving another: drawing more victims does not
    change the weights that a model starts from.
    """
    return np.random.default_rng(_stream(seed, scope))


def torch_rng(seed: int, *scope: str | int) -> torch.Generator:
    """A CPU ``torch.Generator`` of its own for each ``(seed, *scope)``; see :func:`rng`."""
    return torch.Generator().manual_seed(_stream(seed, scope))


def _stream(seed: int, scope: tuple[str | int, ...]) -> int:
    # A NumPy integer names the same stream as the plain one.
    plain = [int(part) if isinstance(part, np.integer) else part for part in scope]
    digest = hashlib.sha256(repr((check_seed(seed), *plain)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@contextlib.contextmanager
def seeded(seed: int, *scope: str | int) -> Iterator[None]:
    """Run a block under seeded global generators, and put the old states back afterwards.

    For code that can only draw from the global state, such as a layer's initialisation.
    """
    stream = _stream(seed, scope)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(stream)
        random.seed(stream)
        np.random.seed(stream % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


# --- Device, precision, memory format -----------------------------------------------------------


def available_devices() -> tuple[str, ...]:
    """The device types present on this machine, the CPU first."""
    if not torch.accelerator.is_available():
        return ("cpu",)
    return ("cpu", torch.accelerator.current_accelerator().type)


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device to compute on; ``auto`` takes the accelerator where there is one.

    Raises:
        ValueError: the name is unknown, or this machine has no such device.
    """
    name = device.type if isinstance(device, torch.device) else device
    choose(name, DEVICES, "device")
    present = available_devices()
    if name == "auto":
        return torch.device(present[-1])
    if name not in present:
        raise ValueError(
            f"device {name!r} is not present on this machine (present: {', '.join(present)}); "
            "use device='auto' to take what there is"
        )
    return torch.device(device)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 arithmetic is native there: AVX512-BF16 or AMX on a CPU, most GPUs."""
    if device.type == "cpu":
        # Older releases of torch cannot say; there, float32 is the safe answer.
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return False


def autocast(device: torch.device, *, exact: bool = False) -> AbstractContextManager[Any]:
    """bfloat16 autocast where the device has it natively; full precision where ``exact``."""
    if exact or not has_fast_bf16(device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def reproducible_kernels(*, exact: bool) -> AbstractContextManager[Any]:
    """Kernels that give the same result each time; with ``exact``, none that round to TF32.

    It matters on a GPU only, where convolutions otherwise choose.
    """
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=not exact
    )


def to_device(value: T, device: torch.device) -> T:
    """Move a tensor or module; images and convolutions become channels_last."""
    if isinstance(value, torch.nn.Module):
        return value.to(device=device, memory_format=torch.channels_last)
    if isinstance(value, Tensor) and value.ndim == 4:
        return value.to(device=device, memory_format=torch.channels_last, non_blocking=True)
    return value.to(device, non_blocking=True)


_PROCESSOR_CACHE = 2**23  # bytes of a layer's output that stay in it


@torch.no_grad()
def in_chunks(
    compute: Callable[[Any], Tensor],
    rows: Tensor | Sequence[str],
    *,
    device: torch.device,
    batch_size: int,
    together: bool = False,
) -> Tensor:
    """Apply ``compute`` to rows, some at a time, in full precision; the result is on the CPU.

    Memory does not grow with the number of rows, but for the result. No rows are one empty chunk,
    so that the result has its shape all the same.

    Args:
        compute: takes a chunk of rows and returns as many rows.
        rows: ``(n, ...)`` on any device, or n texts.
        device: where to compute.
        batch_size: rows at once, at most: of images a CPU takes fewer, as many as its cache holds.
        together: exactly so many at once, where a row's result depends on who comes with it.
    """
    if isinstance(rows, Tensor) and rows.ndim == 4 and device.type == "cpu" and not together:
        batch_size = min(batch_size, _rows_in_cache(rows))
    starts = range(0, max(len(rows), 1), batch_size)
    chunks = (rows[start : start + batch_size] for start in starts)
    moved = (to_device(chunk, device) if isinstance(chunk, Tensor) else chunk for chunk in chunks)
    with reproducible_kernels(exact=True):
        return torch.cat([compute(chunk).cpu().contiguous() for chunk in moved])


def _rows_in_cache(images: Tensor) -> int:
    """How many images fit into the cache with a layer's output: 2 to 3 times faster than hundreds.

    A usual first layer makes 16 channels of one, and keeps the size.
    """
    channels, high, wide = images.shape[1:]
    return max(1, _PROCESSOR_CACHE // max(4 * max(channels, 16) * high * wide, 1))


def describe_device(device: torch.device) -> str:
    """One line for the reader: the device and the precision that training uses on it."""
    precision = "bfloat16" if has_fast_bf16(device) else "float32"
    cpu = device.type == "cpu"
    number = torch.get_num_threads() if cpu else torch.accelerator.device_count()
    units = ("thread" if cpu else "device") + ("s" if number > 1 else "")
    return f"{device.type} ({number} {units}, {precision})"


def machine() -> str:
    """One phrase for this machine: cores, processor, accelerator."""
    gpu = f"with {available_devices()[-1]}" if len(available_devices()) > 1 else "without a GPU"
    return f"{os.cpu_count()} cores of an {_processor().removesuffix(' Processor')} processor {gpu}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor() or platform.machine())


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's numbers, malloc.h


def give_back_memory() -> None:
    """Hand memory that is free inside this process back to the system.

    glibc serves arrays of up to 32 MB from a heap that shrinks at its end only, so a process that
    does one thing after another keeps the gaps between them, a little more each time. Elsewhere
    than on glibc nothing happens.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def keep_memory() -> None:
    """Let a process that was told to hand back every bit of free memory keep up to 64 MB of it.

    A Dask worker is started with ``MALLOC_TRIM_THRESHOLD_=65536``. Every larger array is then
    fresh memory, which the system clears page by page, and a comparison whose noise fills many of
    them takes a quarter longer. The bounds set here are those that glibc comes to by itself in a
    process that nobody has told anything; in such a process, and elsewhere than on glibc, nothing
    happens.
    """
    if sys.platform == "linux" and "MALLOC_TRIM_THRESHOLD_" in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_TRIM_THRESHOLD, 64 * 2**20)
            mallopt(_MMAP_THRESHOLD, 32 * 2**20)


# --- Progress ---------------------------------------------------------------------------------


def progress(
    items: Iterable[T], what: str, *, total: int | None = None, unit: str = "it"
) -> Iterable[T]:
    """Iterate with a progress bar: live in a terminal or notebook, none in CI or a book build.

    ``MEDPRIV_PROGRESS`` set to ``0`` or ``1`` overrides the choice.
    """
    return tqdm(
        items,
        desc=what,
        total=total,
        unit=unit,
        leave=False,
        disable=not shows_progress(),
        # A notebook shows stderr on red ground, and keeps the box when the bar has gone.
        file=sys.stdout if _in_notebook() else sys.stderr,
    )


def _in_notebook() -> bool:
    # Asked of what is loaded: the package needs no IPython.
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def shows_progress() -> bool:
    """Whether progress is shown here: not in CI, unless ``MEDPRIV_PROGRESS`` says otherwise."""
    wish = os.environ.get("MEDPRIV_PROGRESS")
    if wish is not None:
        return wish not in ("", "0")
    return not os.environ.get("CI")


# --- Hashes and the cache -----------------------------------------------------------------------


def content_hash(*parts: Any) -> str:
    """A sha256 over nested values: arrays, tensors, frames, dataclasses, paths, plain values.

    Two calls agree exactly when types and contents agree, in any process.

    Raises:
        TypeError: a value has no defined content, such as a function.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    digest.update(f"<{type(value).__name__}>".encode())
    if isinstance(value, Tensor):
        # As bytes, since NumPy has no bfloat16; the dtype goes in by name.
        flat = value.detach().cpu().contiguous().view(-1)
        _feed(digest, flat.view(torch.uint8).numpy() if len(flat) else np.empty(0))
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, pd.DataFrame):
        _feed(digest, [(str(name), str(kind)) for name, kind in value.dtypes.items()])
        _feed(digest, pd.util.hash_pandas_object(value, index=True).to_numpy())
    elif isinstance(value, Path):
        digest.update(hashlib.sha256(value.read_bytes()).digest())
    elif isinstance(value, dict):
        digest.update(str(len(value)).encode())
        for key in sorted(value, key=repr):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, (list, tuple, range)) or (
        isinstance(value, np.ndarray) and value.dtype == object
    ):
        digest.update(str(len(value)).encode())
        for item in value:
            _feed(digest, item)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed(digest, {field.name: getattr(value, field.name) for field in fields(value)})
    elif value is None or isinstance(value, (str, bytes, int, float, bool, np.generic)):
        digest.update(repr(value).encode())
    else:
        raise TypeError(f"cannot hash the content of a {type(value).__name__}")


def source_hash(*rooms: str) -> str:
    """A sha256 over the package's source, or over the named rooms only (``"models"``)."""
    root = Path(__file__).parent
    roots = [root / room for room in rooms] if rooms else [root]
    files = [
        file
        for room in roots
        for file in (sorted(room.rglob("*.py")) if room.is_dir() else [room.with_suffix(".py")])
    ]
    return content_hash([(file.relative_to(root).as_posix(), file) for file in files])


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
    key: str,
    make: Callable[[], T],
    save: Callable[[T, Path], None],
    load: Callable[[Path], T],
    *,
    suffix: str = "",
) -> T:
    """Load ``kind/key`` from the cache, or make it, save it atomically and return it.

    Whoever asks for it while another process makes it waits for that one. A file that ``load``
    cannot read is made again. A cache that cannot be written costs only the saving: the value is
    returned and a warning says why it was not kept.
    """
    path = cache_dir() / kind / f"{key}{suffix}"
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
