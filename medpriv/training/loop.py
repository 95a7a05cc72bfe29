"""The one training loop."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from medpriv.runtime.cache import CacheError
from medpriv.runtime.device import autocast, pick_device, reproducible_kernels, to_device
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import seeded, torch_rng
from medpriv.training.checkpoint import keep_state, resume_state

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """How to train: Adam, with the learning rate falling to zero along a half cosine.

    Attributes:
        epochs: passes over the data.
        batch_size: rows a step.
        learning_rate: at the start.
        weight_decay: L2 penalty, decoupled (AdamW; Loshchilov & Hutter 2019).
        exact: full float32 everywhere, where bfloat16's rounding would matter.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    exact: bool = False

    @classmethod
    def of_steps(cls, steps: int, rows: int, *, batch_size: int = 64, **others: Any) -> Recipe:
        """As many whole epochs, at least one, as come closest to a number of steps.

        Args:
            steps: how many, whatever the number of rows.
            rows: how many are trained on.
            batch_size: rows a step, at most as many as there are.
            others: the other attributes.
        """
        rows = max(1, rows)
        batch_size = min(batch_size, rows)
        return cls(max(1, round(steps * batch_size / rows)), batch_size, **others)


def fit(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    loss: Loss,
    recipe: Recipe,
    seed: int,
    device: str | torch.device = "auto",
    what: str = "training",
    lengths: Tensor | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 30.0,
) -> list[float]:
    """Train ``model`` in place and return the mean loss of each epoch.

    The same seed gives the same weights on the same device: the order of rows, and whatever a
    layer such as dropout draws, come from generators of their own for each epoch. bfloat16 and
    channels_last are used where the device has them natively.

    Args:
        model: ends in evaluation mode, on ``device``.
        inputs: ``(n, ...)`` float32.
        targets: ``(n, ...)``, whatever ``loss`` takes.
        loss: ``loss(output, target)`` → a scalar, the mean over the batch.
        recipe: see :class:`Recipe`.
        seed: decides the order of rows.
        device: see :func:`medpriv.runtime.device.pick_device`.
        what: what the progress bar calls it.
        lengths: ``(n,)`` of rows that are padded: rows of similar length then share a batch, so
            that a model which stops at the longest of them computes little for nothing.
        checkpoint: a file in which the state is kept while training lasts, so that an
            interrupted training goes on where it was and ends with the same weights; removed
            at the end. One that is damaged or cannot be written costs a warning, no training.
        checkpoint_seconds: at most this much work is lost.

    Raises:
        ValueError: there are no rows, inputs, targets and lengths differ in number, or there is
            no weight to train.
        FloatingPointError: the loss is no longer finite.
    """
    if not len(inputs) or len(inputs) != len(targets):
        raise ValueError(
            f"training needs as many targets as inputs, and at least one; "
            f"got {len(inputs)} inputs and {len(targets)} targets"
        )
    if lengths is not None and len(lengths) != len(inputs):
        raise ValueError(f"expected a length for each of {len(inputs)} rows, got {len(lengths)}")
    where = pick_device(device)
    to_device(model, where)
    inputs, targets = to_device(inputs, where), to_device(targets, where)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise ValueError(f"{what}: nothing can be trained, requires_grad is False for each weight")
    optimizer = torch.optim.AdamW(
        weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    history = resume_state(checkpoint, model, weights, optimizer) if checkpoint else []
    saved = time.monotonic()
    for epoch in progress(range(len(history), recipe.epochs), what, unit="epoch"):
        batches = _batches(len(inputs), recipe.batch_size, lengths, seed, epoch)
        if len(batches[-1]) == 1 and len(batches) > 1 and _normalises_batches(model):
            batches[-2:] = [torch.cat(batches[-2:])]  # one row has no spread
        with seeded(seed, "epoch", epoch):
            mean = _epoch(model, inputs, targets, batches, loss, recipe, optimizer, epoch, where)
        history.append(mean)
        if not np.isfinite(history[-1]):
            raise FloatingPointError(
                f"{what}: the loss is {history[-1]} after epoch {epoch + 1}; lower the learning "
                f"rate ({recipe.learning_rate}) or check the inputs for extreme values"
            )
        if checkpoint and time.monotonic() - saved >= checkpoint_seconds:
            try:
                keep_state(checkpoint, model, weights, optimizer, history)
            except CacheError as error:
                warnings.warn(f"no checkpoint: {error.strerror}", RuntimeWarning, stacklevel=2)
            saved = time.monotonic()
    if checkpoint:
        with contextlib.suppress(OSError):  # one that stays would give the same weights again
            checkpoint.unlink()
    model.eval()
    return history


_POOL = 16  # batches among which rows are sorted by length


def _batches(
    rows: int, batch_size: int, lengths: Tensor | None, seed: int, epoch: int
) -> list[Tensor]:
    draw = torch_rng(seed, "order", epoch)
    order = torch.randperm(rows, generator=draw)
    if lengths is None:
        return list(order.split(batch_size))
    lengths = lengths.cpu()
    pools = (pool[lengths[pool].argsort(stable=True)] for pool in order.split(_POOL * batch_size))
    batches = [batch for pool in pools for batch in pool.split(batch_size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=draw)]


def _epoch(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    batches: list[Tensor],
    loss: Loss,
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    device: torch.device,
) -> float:
    model.train()
    total = torch.zeros((), device=device)
    exact = recipe.exact or (device.type == "cpu" and _grouped(model))
    with reproducible_kernels(exact=recipe.exact):
        for number, batch_rows in enumerate(batches):
            rows = batch_rows.to(device)
            done = (epoch + number / len(batches)) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
            batch = to_device(inputs[rows], device)
            with autocast(device, exact=exact):
                output = model(batch)
            value = loss(output.float(), targets[rows])
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total += value.detach() * len(rows)
    return float(total) / len(inputs)


def _normalises_batches(model: nn.Module) -> bool:
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())


def _grouped(model: nn.Module) -> bool:
    """Whether a convolution has groups, as in shufflenet and mobilenet.

    On a CPU their bfloat16 kernel (oneDNN's, for weights, one place and stride 2) reads memory
    that nobody has written, and the gradient is then anything, infinity included.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return any(isinstance(part, kinds) and part.groups > 1 for part in model.modules())
