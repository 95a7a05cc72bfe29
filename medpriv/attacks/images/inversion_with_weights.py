"""Regularised maximum likelihood: a white-box reconstruction, one image at a time in a batch.

He, Zhang & Lee 2019 (ACSAC, doi 10.1145/3359789.3359824), section 4: whoever has the weights of
the front f1 needs no pairs to learn from. He searches for the image whose features are those that
he saw::

    x* = argmin over x of || f1(x) - v0 ||^2 + lambda * TV(x)

The second term asks for an image that looks like one: many images give almost the same features.
The paper starts at grey. Whoever owns other images starts nearer: at their mean, or at what an
inverse network fitted on the front makes of the features, and leaves black what is black there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from medpriv.deployment import View
from medpriv.models.losses import total_variation
from medpriv.runtime.device import pick_device, reproducible_kernels, to_device
from medpriv.runtime.profile import SEARCH_STEPS
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import torch_rng
from medpriv.training.utility_scores import predict

GREY = 0.5
WEIGHTS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # for lambda, when it is chosen


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes:
        steps: of Adam.
        learning_rate: at the start; it falls to zero along a half cosine.
        tv_weight: lambda, the weight of the total variation.
        dark: a pixel stays black where the start is on average darker than this around it and
            around its neighbours: features say little about what lies outside a body. 0 holds
            nothing.
    """

    steps: int
    learning_rate: float = 0.1
    tv_weight: float = 1e-2
    dark: float = 0.0


@dataclass(frozen=True)
class Recovery:
    """What a search found.

    Attributes:
        images: ``(n, c, h, w)`` float32 in [0, 1].
        objective: ``(n,)`` float64, the smallest value of the objective for each victim.
        steps: the numbers of steps after which ``course`` was kept.
        course: ``(len(steps), n, c, h, w)`` float32, the images on the way.
    """

    images: Tensor
    objective: Tensor
    steps: tuple[int, ...]
    course: Tensor


def recover(
    view: View | nn.Module,
    features: Tensor,
    *,
    shape: Sequence[int],
    search: Search | None = None,
    start: Tensor | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    keep: Sequence[int] = (),
    chunk: int = 32,
) -> Recovery:
    """Recover images from intercepted features with the weights of the front; it costs no query.

    Each victim's result is the same whoever else is in the batch, up to rounding.

    Args:
        view: exposes ``weights`` at a split layer; or, in its place, a front of the attacker's own,
            such as a shadow front: a network from images to features.
        features: ``(n, ...)`` float32, the victims', as the view shows them.
        shape: ``(c, h, w)`` of an image.
        search: without it, in as many steps as the profile ``quick`` has.
        start: where to begin, ``(1, c, h, w)`` for all victims or ``(n, c, h, w)``; grey, as in
            the paper, without it.
        seed: decides the trace of noise in the grey.
        device: where to search.
        keep: numbers of steps after which the images are kept; 0 is the start.
        chunk: victims at once.

    Raises:
        ThreatModelError: the view does not expose weights, or exposes them without a split.
        TypeError: ``view`` is neither a view nor a network.
        ValueError: the front does not give such features for images of this shape.
    """
    search = search or Search(SEARCH_STEPS.of("quick"))
    where = pick_device(device)
    front = to_device(_front(view), where).eval().requires_grad_(False)
    _check_features(front, features, shape, where)
    kept = tuple(sorted({step for step in keep if 0 <= step <= search.steps}))
    begin = _grey(tuple(shape), seed) if start is None else start.cpu()
    begins = begin.expand(len(features), *shape).split(chunk)
    parts = [
        _descend(front, to_device(some, where), begin, search, kept)
        for some, begin in progress(
            zip(features.split(chunk), begins, strict=True), "recovery", unit="chunk"
        )
    ]
    images, objectives, courses = zip(*parts, strict=True)
    return Recovery(torch.cat(images), torch.cat(objectives), kept, torch.cat(courses, dim=1))


def _front(view: View | nn.Module) -> nn.Module:
    """The network to search through, where the threat model gives it."""
    if isinstance(view, nn.Module):
        return view
    if not isinstance(view, View):
        raise TypeError(
            "expected a view that exposes weights, or a network from images to features, to search "
            f"through; got {type(view).__name__}"
        )
    for need in ("weights", "features"):
        view.require(need, "recovery by maximum likelihood")
    return view.weights()


