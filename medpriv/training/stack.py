"""Networks of one architecture, trained together: each weight of all of them is one tensor.

A small network leaves a processor idle between its many small steps. Of M networks that are
computed as one, a step is M times as large, and there are M times fewer. Nothing is shared but the
time: each has its own initial weights, rows, order of rows and learning rate, and ends with the
weights that :func:`medpriv.training.loop.fit` gives it alone, but for the order in which sums of
float32 are rounded.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from medpriv.runtime.cache import CacheError
from medpriv.runtime.device import autocast, reproducible_kernels
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import torch_rng
from medpriv.training.checkpoint import keep_state, resume_state
from medpriv.training.loop import Recipe


class Stack(nn.Module):
    """M networks of one architecture; of each parameter and buffer there is one, ``(M, ...)``.

    Args:
        network: says what is computed, and what of it is trained. It is kept; of its weights only
            the shapes matter.
        models: M. Their weights are zero until :meth:`put`.
    """

    def __init__(self, network: nn.Module, models: int) -> None:
        super().__init__()
        self.__dict__["network"] = network  # whose weights are none of these
        for name, weight in network.named_parameters():
            stacked = torch.zeros((models, *weight.shape), dtype=weight.dtype)
            self.register_parameter(_key(name), nn.Parameter(stacked, weight.requires_grad))
        for name, buffer in network.named_buffers():
            stacked = torch.zeros((models, *buffer.shape), dtype=buffer.dtype)
            self.register_buffer(_key(name), stacked)

    def __len__(self) -> int:
        return len(next(self.parameters()))

    def extra_repr(self) -> str:
        """How many, of what."""
        return f"{len(self)} of {self.network!r}"

    def train(self, mode: bool = True) -> Stack:
        """As of any module; the network goes along, though it is none of the parts."""
        self.network.train(mode)
        return super().train(mode)

    def tensors(self) -> dict[str, Tensor]:
        """The stacked parameters and buffers by the names that the network has for them."""
        own = (*self.network.named_parameters(), *self.network.named_buffers())
        return {name: getattr(self, _key(name)) for name, _ in own}

    @torch.no_grad()
    def put(self, number: int, network: nn.Module) -> None:
        """Let one of the models have a network's weights.

        Raises:
            ValueError: it is of another architecture.
        """
        given = dict((*network.named_parameters(), *network.named_buffers()))
        stacked = self.tensors()
        if {name: one.shape for name, one in given.items()} != {
            name: many.shape[1:] for name, many in stacked.items()
        }:
            raise ValueError(
                f"expected networks of one architecture; model {number + 1} has other weights "
                "than model 1. Train each architecture in a call of its own"
            )
        for name, one in given.items():
            stacked[name][number] = one

    @torch.no_grad()
    def one(self, number: int) -> nn.Module:
        """One of the models, as a network of its own."""
        network = copy.deepcopy(self.network)
        stacked = self.tensors()
        for name, own in (*network.named_parameters(), *network.named_buffers()):
            own.copy_(stacked[name][number])
        return network

    @torch.no_grad()
    def some(self, models: Sequence[int]) -> Stack:
        """A stack of some of the models, with copies of their weights."""
        found = Stack(copy.deepcopy(self.network), len(models))
        mine = self.tensors()
        for name, theirs in found.tensors().items():
            theirs.copy_(mine[name][list(models)])
        return found

    @torch.no_grad()
    def put_some(self, models: Sequence[int], trained: Stack) -> None:
        """The reverse of :meth:`some`."""
        mine = self.tensors()
        for name, theirs in trained.tensors().items():
            mine[name][list(models)] = theirs.to(mine[name].device)

    def forward(self, x: Tensor) -> Tensor:
        """Rows of each model ``(M, n, ...)`` → what each makes of its own, ``(M, n, ...)``."""
        return vmap(self._of_one, randomness="error")(self.tensors(), x)

    def _of_one(self, tensors: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(self.network, tensors, (x,))


def _key(name: str) -> str:
    return name.replace(".", "/")  # a module's own names have no dots


@dataclass(frozen=True)
class Lessons:
    """On what each of M classifiers is trained, and how.

    Attributes:
        x: ``(n, ...)`` float32.
        y: ``(n,)`` int64 labels.
        rows: M times the positions of a model's rows.
        seeds: M, what decides the order of a model's rows.
        recipe: of all.
        device: where.
    """

    x: Tensor
    y: Tensor
    rows: Sequence[Tensor]
    seeds: Sequence[int]
    recipe: Recipe
    device: torch.device

    def of(self, models: Sequence[int]) -> Lessons:
        """Those of some of the models."""
        rows, seeds = ([given[m] for m in models] for given in (self.rows, self.seeds))
        return replace(self, rows=rows, seeds=seeds)

    def groups(self, network: nn.Module) -> list[list[int]]:
        """Models that can be trained together, since their steps are equal in number.

        Each then has a batch at each step, and one learning rate is that of all. Layers that
        normalise over a batch would see the places where a shorter one has no row; of these,
        models with equally many rows go together.
        """
        groups: dict[int, list[int]] = {}
        for number, own in enumerate(self.rows):
            steps = -(-len(own) // self.recipe.batch_size)
            groups.setdefault(len(own) if normalises(network) else steps, []).append(number)
        return [groups[key] for key in sorted(groups)]


def fit_together(
    stack: Stack, lessons: Lessons, *, what: str, checkpoint: Path, checkpoint_seconds: float = 30.0
) -> None:
    """Train each of M classifiers on rows of its own, as :func:`medpriv.training.loop.fit` would.

    Args:
        stack: the models, of one of the :meth:`Lessons.groups`; ends in evaluation mode, on the
            device.
        lessons: see :class:`Lessons`.
        what: what the progress bar calls them.
        checkpoint: as for ``fit``.
        checkpoint_seconds: as for ``fit``.

    Raises:
        FloatingPointError: a loss is no longer finite.
    """
    recipe, device = lessons.recipe, lessons.device
    stack.to(device)
    lessons = replace(lessons, x=lessons.x.to(device), y=lessons.y.to(device))
    weights = [weight for weight in stack.parameters() if weight.requires_grad]
    # Elementwise, so that of all models it is what it is of each. Elsewhere torch's default is
    # fast, and its state is one that a checkpoint can bring back.
    optimizer = torch.optim.AdamW(
        weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay,
        fused=True if device.type == "cpu" else None,
    )  # fmt: skip
    history = resume_state(checkpoint, stack, weights, optimizer)
    saved = time.monotonic()
    for epoch in progress(range(len(history), recipe.epochs), what, unit="epoch"):
        losses = _epoch(stack, lessons, optimizer, epoch)
        bad = (~losses.isfinite()).nonzero()[:, 0].tolist()
        if bad:
            raise FloatingPointError(
                f"{what}: the loss of {len(bad)} of {len(stack)} models is no longer finite after "
                f"epoch {epoch + 1}; lower the learning rate ({recipe.learning_rate}) or check the "
                "inputs for extreme values"
            )
        history.append(float(losses.mean()))
        if time.monotonic() - saved >= checkpoint_seconds:
            try:
                keep_state(checkpoint, stack, weights, optimizer, history)
            except CacheError as error:
                warnings.warn(f"no checkpoint: {error.strerror}", RuntimeWarning, stacklevel=2)
            saved = time.monotonic()
    with contextlib.suppress(OSError):  # one that stays would give the same weights again
        checkpoint.unlink()
    stack.eval()


Batch = tuple[Tensor, Tensor]  # (M, rows) positions, and whether there is a row


def _batches(lessons: Lessons, epoch: int, network: nn.Module) -> list[Batch]:
    """Each model's rows in the order of its own seed; who has fewer ends with places for none."""
    rows, batch_size = lessons.rows, lessons.recipe.batch_size
    longest = max(map(len, rows))
    where = torch.zeros(len(rows), longest, dtype=torch.long)
    there = torch.zeros(len(rows), longest, dtype=torch.bool)
    for number, (own, seed) in enumerate(zip(rows, lessons.seeds, strict=True)):
        order = torch.randperm(len(own), generator=torch_rng(seed, "order", epoch))
        where[number, : len(own)] = own[order]
        there[number, : len(own)] = True
    sizes = [min(batch_size, longest - start) for start in range(0, longest, batch_size)]
    if sizes[-1] == 1 and len(sizes) > 1 and normalises(network):
        sizes[-2:] = [batch_size + 1]  # one row has no spread
    return list(zip(where.split(sizes, 1), there.split(sizes, 1), strict=True))


