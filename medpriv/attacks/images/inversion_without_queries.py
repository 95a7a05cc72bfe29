"""Without a query: a reconstruction by the partner who computes the network's second half.

He, Zhang & Lee 2019 (ACSAC, doi 10.1145/3359789.3359824), their query-free attack: the attacker
has the back f2, since he runs it, and labelled images of his own; he may neither ask the front nor
see its weights. He trains a front of his own that works with the back he has::

    f1' = argmin over f of the mean over auxiliary (x, y) of CE(f2(f(x)), y)

and then searches as with the true weights, through f1'::

    shadow = fit_shadow_front(view, sent, images, labels)
    recover(shadow.front, sent, shape=images.shape[1:])

Many fronts work with a back, and most of them give other features than the true one: on a task of
two classes this alone recovers nothing. But the attacker also sees the traffic. So here f1' must
also give features *distributed* like those that pass by (means, spreads, and which channels go
together). And since initial weights may be unlucky, several fronts start and the best goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.deployment import View
from medpriv.models.images import he_weights
from medpriv.runtime.device import pick_device, to_device
from medpriv.runtime.profile import SHADOW_FRONT_STEPS
from medpriv.runtime.seeds import seeded
from medpriv.training.loop import Recipe, fit


@dataclass(frozen=True)
class ShadowFront:
    """A front f1' that the attacker trained.

    Attributes:
        front: ``(n, c, h, w)`` images in [0, 1] → features of the shape that passes by.
        history: its mean loss in each epoch.
    """

    front: nn.Module
    history: tuple[float, ...]


def fit_shadow_front(
    view: View,
    features: Tensor,
    images: Tensor,
    labels: Tensor,
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    traffic: float = 10.0,
    starts: int = 3,
    recipe: Recipe | None = None,
) -> ShadowFront:
    """Train a front that works with the back, on labelled images, and without a query.

    Its architecture is a guess: blocks of two 3x3 convolutions, as many poolings as the features
    are smaller than the image.

    Args:
        view: exposes ``back``; it is not asked anything.
        features: ``(n, c, h, w)`` float32, intercepted from n victims.
        images: ``(m, c, size, size)`` float32 in [0, 1], the attacker's own.
        labels: ``(m,)`` int64, their classes.
        profile: sets the number of steps.
        seed: decides initial weights and order.
        device: where to train.
        traffic: weight of the distance between the features' distributions; 0 is the paper's.
        starts: so many fronts of other initial weights are trained for a seventh of the time; the
            one with the lowest loss is trained to the end.
        recipe: instead of the profile's.

    Raises:
        ThreatModelError: the view does not expose the back.
        ValueError: the features are no maps, or smaller than the image by no power of two;
            ``starts`` is below 1.
    """
    view.require("back", "a shadow front")
    if starts < 1:
        raise ValueError(f"a shadow front needs at least one start, got {starts}")
    _halvings(images.shape[-1], features)  # refuses features of another kind
    back = view.back().requires_grad_(False)
    seen = _Moments.of(to_device(features, pick_device(device)))
    wide = features[0].numel()

    def loss(output: Tensor, truth: Tensor) -> Tensor:
        own = output[:, -wide:].unflatten(1, features.shape[1:])
        return F.cross_entropy(output[:, :-wide], truth) + traffic * seen.distance(own)

    def train(front: nn.Module, recipe: Recipe, what: str) -> list[float]:
        options = {"loss": loss, "recipe": recipe, "seed": seed, "device": device, "what": what}
        return fit(_Both(front, back), images, labels, **options)

    recipe = recipe or Recipe.of_steps(
        SHADOW_FRONT_STEPS.of(profile), len(images), batch_size=16, weight_decay=1e-3
    )
    trial = recipe if starts == 1 else replace(recipe, epochs=max(1, round(recipe.epochs / 7)))
    tried = []
    for number in range(starts):
        with seeded(seed, "shadow front", number):
            front = _Front(images.shape[1], images.shape[-1], features)
        history = train(front, trial, f"start {number + 1} of {starts}")
        tried.append(ShadowFront(front, tuple(history)))
    best = min(tried, key=lambda shadow: shadow.history[-1])
    if trial.epochs == recipe.epochs:
        return best
    rest = replace(recipe, epochs=recipe.epochs - trial.epochs)
    history = train(best.front, rest, f"shadow front up to {view.split}")
    return replace(best, history=best.history + tuple(history))


@dataclass(frozen=True)
class _Moments:
    """How features are distributed: mean and spread at each place, covariance of the channels."""

    mean: Tensor
    spread: Tensor
    together: Tensor
    scale: Tensor

    @classmethod
    def of(cls, features: Tensor) -> _Moments:
        centred = (features - features.mean(dim=(0, 2, 3), keepdim=True)).transpose(0, 1).flatten(1)
        return cls(
            features.mean(dim=0),
            features.std(dim=0, correction=0),
            centred @ centred.T / centred.shape[1],
            features.std(correction=0).clamp(min=1e-6),
        )

    def distance(self, features: Tensor) -> Tensor:
        """A scalar without a unit, 0 where all three agree."""
        own = _Moments.of(features)
        first = (own.mean - self.mean).pow(2).mean() + (own.spread - self.spread).pow(2).mean()
        return first / self.scale**2 + (own.together - self.together).pow(2).mean() / self.scale**4


class _Both(nn.Module):
    """Images → logits and the features before them, side by side: the loss needs both."""

    def __init__(self, front: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.front, self.back = front, back

    def forward(self, images: Tensor) -> Tensor:
        features = self.front(images)
        return torch.cat([self.back(features), features.flatten(1)], dim=1)


class _Front(nn.Module):
    """Images → features of a given shape and scale, not below 0 where the true ones are not."""

    def __init__(self, channels: int, size: int, features: Tensor) -> None:
        super().__init__()
        halvings = _halvings(size, features)
        wide_out = features.shape[1]
        blocks: list[nn.Module] = []
        for number in range(halvings):
            wide_in = channels if number == 0 else wide_out
            blocks += [
                nn.Conv2d(wide_in, wide_out, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(wide_out, wide_out, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        if not halvings:
            blocks = [nn.Conv2d(channels, wide_out, 3, padding=1), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        self.apply(he_weights)

    def forward(self, images: Tensor) -> Tensor:
        return self.blocks(images - 0.5)


def _halvings(size: int, features: Tensor) -> int:
    if features.ndim != 4:
        raise ValueError(
            f"a shadow front needs features that are maps, (n, c, h, w), got "
            f"{tuple(features.shape)}; choose a convolutional split"
        )
    own = features.shape[-1]
    halvings = (size // own).bit_length() - 1
    if own << halvings != size:
        raise ValueError(
            f"features of {own} places for images of {size} pixels: their ratio is no power of two"
        )
    return halvings
