"""Class inversion: an image that a deployed classifier takes for a given class.

Fredrikson, Jha & Ristenpart 2015 (CCS, doi 10.1145/2810103.2813677), Algorithm 1, MI-Face::

    c(x) = 1 - f(x)[y] + prior(x),    x <- process(x - λ ∇c(x))

until c has not improved on the worst of the last β costs, or is at most γ. :func:`mi_face` is
that; :func:`invert_classes` is what is done today: a margin in place of a probability that
saturates, total variation as the prior, Adam, restarts.

What comes out is what the model responds to, not a patient: only where a class is one person
(the paper's faces) is the one near the other.

Whoever holds the weights has exact gradients and asks nothing. Whoever sees scores estimates
gradients from pairs of neighbours, x + σu and x - σu (evolution strategies, Salimans et al. 2017,
arXiv 1703.03864; against image classifiers Ilyas et al. 2018, arXiv 1804.08598).

Classes do not disturb each other: starts, shifts and directions are the same for each of them, so
a class ends with the same image (to rounding) whichever others are inverted with it. A query
budget is the exception: they share it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.deployment import QueryBudgetError, View
from medpriv.models.losses import total_variation
from medpriv.runtime import (
    in_chunks,
    pick_device,
    progress,
    reproducible_kernels,
    to_device,
    torch_rng,
)

Images = Callable[[Tensor], Tensor]  # (n, c, h, w) → (n, c, h, w)
Prior = Callable[[Tensor], Tensor]  # (n, c, h, w) → (n,), differentiable
Loss = Callable[[Tensor, Tensor], Tensor]  # log-scores (n, K), classes (n,) → (n,)

_WHO = "class inversion"
_ROWS = 256  # images whose exact gradients are computed at once
_VALUES = 2**24  # pixels of neighbours that are sent to the view at once: 64 MiB


@dataclass(frozen=True)
class ClassInversion:
    """What was found for k classes.

    Attributes:
        images: ``(k, c, h, w)`` float32 in [0, 1], for each class the one of least cost.
        scores: ``(k,)`` float32, the probability that the view gives to the class; asked anew at
            the end, so it costs k queries and no lucky answer of a noisy view is kept.
        history: ``(t, k)`` float32, the cost after 0, 1, ... steps, of the restart that was kept;
            NaN once a class has stopped.
        steps: ``(k,)`` int64, after how many steps each class stopped.
        queries: what it cost in all. From weights k; from scores, with m directions and r
            restarts, the sum over classes of r (steps (2m + 1) + 1) + 1.
    """

    images: Tensor
    scores: Tensor
    history: Tensor
    steps: Tensor
    queries: int


def mi_face(
    view: View,
    classes: Sequence[int] | Tensor,
    *,
    shape: tuple[int, int, int],
    start: Tensor | None = None,
    prior: Prior | None = None,
    process: Images | None = None,
    steps: int = 500,
    learning_rate: float = 3.0,
    patience: int = 100,
    good_enough: float = 0.01,
    directions: int = 10,
    spread: float = 0.1,
    grain: int = 4,
    seed: int = 0,
    device: str | torch.device = "auto",
) -> ClassInversion:
    """The attack of 2015: gradient descent on 1 - f(x)[y] + prior(x), in pixels.

    Args:
        view: exposes ``scores``, or ``weights`` without a split.
        classes: k class numbers.
        shape: ``(c, h, w)`` of an image.
        start: ``(c, h, w)`` or ``(k, c, h, w)`` in [0, 1]; without it black, as in the paper.
        prior: adds its cost ``(n,)`` to each image; differentiable.
        process: what is done to images after each step, before they are clamped to [0, 1].
        steps: at most so many, the paper's α.
        learning_rate: λ.
        patience: β of :func:`should_stop`.
        good_enough: γ of :func:`should_stop`.
        directions: m pairs of neighbours for each gradient, where only scores are seen.
        spread: σ, how far neighbours lie, in grey levels.
        grain: about how many pixels wide the structures in a direction are. Few directions say
            little about single pixels, so with 4 the attack sees local means of the gradient;
            1 is independent noise, whose estimate is right on average and needs more directions.
        seed: decides the directions; from weights nothing is random here.
        device: where to compute from weights; with scores the view computes, where it is.

    Raises:
        ThreatModelError: the view exposes neither.
        QueryBudgetError: the budget does not cover one step; no query is then spent. A budget
            that ends later ends the attack before it is exceeded, with the best images so far.
        ValueError: an argument is out of range, or a class is none of the model's.
        FloatingPointError: a cost is not finite.
    """
    _check(shape, steps=steps, directions=directions, grain=grain, patience=patience)
    access = _open(view, directions, spread, grain, seed, device)
    labels = _labels(classes)
    form = _Form(
        loss=_one_minus_score,
        extra=prior or _nothing,
        optimizer=partial(torch.optim.SGD, lr=learning_rate),
        process=lambda images: (process(images) if process else images).clamp(0, 1),
        stop=lambda costs: should_stop(
            torch.stack(costs[-patience - 1 :]), patience=patience, good_enough=good_enough
        ),
    )
    return _invert(view, access, labels, _given(start, labels, shape)[None], form, steps)


def invert_classes(
    view: View,
    classes: Sequence[int] | Tensor,
    *,
    shape: tuple[int, int, int],
    tv: float = 100.0,
    prior: Prior | None = None,
    restarts: int = 4,
    shift: int = 0,
    steps: int = 200,
    learning_rate: float = 0.1,
    directions: int = 10,
    spread: float = 0.1,
    grain: int = 4,
    seed: int = 0,
    device: str | torch.device = "auto",
) -> ClassInversion:
    """The attack of today: minimise max over j ≠ y of z_j - z_y, plus tv · TV(x) + prior(x).

    Adam moves v, and the image is sigmoid(v), so it stays in [0, 1]. Log-scores take the place of
    the logits z: their margin is the same. Each restart begins at a smooth random image; of all
    steps and restarts the image of least cost is kept, the cost being that of the unshifted image.

    Args:
        view: exposes ``scores``, or ``weights`` without a split.
        classes: k class numbers.
        shape: ``(c, h, w)`` of an image.
        tv: weight of :func:`medpriv.models.total_variation`.
        prior: adds its cost ``(n,)`` to each image; differentiable.
        restarts: r starts for each class, all in one batch.
        shift: each step looks at the image moved by up to so many pixels, its border repeated.
        steps: of Adam.
        learning_rate: of Adam, on v.
        directions: m; this, spread, grain and device as in :func:`mi_face`.
        spread: σ.
        grain: of the directions, in pixels.
        seed: decides starts, shifts and directions.
        device: where to compute from weights.

    Raises:
        ThreatModelError: as :func:`mi_face`.
        QueryBudgetError: as :func:`mi_face`.
        ValueError: as :func:`mi_face`.
        FloatingPointError: as :func:`mi_face`.
    """
    _check(shape, steps=steps, directions=directions, grain=grain, restarts=restarts, shift=shift)
    access = _open(view, directions, spread, grain, seed, device)
    labels = _labels(classes)
    form = _Form(
        loss=_margin,
        extra=lambda images: tv * total_variation(images) + (prior or _nothing)(images),
        optimizer=partial(torch.optim.Adam, lr=learning_rate),
        paint=torch.sigmoid,
        move=lambda images, step: _shifted(images, shift, torch_rng(seed, _WHO, "shift", step)),
    )
    starts = _smooth(restarts, shape, (4, 4), torch_rng(seed, _WHO, "start"))
    starts = starts[:, None].expand(-1, len(labels), *shape)
    return _invert(view, access, labels, starts, form, steps)


# --- Costs and the stopping rule ------------------------------------------------------------------


def should_stop(costs: Tensor, *, patience: int, good_enough: float) -> Tensor:
    """MI-Face's rule: the last cost is at most γ, or no better than the worst of the β before it.

    Until there are β costs before it, only γ counts.

    Args:
        costs: ``(t, ...)``, t at least 1, the latest last; one rule for each column.
        patience: β, at least 1.
        good_enough: γ.

    Returns:
        ``(...)`` bool.
    """
    last = costs[-1]
    done = last <= good_enough
    if len(costs) > patience:
        done = done | (last >= costs[-patience - 1 : -1].amax(0))
    return done


def _one_minus_score(log_scores: Tensor, labels: Tensor) -> Tensor:
    return 1 - log_scores.gather(1, labels[:, None])[:, 0].exp()


def _margin(log_scores: Tensor, labels: Tensor) -> Tensor:
    chosen = labels[:, None]
    best_other = log_scores.scatter(1, chosen, -torch.inf).amax(1)
    return best_other - log_scores.gather(1, chosen)[:, 0]


def _nothing(images: Tensor) -> Tensor:
    return images.new_zeros(len(images))


# --- What the attacker can compute ----------------------------------------------------------------


@dataclass(frozen=True)
class _Access:
    """Log-scores and gradients of a loss with respect to images, and what each costs."""

    log_scores: Images
    gradient: Callable[[Loss, Tensor, Tensor, int], Tensor]
    device: torch.device
    look_price: int = 0
    gradient_price: int = 0


def _open(
    view: View, directions: int, spread: float, grain: int, seed: int, device: str | torch.device
) -> _Access:
    view.require("scores", _WHO)  # weights without a split give them too
    where = pick_device(device)
    if view.expose == "weights":
        return _from_weights(to_device(view.weights(), where).requires_grad_(False), where)
    if not spread > 0:
        raise ValueError(f"spread must be above 0, got {spread}; 0.1 is a good start")

    def log_scores(images: Tensor) -> Tensor:
        # A score of 0, rounded or underflowed, has no logarithm.
        return view(images).float().clamp_min(torch.finfo(torch.float32).tiny).log()

    def gradient(loss: Loss, images: Tensor, labels: Tensor, step: int) -> Tensor:
        shape = images.shape[1:]
        grid = (math.ceil(shape[1] / grain), math.ceil(shape[2] / grain))
        cell = math.prod(shape[1:]) / math.prod(grid)  # pixels for each random number
        some = _smooth(directions, shape, grid, torch_rng(seed, _WHO, "directions", step))
        slope = estimate_gradient(
            lambda near, of: loss(log_scores(near), of), images, labels, some, spread
        )
        return slope / cell  # from sums over a cell to means

    return _Access(log_scores, gradient, torch.device("cpu"), 1, 2 * directions)


def _from_weights(model: nn.Module, where: torch.device) -> _Access:
    def log_scores(images: Tensor) -> Tensor:
        return model(images).log_softmax(1)

    def look(images: Tensor) -> Tensor:
        return in_chunks(log_scores, images, device=where, batch_size=_ROWS).to(where)

    def gradient(loss: Loss, images: Tensor, labels: Tensor, step: int) -> Tensor:
        found = []
        with reproducible_kernels(exact=True):
            for some, of in zip(images.split(_ROWS), labels.split(_ROWS), strict=True):
                some = some.detach().requires_grad_()
                found += torch.autograd.grad(loss(log_scores(some), of).sum(), some)
        return torch.cat(found)

    return _Access(look, gradient, where)


def estimate_gradient(
    loss: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    directions: Tensor,
    spread: float,
) -> Tensor:
    """The mean over directions u of (loss(x + σu) - loss(x - σu)) / 2σ · u.

    Where the entries of u are independent, its expectation is the gradient of the loss blurred by
    σ. Neighbours are clamped to [0, 1], since a client sends images: a pixel that is black or
    white already counts half, with its sign kept.

    Args:
        loss: images ``(q, c, h, w)`` and their labels ``(q,)`` → ``(q,)``; asked 2 m n rows, in
            one call where they fit into 64 MiB.
        images: ``(n, c, h, w)`` in [0, 1].
        labels: ``(n,)`` int64.
        directions: ``(m, c, h, w)``, normal; the same for each image.
        spread: σ.

    Returns:
        ``(n, c, h, w)``.
    """
    total = torch.zeros_like(images)
    for some in directions.split(max(1, _VALUES // (2 * images.numel()))):
        to = spread * some
        near = torch.stack([images[:, None] + to, images[:, None] - to]).clamp_(0, 1)
        of = labels[None, :, None].expand(near.shape[:3])
        ahead, behind = loss(near.flatten(0, 2), of.flatten()).view(near.shape[:3])
        total += torch.einsum("nm,mchw->nchw", ahead - behind, some)
    return total / (2 * spread * len(directions))


# --- The descent ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """What the two forms do differently; what is left out changes nothing and never stops."""

    loss: Loss
    extra: Prior
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]
    paint: Images = lambda values: values
    move: Callable[[Tensor, int], Tensor] = lambda images, step: images
    process: Images = lambda values: values
    stop: Callable[[list[Tensor]], Tensor] = lambda costs: torch.zeros_like(costs[-1]).bool()


def _invert(
    view: View, access: _Access, labels: Tensor, starts: Tensor, form: _Form, steps: int
) -> ClassInversion:
    """Descend from ``starts`` ``(r, k, c, h, w)``, choose a restart for each class, and ask."""
    before, (restarts, k) = view.queries, starts.shape[:2]
    row_price = access.gradient_price + access.look_price

    def covers(rows: int) -> bool:  # one more step of so many rows, and the last question
        return rows * row_price + k <= _left(view)

    least = restarts * k * (row_price + access.look_price) + k
    if least > _left(view):
        raise QueryBudgetError(
            f"{_WHO} needs at least {least} queries here, for one step and a last answer for each "
            f"class; {_left(view)} of {view.query_budget} are left. Take fewer classes, restarts "
            "or directions, or deploy with a larger query_budget"
        )
    best, least_cost, costs, taken = _descend(
        access, starts.flatten(0, 1), labels.repeat(restarts), form, steps, covers
    )
    kept = (least_cost.view(restarts, k).argmin(0), torch.arange(k))
    images = best.unflatten(0, (restarts, k))[kept].contiguous()
    scores = view(images).gather(1, labels[:, None])[:, 0]
    return ClassInversion(
        images,
        scores,
        costs.view(-1, restarts, k)[:, kept[0], kept[1]],
        taken.view(restarts, k)[kept],
        view.queries - before,
    )


def _descend(
    access: _Access,
    start: Tensor,
    labels: Tensor,
    form: _Form,
    steps: int,
    covers: Callable[[int], bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All rows at once: best image and cost of each, all costs ``(t, n)``, steps of each."""
    labels = labels.to(access.device)
    values = to_device(start, access.device).clone().requires_grad_()
    optimizer = form.optimizer([values])
    alive, taken = torch.ones_like(labels).bool(), torch.zeros_like(labels)
    best, least = torch.zeros_like(values), torch.full_like(labels, torch.inf, dtype=values.dtype)
    costs: list[Tensor] = []
    for step in progress(range(steps + 1), _WHO, unit="step"):
        image = form.paint(values.detach())
        costs.append(_cost(access, image, labels, alive, form, step))
        better = costs[-1] < least  # never where a row has stopped: there it is NaN
        best[better], least[better] = image[better], costs[-1][better]
        alive = alive & ~form.stop(costs)
        if step == steps or not alive.any() or not covers(int(alive.sum())):
            break
        optimizer.zero_grad()
        image = form.paint(values)
        seen = form.move(image, step)[alive]
        slope = access.gradient(form.loss, seen.detach(), labels[alive], step)
        # Its gradient is that of the cost; TV, prior, shift and sigmoid are the attacker's own.
        ((seen * slope).sum() + form.extra(image)[alive].sum()).backward()
        optimizer.step()
        taken += alive
        with torch.no_grad():
            values[alive] = form.process(values[alive])
    return best.cpu(), least.cpu(), torch.stack(costs).cpu(), taken.cpu()


