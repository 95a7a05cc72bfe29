"""Where to compute, how exactly, and how much at once."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medpriv.runtime.arguments import T, choose

#: Where to compute; ``auto`` takes the accelerator where there is one.
DEVICES = ("auto", "cpu", "cuda", "mps")


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
    """Whether bfloat16 arithmetic is native there: AVX512-BF16 or AMX on a CPU, most GPUs.

    ``MEDPRIV_BF16=0`` says no, so that a machine that has it computes what others compute.
    """
    if os.environ.get("MEDPRIV_BF16") == "0":
        return False
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
