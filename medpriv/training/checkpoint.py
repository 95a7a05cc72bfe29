"""A training on disk: the state of one that lasts, and the weights of one that is done.

Both are safetensors files that end with their own sha256.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from medpriv.runtime.cache import (
    DamagedError,
    cache_dir,
    cache_path,
    kept,
    read_sealed,
    write_sealed,
)
from medpriv.runtime.device import has_fast_bf16, pick_device


def keep_state(
    path: Path,
    model: nn.Module,
    weights: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    history: list[float],
) -> None:
    """Write all that a training needs to go on where it is."""
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, weight in enumerate(weights):
        for name, value in optimizer.state[weight].items():
            state[f"optimizer.{number}.{name}"] = value
    state["history"] = torch.tensor(history, dtype=torch.float64)
    write_sealed(path, tensor_bytes(state))


def resume_state(
    path: Path, model: nn.Module, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> list[float]:
    """Put a training back where it was; its history, empty where it begins.

    A damaged file costs a warning.
    """
    if not path.exists():
        return []
    try:
        state = from_safetensors(read_sealed(path))
        history = state["history"].tolist()
        found = {name: state[f"model.{name}"] for name in model.state_dict()}
    except (DamagedError, SafetensorError, KeyError, OSError) as error:
        warnings.warn(
            f"the checkpoint {path.name} is damaged ({error}); training starts again",
            RuntimeWarning,
            stacklevel=3,
        )
        return []
    model.load_state_dict(found)
    for number, weight in enumerate(weights):
        prefix = f"optimizer.{number}."
        optimizer.state[weight] = {
            name.removeprefix(prefix): value if name.endswith(".step") else value.to(weight.device)
            for name, value in state.items()
            if name.startswith(prefix)
        }
    return history


def tensor_bytes(tensors: dict[str, Tensor]) -> bytes:
    """Tensors of any device as one safetensors file."""
    # A copy of each: a tensor that has two names would be one that safetensors refuses.
    state = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return to_safetensors(state)


def cached_module(
    kind: str,
    parts: Any,
    module: nn.Module,
    train: Callable[[Path], object],
    *,
    device: str | torch.device,
) -> None:
    """Train a module in place, or load the weights that the same training gave before.

    Args:
        kind: a folder of the cache.
        parts: all that decides the training, beside the layers, the initial weights, the device
            and the source that ``train`` uses. Not the number of threads: it changes last digits,
            as another processor does.
        module: to be trained.
        train: ``train(checkpoint)`` trains the module; ``checkpoint`` is a file for :func:`fit`,
            so that an interrupted training goes on where it was.
        device: where.
    """
    where = pick_device(device)
    surroundings = (where.type, has_fast_bf16(where), torch.__version__)
    parts = [parts, repr(module), dict(module.state_dict()), surroundings]
    path = cache_path(kind, parts, train, suffix=".safetensors")

    def make() -> nn.Module:
        train(cache_dir() / "checkpoints" / path.name)
        return module

    def parse(content: bytes) -> nn.Module:
        state = from_safetensors(content)
        copy.deepcopy(module).load_state_dict(state)  # a wrong file fails here, and changes nothing
        module.load_state_dict(state)
        return module

    kept(path, make, lambda done: tensor_bytes(dict(done.state_dict())), parse)
