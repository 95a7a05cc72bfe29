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
import torch.fx
from torch import Tensor

from medpriv.runtime.arguments import T, choose, require_integer

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
    """Move a tensor or module; images and convolutions become channels_last where that is safe."""
    if isinstance(value, torch.nn.Module):
        if not takes_channels_last(value):
            return value.to(device)
        return value.to(device=device, memory_format=torch.channels_last)
    if isinstance(value, Tensor) and value.ndim == 4:
        return value.to(device=device, memory_format=torch.channels_last, non_blocking=True)
    return value.to(device, non_blocking=True)


def takes_channels_last(module: torch.nn.Module) -> bool:
    """Whether all its layers are torch's, torchvision's or ours.

    The ``forward`` of somebody else may say ``x.view(len(x), -1)``, which fails in another layout
    than the plain one; so may a graph that was traced or scripted from one.
    """
    return all(_knows_its_layout(part) for part in module.modules())


def _knows_its_layout(layer: torch.nn.Module) -> bool:
    if isinstance(layer, torch.fx.GraphModule):
        return all(node.target != "view" for node in layer.graph.nodes)
    known = type(layer).__module__.partition(".")[0] in ("torch", "torchvision", "medpriv")
    return known and not isinstance(layer, torch.jit.ScriptModule)


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
        compute: takes a chunk of rows and returns as many rows; it does not write into them.
        rows: ``(n, ...)`` on any device, or n texts.
        device: where to compute.
        batch_size: rows at once, at most: of images a CPU takes fewer, as many as its cache holds.
        together: exactly so many at once, where a row's result depends on who comes with it.

    Raises:
        ValueError: ``compute`` returns another number of rows, rows are pictures of bytes, or
            ``batch_size`` is below 1.
    """
    require_integer("batch_size", batch_size, 1)
    if isinstance(rows, Tensor) and rows.dtype == torch.uint8 and rows.ndim >= 4:
        raise ValueError(
            "expected pictures as the model was trained on, got bytes of 0 to 255 (uint8); give "
            "x.float() / 255 where it was trained on 0 to 1"
        )
    if isinstance(rows, Tensor) and rows.ndim == 4 and device.type == "cpu" and not together:
        batch_size = min(batch_size, _rows_in_cache(rows))
    starts = range(0, max(len(rows), 1), batch_size)
    chunks = (rows[start : start + batch_size] for start in starts)
    with reproducible_kernels(exact=True):
        return torch.cat([_of_chunk(compute, chunk, device) for chunk in chunks])


def _of_chunk(
    compute: Callable[[Any], Tensor], chunk: Tensor | Sequence[str], device: torch.device
) -> Tensor:
    found = compute(to_device(chunk, device) if isinstance(chunk, Tensor) else chunk)
    if found.ndim == 0 or len(found) != len(chunk):
        given = tuple(chunk.shape) if isinstance(chunk, Tensor) else f"{len(chunk)} texts"
        raise ValueError(
            f"expected an answer for each of {len(chunk)} rows, got {tuple(found.shape)} for "
            f"{given}; a single row needs its first dimension: x[None]"
        )
    return found.cpu().contiguous()


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