@torch.no_grad()
def _cost(
    access: _Access, images: Tensor, labels: Tensor, alive: Tensor, form: _Form, step: int
) -> Tensor:
    """The cost of each row that is alive, ``(n,)``; NaN for the others, which ask nothing."""
    log_scores = access.log_scores(images[alive])
    known = log_scores.shape[1]
    if known < 2 or labels.max() >= known:
        raise ValueError(
            f"{_WHO} needs a model of 2 or more classes, and class numbers below that; this model "
            f"has {known}, and class {int(labels.max())} was asked for"
        )
    found = form.loss(log_scores, labels[alive]) + form.extra(images[alive])
    if not found.isfinite().all():
        raise FloatingPointError(
            f"{_WHO}: the cost is not finite after step {step}; lower the learning rate, or check "
            "the prior"
        )
    return torch.full_like(labels, torch.nan, dtype=found.dtype).masked_scatter(alive, found)


def _shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """All images moved by the same random number of pixels, up to ``most`` each way."""
    if not most:
        return images
    down, right = torch.randint(0, 2 * most + 1, (2,), generator=generator).tolist()
    padded = F.pad(images, (most,) * 4, mode="replicate")
    return padded[..., down : down + images.shape[2], right : right + images.shape[3]]


def _smooth(
    number: int, shape: tuple[int, int, int], grid: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Standard normal values on a grid, drawn out to ``(number, *shape)``."""
    coarse = torch.randn(number, shape[0], *grid, generator=generator)
    if grid == tuple(shape[1:]):
        return coarse
    return F.interpolate(coarse, size=tuple(shape[1:]), mode="bicubic")


# --- Arguments ------------------------------------------------------------------------------------


def _left(view: View) -> float:
    return math.inf if view.query_budget is None else view.query_budget - view.queries


def _check(shape: tuple[int, int, int], **numbers: int) -> None:
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"shape must be (channels, height, width), each 1 or more, got {shape}")
    for name, number in numbers.items():
        least = 0 if name == "shift" else 1
        if number < least:
            raise ValueError(f"{name} must be {least} or more, got {number}")


def _labels(classes: Sequence[int] | Tensor) -> Tensor:
    labels = torch.as_tensor(classes)
    if labels.ndim != 1 or not len(labels) or labels.is_floating_point() or labels.min() < 0:
        raise ValueError(
            f"classes must be one or more class numbers, 0 or above, such as [0, 1]; got {classes}"
        )
    return labels.cpu().long()


def _given(start: Tensor | None, labels: Tensor, shape: tuple[int, int, int]) -> Tensor:
    if start is None:
        return torch.zeros(len(labels), *shape)
    if tuple(start.shape) not in (tuple(shape), (len(labels), *shape)):
        raise ValueError(
            f"start must have shape {tuple(shape)}, or {(len(labels), *shape)} with one for each "
            f"class; got {tuple(start.shape)}"
        )
    if not (start.min() >= 0 and start.max() <= 1):
        raise ValueError("start must lie in [0, 1]; scale it first")
    return start.float().expand(len(labels), *shape)