def _epoch(stack: Stack, lessons: Lessons, optimizer: torch.optim.Optimizer, epoch: int) -> Tensor:
    """One pass over each model's rows; ``(M,)`` the mean loss of each."""
    recipe, device = lessons.recipe, lessons.device
    batches = _batches(lessons, epoch, stack.network)
    stack.train()
    total, counts = torch.zeros(2, len(stack), device=device)
    exact = recipe.exact or (device.type == "cpu" and convolves(stack.network))
    with reproducible_kernels(exact=recipe.exact):
        for number, (where, there) in enumerate(batches):
            where, there = where.to(device), there.to(device)
            done = (epoch + number / len(batches)) / recipe.epochs
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * (1 + math.cos(math.pi * done)) / 2
            with autocast(device, exact=exact):
                output = stack(lessons.x[where])
            losses = mean_losses(output.float(), lessons.y[where], there)
            optimizer.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimizer.step()
            rows = there.sum(1)
            total += losses.detach() * rows
            counts += rows
    return total / counts


def mean_losses(logits: Tensor, labels: Tensor, there: Tensor) -> Tensor:
    """The mean cross-entropy of each model: ``(M, n, K)``, ``(M, n)``, whose rows count → (M,)."""
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
    return (losses.view(labels.shape) * there).sum(1) / there.sum(1)


def convolves(network: nn.Module) -> bool:
    """Whether it has convolutions, of which many are one with groups.

    On a CPU that one is two to five times slower than they are, and in bfloat16 its kernel reads
    memory that nobody has written, as :func:`medpriv.training.loop.fit` says.
    """
    return any(isinstance(part, nn.modules.conv._ConvNd) for part in network.modules())


def normalises(network: nn.Module) -> bool:
    """Whether it has layers that normalise over a batch."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())
