"""Class inversion: an image that a deployed classifier takes for a given class.

Fredrikson, Jha & Ristenpart 2015 (CCS, doi 10.1145/2810103.2813677), Algorithm 1, MI-Face::

    c(x) = 1 - f(x)[y] + prior(x),    x <- process(x - λ ∇c(x))

until c has not improved on the worst of the last β costs, or is at most γ. :func:`mi_face` is
that; :func:`invert_classes` is what is done today: a margin in place of a probability that
saturates, total variation as the prior, Adam, restarts.

What comes out is what the model responds to, not a patient: only where a class is one person
(the paper's faces) is the one near the other.

Whoever holds the weights has exact gradients; whoever sees scores estimates them, as
:class:`Probe` says (see :mod:`medpriv.attacks.images.gradients`).

Classes do not disturb each other: starts, shifts and directions are the same for each of them, so
a class ends with the same image (to rounding) whichever others are inverted with it. A query
budget is the exception: they share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from medpriv.attacks.images.descent import Form, Images, Prior, descend
from medpriv.attacks.images.gradients import WHO, Access, Probe, open_access, smooth_noise
from medpriv.deployment import View
from medpriv.models.losses import total_variation
from medpriv.runtime.seeds import torch_rng


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
    probe: Probe | None = None,
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
        patience: β of ``should_stop``.
        good_enough: γ of ``should_stop``.
        probe: how gradients are estimated, where only scores are seen; without it ``Probe()``.
        seed: decides the directions; from weights nothing is random here.
        device: where to compute from weights; with scores the view computes, where it is.

    Raises:
        ThreatModelError: the view exposes neither.
        QueryBudgetError: the budget does not cover one step; no query is then spent. A budget
            that ends later ends the attack before it is exceeded, with the best images so far.
        ValueError: an argument is out of range, or a class is none of the model's.
        FloatingPointError: a cost is not finite.
    """
    _check(shape, steps=steps, patience=patience)
    access = open_access(view, probe or Probe(), seed=seed, device=device)
    labels = _labels(classes)
    form = Form(
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
    probe: Probe | None = None,
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
        probe: as in :func:`mi_face`, and so is device.
        seed: decides starts, shifts and directions.
        device: where to compute from weights.

    Raises:
        ThreatModelError, QueryBudgetError, ValueError, FloatingPointError: as :func:`mi_face`.
    """
    _check(shape, steps=steps, restarts=restarts, shift=shift)
    access = open_access(view, probe or Probe(), seed=seed, device=device)
    labels = _labels(classes)
    form = Form(
        loss=_margin,
        extra=lambda images: tv * total_variation(images) + (prior or _nothing)(images),
        optimizer=partial(torch.optim.Adam, lr=learning_rate),
        paint=torch.sigmoid,
        move=partial(_shifted, most=shift, seed=seed) if shift else None,
    )
    starts = smooth_noise(restarts, shape, (4, 4), torch_rng(seed, WHO, "start"))
    starts = starts[:, None].expand(-1, len(labels), *shape)
    return _invert(view, access, labels, starts, form, steps)


def _invert(
    view: View, access: Access, labels: Tensor, starts: Tensor, form: Form, steps: int
) -> ClassInversion:
    before = view.queries
    images, history, taken = descend(view, access, labels, starts, form, steps)
    scores = view(images).gather(1, labels[:, None])[:, 0]
    return ClassInversion(images, scores, history, taken, view.queries - before)


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


def _shifted(images: Tensor, step: int, *, most: int, seed: int) -> Tensor:
    """All images moved by the same random number of pixels, up to ``most`` each way."""
    generator = torch_rng(seed, WHO, "shift", step)
    down, right = torch.randint(0, 2 * most + 1, (2,), generator=generator).tolist()
    padded = F.pad(images, (most,) * 4, mode="replicate")
    return padded[..., down : down + images.shape[2], right : right + images.shape[3]]


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
