"""Memory that a process has held, hands back to the system, or keeps."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from torch import device as Device

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's numbers, malloc.h


def peak_bytes() -> int:
    """The most resident memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage is no use on Linux: a child inherits its parent's peak through exec.
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


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


def free_bytes(device: Device, limits: Path = Path("/sys/fs/cgroup")) -> int:
    """How much memory is free there now; of a container what is left of its limit.

    Args:
        device: a GPU has memory of its own.
        limits: the folder in which Linux says what a container may use and uses (cgroup v2).
    """
    if device.type == "cuda":
        import torch  # a second that those who only count memory need not wait

        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    try:
        most = int((limits / "memory.max").read_text())  # "max" where there is none
        used = int((limits / "memory.current").read_text())
        kinds = dict(line.split() for line in (limits / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return free
    # Files that were read count as used, and are dropped when the memory is needed.
    return min(free, most - used + int(kinds.get("inactive_file", 0)))
