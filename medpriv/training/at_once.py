"""How many models are trained as one: as many as memory holds, if they can be at all."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from medpriv.models.careful import name_of
from medpriv.models.contract import as_given
from medpriv.runtime.arguments import require_integer
from medpriv.runtime.memory import free_bytes
from medpriv.runtime.seeds import seeded
from medpriv.training.stack import Stack, convolves, mean_losses, normalises

_CPU = 64  # as fast as more of them, whose tensors leave the processor's cache


@dataclass(frozen=True)
class Plan:
    """How many models are trained as one, and the memory that all of it takes."""

    at_once: int
    bytes: int

    @property
    def said(self) -> str:
        """The memory, for a reader."""
        return _said(self.bytes)


def plan(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    longest: int,
    shape: tuple[int, int],
    *,
    device: torch.device,
    at_once: int | None = None,
) -> Plan:
    """Decide how many models are trained as one.

    Args:
        network: one of them, on the CPU.
        x: a few rows.
        y: their labels.
        longest: rows of the largest batch.
        shape: how many models, and how many rows there are.
        device: where they are trained.
        at_once: how many the reader wants.

    Raises:
        MemoryError: what is free does not hold them.
        ValueError: the network cannot be one of several that are computed as one.
    """
    models, rows = shape
    own = sum(one.nbytes for one in (*network.parameters(), *network.buffers()))
    # Weights, gradients and Adam's two moments; what the backward pass needs of each row, and as
    # much again for its gradients.
    each = 4 * own + 2 * longest * _bytes_a_row(network, x)
    here = models * own  # of all, whoever is trained
    there = 0 if device.type == "cpu" else rows * x[0].nbytes
    if at_once is None:
        fast = models if device.type != "cpu" else 1 if convolves(network) else _CPU
        room = free_bytes(device) - (here if device.type == "cpu" else there)
        at_once = max(1, min(models, fast, room // each))
    at_once = min(require_integer("at_once", at_once, 1), models)
    together, written = at_once * each, 4 * here  # the file is made of copies
    if device.type == "cpu":
        needs = {device: max(written, here + together)}
    else:
        needs = {device: there + together, torch.device("cpu"): written}
    for place, need in needs.items():
        _check_fits(f"{models} models, {at_once} at once,", need, place)
    if at_once > 1:
        _check_together(network, x, y)
    return Plan(at_once, sum(needs.values()))


def _check_fits(what: str, need: int, device: torch.device) -> None:
    free = free_bytes(device)
    if need > free:
        raise MemoryError(
            f"{what} need about {_said(need)} of memory ({device.type}), and {_said(free)} are "
            "free. Train fewer models, fewer at_once=..., or with a smaller batch_size"
        )


def _said(number: int) -> str:
    return f"{number / 2**30:.1f} GB" if number >= 2**30 else f"{max(number / 2**20, 1):.0f} MB"


def _bytes_a_row(network: nn.Module, x: Tensor) -> int:
    """What a forward pass keeps for the backward pass, for each row."""
    probe, x = copy.deepcopy(network).train(), x.clone()
    known = {one.untyped_storage().data_ptr() for one in (*probe.parameters(), *probe.buffers())}
    found = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(count, lambda tensor: tensor), seeded(0, "memory"):
        probe(x)
    return -(-(sum(found.values()) + x.nbytes) // len(x))


def some_answers(network: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """What sets a network apart from others with equal weights: its logits, and some slopes.

    No list of layers says what ``forward`` does with them, in evaluation and in training mode.
    """
    probe = copy.deepcopy(network).eval()
    with torch.no_grad(), seeded(0, "some answers"):
        logits = probe(x)
    with seeded(0, "some answers"):
        return [logits, *_slopes(probe, x, y)]


def _slopes(network: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """The gradient of the mean loss, of each weight that is trained."""
    network.zero_grad(set_to_none=True)
    F.cross_entropy(network.train()(x).float(), y).backward()
    trained = (one for one in network.parameters() if one.requires_grad)
    return [torch.zeros_like(one) if one.grad is None else one.grad for one in trained]


def _check_together(network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Pass if two such networks that are computed as one have the slopes that each has alone."""
    name = name_of(as_given(network))
    remedy = "give at_once=1, and each is trained alone, by the usual loop"
    refusal = f"several of {name} cannot be computed as one"
    short = len(x) if normalises(network) else max(1, len(x) - 1)
    pair = [copy.deepcopy(network), copy.deepcopy(network)]
    with torch.no_grad():
        for weight in pair[1].parameters():
            weight.mul_(0.9)
    stack = Stack(network, 2)
    for number, one in enumerate(pair):
        stack.put(number, one)
    there = torch.arange(len(x)) < torch.tensor([[len(x)], [short]])
    try:
        logits = stack.train()(torch.stack([x, x]))
        mean_losses(logits.float(), torch.stack([y, y]), there).sum().backward()
    except Exception as error:  # whatever vmap refuses, such as dropout, or in a layer's own words
        raise ValueError(f"{refusal} ({str(error).splitlines()[0]}): {remedy}") from error
    alone = [
        _slopes(one, x[:rows], y[:rows]) for one, rows in zip(pair, (len(x), short), strict=True)
    ]
    together = [one.grad for one in stack.parameters() if one.requires_grad]
    for mine, *theirs in zip(together, *alone, strict=True):
        wanted = torch.stack(theirs)
        bound = 1e-3 * float(wanted.abs().max()) + 1e-6
        if mine is None or not bool(((mine - wanted).abs() <= bound).all()):
            raise ValueError(f"{refusal}, since they learn something else than alone: {remedy}")
