"""The state of a training that lasts: model, optimizer and history in one safetensors file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from medpriv.runtime.cache import atomic_path


def _keep(
    path: Path,
    model: nn.Module,
    weights: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    history: list[float],
) -> None:
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, weight in enumerate(weights):
        for name, value in optimizer.state[weight].items():
            state[f"optimizer.{number}.{name}"] = value
    state["history"] = torch.tensor(history, dtype=torch.float64)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    with atomic_path(path) as part:
        _save(state, part)


def _save(state: dict[str, Tensor], path: Path) -> None:
    # safetensors' own writer reports a full disk by an error that is no OSError.
    path.write_bytes(to_safetensors(state))


def _resume(
    path: Path,
    model: nn.Module,
    weights: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
) -> list[float]:
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
