"""What an attacker can compute of a classifier: losses of images, and their gradients.

Whoever holds the weights has exact gradients and asks nothing. Whoever sees scores estimates
gradients from pairs of neighbours, x + σu and x - σu (evolution strategies, Salimans et al. 2017,
arXiv 1703.03864; against image classifiers Ilyas et al. 2018, arXiv 1804.08598).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.deployment import View
from medpriv.runtime.device import in_chunks, pick_device, reproducible_kernels, to_device
from medpriv.runtime.seeds import torch_rng

Loss = Callable[[Tensor, Tensor], Tensor]  # log-scores (n, K), classes (n,) → (n,)

WHO = "class inversion"  # as messages and random streams name it
_ROWS = 256  # images whose exact gradients are computed at once
_VALUES = 2**24  # pixels of neighbours that are sent to the view at once: 64 MiB


@dataclass(frozen=True)
class Probe:
    """How gradients are estimated where only scores are seen; from weights it has no effect.

    Attributes:
        directions: m pairs of neighbours for each gradient.
        spread: σ, how far neighbours lie, in grey levels.
        grain: about how many pixels wide the structures in a direction are: with 4 the attack sees
            local means of the gradient; 1 is independent noise, which needs more directions.

    Raises:
        ValueError: an attribute is out of range.
    """

    directions: int = 10
    spread: float = 0.1
    grain: int = 4

    def __post_init__(self) -> None:
        for name in ("directions", "grain"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not self.spread > 0:
            raise ValueError(f"spread must be above 0, got {self.spread}; 0.1 is a good start")


@dataclass(frozen=True)
class Access:
    """Losses of images, and their gradients.

    Attributes:
        look: loss, images, labels → losses ``(n,)``.
        gradient: loss, images, labels, number of the step → ``(n, c, h, w)``.
        both: losses and gradients in one pass; None where a look says nothing about a gradient.
        device: where images and labels are expected.
        look_price: queries for the loss of an image.
        gradient_price: queries for the gradient of an image.
    """

    look: Callable[[Loss, Tensor, Tensor], Tensor]
    gradient: Callable[[Loss, Tensor, Tensor, int], Tensor]
    both: Callable[[Loss, Tensor, Tensor], tuple[Tensor, Tensor]] | None
    device: torch.device
    look_price: int = 0
    gradient_price: int = 0


def open_access(
    view: View,
    probe: Probe,
    *,
    seed: int = 0,
    device: str | torch.device = "auto",
) -> Access:
    """The best that a view gives: exact gradients from weights, else estimates from scores.

    The seed decides the directions, which are new in each step.

    Raises:
        ThreatModelError: the view exposes neither.
        ValueError: the device is unknown.
    """
    view.require("scores", WHO)  # weights without a split give them too
    where = pick_device(device)
    if view.expose == "weights":
        return _from_weights(to_device(view.weights(), where).requires_grad_(False), where)
    return _from_scores(view, probe, seed)


def _from_weights(model: nn.Module, where: torch.device) -> Access:
    def log_scores(images: Tensor) -> Tensor:
        return model(images).log_softmax(1)

    def look(loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
        found = in_chunks(log_scores, images, device=where, batch_size=_ROWS).to(where)
        return _judged(loss, found, labels)

    def both(loss: Loss, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        losses, slopes = [], []
        with reproducible_kernels(exact=True):
            for some, of in zip(images.split(_ROWS), labels.split(_ROWS), strict=True):
                some = some.detach().requires_grad_()
                found = _judged(loss, log_scores(some), of)
                slopes += torch.autograd.grad(found.sum(), some)
                losses.append(found.detach())
        return torch.cat(losses), torch.cat(slopes)

    def gradient(loss: Loss, images: Tensor, labels: Tensor, step: int) -> Tensor:
        return both(loss, images, labels)[1]

    return Access(look, gradient, both, where)


def _from_scores(view: View, probe: Probe, seed: int) -> Access:
    def log_scores(images: Tensor) -> Tensor:
        # A score of 0, rounded or underflowed, has no logarithm.
        return view(images).float().clamp_min(torch.finfo(torch.float32).tiny).log()

    def look(loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
        return _judged(loss, log_scores(images), labels)

    def gradient(loss: Loss, images: Tensor, labels: Tensor, step: int) -> Tensor:
        shape = images.shape[1:]
        grid = (math.ceil(shape[1] / probe.grain), math.ceil(shape[2] / probe.grain))
        cell = math.prod(shape[1:]) / math.prod(grid)  # pixels for each random number
        generator = torch_rng(seed, WHO, "directions", step)
        slope = estimate_gradient(
            lambda near, of: loss(log_scores(near), of),
            images,
            labels,
            smooth_noise(probe.directions, shape, grid, generator),
            probe.spread,
        )
        return slope / cell  # from sums over a cell to means

    return Access(look, gradient, None, torch.device("cpu"), 1, 2 * probe.directions)


def _judged(loss: Loss, log_scores: Tensor, labels: Tensor) -> Tensor:
    known = log_scores.shape[1]
    if known < 2 or labels.max() >= known:
        raise ValueError(
            f"{WHO} needs a model of 2 or more classes, and class numbers below that; this model "
            f"has {known}, and class {int(labels.max())} was asked for"
        )
    return loss(log_scores, labels)


def estimate_gradient(
    loss: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    directions: Tensor,
    spread: float,
) -> Tensor:
    """The mean over directions u of (loss(x + σu) - loss(x - σu)) / 2σ · u: ``(n, c, h, w)``.

    Where the entries of u are independent, its expectation is the gradient of the loss blurred by
    σ. Neighbours are clamped to [0, 1], since a client sends images: a pixel that is black or
    white already counts half, with its sign kept. The loss is asked about 2 m n rows, in one call
    where they fit into 64 MiB; images are ``(n, c, h, w)`` in [0, 1], labels ``(n,)`` int64, and
    directions, the same for each image, ``(m, c, h, w)`` and normal.
    """
    total = torch.zeros_like(images)
    for some in directions.split(max(1, _VALUES // (2 * images.numel()))):
        to = spread * some
        near = torch.stack([images[:, None] + to, images[:, None] - to]).clamp_(0, 1)
        of = labels[None, :, None].expand(near.shape[:3])
        ahead, behind = loss(near.flatten(0, 2), of.flatten()).view(near.shape[:3])
        total += torch.einsum("nm,mchw->nchw", ahead - behind, some)
    return total / (2 * spread * len(directions))


def smooth_noise(
    number: int, shape: tuple[int, int, int], grid: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Standard normal values on a grid, drawn out to ``(number, *shape)``."""
    coarse = torch.randn(number, shape[0], *grid, generator=generator)
    if grid == tuple(shape[1:]):
        return coarse
    return F.interpolate(coarse, size=tuple(shape[1:]), mode="bicubic")
