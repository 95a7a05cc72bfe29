"""Calling a network of somebody else's: what it is given, and the one tensor that it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from medpriv.runtime.device import takes_channels_last


def careful(model: nn.Module) -> nn.Module:
    """A network that is called with copies, in its own precision and layout; float32 comes out.

    For networks of any kind of output, such as a decoder; the package's own are as they are.
    """
    plain = unwrapped(model)
    if type(plain).__module__.partition(".")[0] == "medpriv":
        return plain
    return _Careful(plain)


def unwrapped(model: Any) -> Any:
    """A network without what was put around it to run faster: DataParallel, ``torch.compile``."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, parallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod
        else:
            return model


class _Careful(nn.Module):
    """Calls a network of somebody else's so that nothing of the caller's is changed."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor | Sequence[str]) -> Tensor:
        return one_tensor(self.model(given_to(self.model, x)), name_of(self.model)).float()


def given_to(model: nn.Module, x: Tensor | Sequence[str]) -> Tensor | Sequence[str]:
    """Rows as a network of somebody else's takes them: its own copy, precision and layout.

    Raises:
        ValueError: as :func:`check_rank`.
    """
    if not isinstance(x, Tensor):
        return x
    check_rank(model, x)
    wanted = precision(model)
    ids = any(isinstance(part, (nn.Embedding, nn.EmbeddingBag)) for part in model.modules())
    if wanted is not None and (x.is_floating_point() or not ids):
        x = x.to(wanted)
    keep = takes_channels_last(model)
    return x.clone(memory_format=torch.preserve_format if keep else torch.contiguous_format)


def check_rank(model: nn.Module, x: Tensor | Sequence[str]) -> None:
    """Pass if a network that begins with a convolution is given rows, and not a single one.

    Raises:
        ValueError: it is a single one, which a convolution would take, too.
    """
    layers = (part for part in model.modules() if isinstance(part, _CONVOLUTIONS))
    first = next(layers, None)
    if first is not None and isinstance(x, Tensor) and x.ndim == first.weight.ndim - 1:
        raise ValueError(
            f"{name_of(model)} takes many rows at once, and got one of shape {tuple(x.shape)}; put "
            "it into a batch: x[None]"
        )


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def precision(model: nn.Module) -> torch.dtype | None:
    """In what a network computes: the dtype of its first weight of floats, if it has one."""
    weights = (one for one in (*model.parameters(), *model.buffers()) if one.is_floating_point())
    return next((weight.dtype for weight in weights), None)


def one_tensor(answer: Any, name: str) -> Tensor:
    """The one tensor of an answer: itself, its ``logits``, or the only one of a list.

    Raises:
        ValueError: it is none, or it cannot be told which.
    """
    if isinstance(answer, Tensor):
        return answer
    named = answer.get("logits") if isinstance(answer, Mapping) else getattr(answer, "logits", None)
    if isinstance(named, Tensor):
        return named
    parts = list(answer.values()) if isinstance(answer, Mapping) else answer
    if isinstance(parts, (list, tuple)) and len(parts) == 1 and isinstance(parts[0], Tensor):
        return parts[0]
    inside = f" with {', '.join(map(str, answer))}" if isinstance(answer, Mapping) else ""
    raise ValueError(
        f"{name} gives a {type(answer).__name__}{inside}, and one tensor is expected; wrap it in a "
        "module whose forward returns that tensor alone, such as model(x)[0]"
    )


def name_of(model: nn.Module) -> str:
    """What a message calls a network."""
    return getattr(model, "called", type(model).__name__)
