"""A training on disk: the state of one that lasts, and the weights of one that is done.

Both are single safetensors files.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from medpriv.runtime.cache import atomic_path, cache_dir, cache_path, kept
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
    with atomic_path(path) as part:
        save_tensors(state, part)


def resume_state(
    path: Path, model: nn.Module, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> list[float]:
    """Put a training back where it was; its history, empty where it begins.

    A damaged file costs a warning.
    """
    if not path.exists():
        return []
    try:
        state = load_file(path)
        history = state["history"].tolist()
        found = {name: state[f"model.{name}"] for name in model.state_dict()}
    except (SafetensorError, KeyError, OSError) as error:
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


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors of any device into one safetensors file."""
    # A copy of each: a tensor that has two names would be one that safetensors refuses.
    state = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    # safetensors' own writer reports a full disk by an error that is no OSError.
    path.write_bytes(to_safetensors(state))


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
            and the source that ``train`` uses.
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

    def load(path: Path) -> nn.Module:
        state = load_file(path)
        copy.deepcopy(module).load_state_dict(state)  # a wrong file fails here, and changes nothing
        module.load_state_dict(state)
        return module

    kept(path, make, lambda done, part: save_tensors(dict(done.state_dict()), part), load)