def _grey(shape: tuple[int, ...], seed: int) -> Tensor:
    """Grey and a trace of noise: a network that centres its input has no slope at grey itself."""
    return GREY + 0.01 * (torch.rand(1, *shape, generator=torch_rng(seed, "grey")) - 0.5)


def _lit(begin: Tensor, dark: float) -> Tensor:
    """``(n, 1, h, w)`` of 0 and 1: the pixels that the search may move."""
    around = nn.functional.avg_pool2d(begin.amax(1, keepdim=True), 3, stride=1, padding=1)
    return (nn.functional.max_pool2d(around, 3, stride=1, padding=1) >= dark).float()


def _descend(
    front: nn.Module, target: Tensor, begin: Tensor, search: Search, kept: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    lit = to_device(_lit(begin, search.dark), target.device)
    images = (to_device(begin.clone(), target.device) * lit).requires_grad_()
    optimizer = torch.optim.Adam([images], lr=search.learning_rate)
    best, least = images.detach().clone(), torch.full((len(target),), torch.inf)
    least = least.to(target.device)
    course = []
    with reproducible_kernels(exact=True):
        for step in range(search.steps + 1):
            if step in kept:
                course.append(images.detach().cpu().clone(memory_format=torch.contiguous_format))
            objective = _objective(front, images, target, search.tv_weight)
            with torch.no_grad():
                better = objective < least
                least = torch.where(better, objective, least)
                best = torch.where(better.view(-1, 1, 1, 1), images, best)
            if step == search.steps:
                break
            for group in optimizer.param_groups:
                done = step / search.steps
                group["lr"] = search.learning_rate * (1 + math.cos(math.pi * done)) / 2
            optimizer.zero_grad(set_to_none=True)
            objective.sum().backward()  # a sum of terms that share no pixel: each has its own slope
            optimizer.step()
            with torch.no_grad():
                images.mul_(lit).clamp_(0, 1)
    way = torch.stack(course) if course else torch.empty(0, *begin.shape)
    return best.cpu().contiguous(), least.double().cpu(), way


def _objective(front: nn.Module, images: Tensor, target: Tensor, tv_weight: float) -> Tensor:
    """One value for each victim; as means, so that lambda depends less on the features' number."""
    error = (front(images) - target).pow(2).flatten(1).mean(dim=1)
    return error + tv_weight * total_variation(images)


def _check_features(
    front: nn.Module, features: Tensor, shape: Sequence[int], where: torch.device
) -> None:
    with torch.no_grad():
        given = tuple(front(torch.full((1, *shape), GREY, device=where)).shape[1:])
    if given != tuple(features.shape[1:]):
        raise ValueError(
            f"the front gives features of shape {given} for images of shape {tuple(shape)}, the "
            f"intercepted ones have shape {tuple(features.shape[1:])}; check shape and split"
        )


def choose_tv_weight(
    view: View | nn.Module,
    images: Tensor,
    *,
    weights: Sequence[float] = WEIGHTS,
    search: Search | None = None,
    device: str | torch.device = "auto",
    start: Tensor | None = None,
) -> tuple[float, dict[float, float]]:
    """Choose lambda on the attacker's own images: the weight, and the squared error with each.

    He recovers them with each weight and keeps the one with the smallest mean squared error.
    Published values do not carry over: they depend on split, model, and whether terms are means.

    Args:
        view: and search, device and start, as for :func:`recover`. A view is asked about the
            images, one query each; a front of his own he computes himself.
        images: ``(m, c, h, w)`` float32 in [0, 1], a few auxiliary images.
        weights: the candidates.
        search: its ``tv_weight`` is not used.
        device: where to search.
        start: where to begin.

    Raises:
        ThreatModelError, TypeError: as for :func:`recover`; nothing is then asked.
    """
    front = _front(view)
    features = view(images) if isinstance(view, View) else predict(front, images)
    search = search or Search(SEARCH_STEPS.of("quick"))
    errors = {}
    for weight in weights:
        found = recover(
            front, features, shape=images.shape[1:], search=replace(search, tv_weight=weight),
            device=device, start=start,
        )  # fmt: skip
        errors[weight] = float((found.images - images).pow(2).mean())
    return min(errors, key=errors.__getitem__), errors
