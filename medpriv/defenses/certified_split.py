"""A certified split: features inside a ball, normal noise, and a network trained to live with both.

Behind the split layer the features are read into a code of few numbers, squashed into a ball of
radius C about 0, and written back into the layer's shape, so that the rest of the network, and
whoever cuts it there, finds what he expects. On its way out the code gets noise N(0, σ² I), fresh
for each answer. What any attacker can make of q answers is then proved, see
:mod:`medpriv.bounds.ball`, and depends on √q C / σ alone: not on the network, its weights, the
number of numbers, or what he knows of other patients.

Compare :func:`medpriv.defenses.noised`: noise without the ball, of which nothing is proved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.bounds.ball import auc_ceiling, gallery_ceiling
from medpriv.data.cohort import Cohort
from medpriv.defenses.ball import Ball, in_ball, put_ball
from medpriv.defenses.split_training import further_recipe, start_from
from medpriv.deployment import ViewDefense
from medpriv.models.split import back, front
from medpriv.runtime.arguments import require_integer
from medpriv.runtime.device import pick_device, to_device
from medpriv.training.checkpoint import cached_module
from medpriv.training.loop import Recipe, fit
from medpriv.training.targets import train_target
from medpriv.training.utility_scores import predict

_NOISES = 8  # on each row in a step: the rest of a network is the cheap part


@dataclass(frozen=True)
class CertifiedSplit:
    """A network that was trained behind a ball, and what is proved of it.

    Attributes:
        model: in evaluation mode; its features at ``split`` lie in the ball.
        split: the layer.
        radius: C.
        sigma: of the noise on each number of the code.
        centre: of the ball, the mean features of members.
        basis: ``(d, k)``, in which features have their code.
    """

    model: nn.Module
    split: str
    radius: float
    sigma: float
    centre: Tensor
    basis: Tensor

    def defense(self, *, seed: int = 0) -> ViewDefense:
        """What has to stand in front of it: the noise, and the ball again, whatever it answers."""
        return in_ball(self.radius, self.sigma, centre=self.centre, basis=self.basis, seed=seed)

    def card(self, gallery: int, budget: int = 1) -> pd.DataFrame:
        """What is proved, for a page.

        Args:
            gallery: how many candidates an attacker has, each as likely before.
            budget: how many answers about one patient there can be, in all and to all together.
        """
        require_integer("budget", budget, 1)
        far = (self.radius, self.sigma)
        rows = {
            "Split": f"{self.split}, a code of {self.basis.shape[1]}",
            "C / σ": f"{self.radius / self.sigma:.3g}" if self.sigma else "no noise",
            "Candidates": f"{gallery}; a guess names the right one in {1 / gallery:.1%}",
            "Anybody, from one answer": f"{gallery_ceiling(gallery, *far):.1%} at most",
            f"Anybody, from {budget} answers": f"{gallery_ceiling(gallery, *far, budget):.1%} at "
            "most, averaged or not",
            "AUC of any client, one answer": f"{auc_ceiling(*far):.3f} at most",
            f"AUC of any client, {budget} answers": f"{auc_ceiling(*far, budget):.3f} at most",
            "Assumes": "noise that nobody can repeat, and no more answers than that",
            "Not of": "the patients whose data trained the network",
        }
        return pd.DataFrame({"": rows.values()}, index=pd.Index(rows.keys(), name="Proved"))


def train_certified(
    cohort: Cohort,
    split: str,
    ratio: float,
    *,
    numbers: int | None = None,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
    model: nn.Module | None = None,
) -> CertifiedSplit:
    """A cohort's target model, trained on its members through a ball and noise at a layer.

    Args:
        cohort: of images or records.
        split: the layer; one that has a name in the network, such as ``"conv4"``.
        ratio: C / σ, which decides all that is proved.
        numbers: of the code; without it one less than classes. Few are enough for a diagnosis, and
            the fewer there are, the less is left for anything else.
        profile: how long to train, where there is no ``recipe``.
        seed: decides the order of rows, the noise in training and, without ``model``, the target.
        device: see :func:`medpriv.runtime.device.pick_device`.
        recipe: of the training of the whole, at a fifth of its learning rate; before it the part
            behind the layer is trained alone. Without it
            :func:`medpriv.defenses.further_recipe`.
        model: any classifier with such a layer, trained already; it is copied. Without it the
            cohort's own target.

    Raises:
        ValueError: the ratio is not above 0, the network has no layer of this name or cannot be cut
            there, or it reads texts.
    """
    if not 0 < ratio < math.inf:
        raise ValueError(f"the ratio of radius and noise is above 0, got {ratio}")
    if model is None:
        model = train_target(cohort, profile=profile, seed=seed, device=device)
    net = start_from(cohort, model, seed).cpu()
    numbers = len(cohort.classes) - 1 if numbers is None else numbers
    require_integer("numbers", numbers, 1)
    recipe = recipe or further_recipe(profile, len(cohort.members))
    x, y = cohort.members.x, cohort.members.y
    ball = put_ball(net, split, x, y, numbers)
    sigma = ball.radius / ratio
    cached_module(
        "defended",
        ("certified split", split, ratio, recipe, seed, x, y, predict(net, x[:4])),
        net,
        lambda _: _fit(net, split, ball, sigma, x, y, recipe, seed=seed, device=device),
        device=device,
    )
    net = to_device(net, pick_device(device)).eval()
    fixed = (ball.centre.cpu().clone(), ball.basis.cpu().clone())
    return CertifiedSplit(net, split, ball.radius, sigma, *fixed)


def _fit(
    net: nn.Module,
    split: str,
    ball: Ball,
    sigma: float,
    x: Tensor,
    y: Tensor,
    recipe: Recipe,
    **options: Any,
) -> None:
    """Train in place: the rest alone, until it bears the noise, and then the whole."""
    first, rest = front(net, split), _Noisy(back(net, split), ball, sigma)
    # Begun together, noise that the rest cannot bear yet teaches it to ignore the code.
    features = predict(to_device(first, pick_device(options["device"])), x)
    fit(rest, features, y, loss=_error, recipe=recipe, what="behind the ball", **options)
    whole = nn.Sequential(first, rest)
    gently = replace(recipe, learning_rate=recipe.learning_rate / 5)
    fit(whole, x, y, loss=_error, recipe=gently, what="certified split", **options)


class _Noisy(nn.Module):
    """Features in a ball → what the rest of a network makes of them under several noises each."""

    def __init__(self, rest: nn.Module, ball: Ball, sigma: float) -> None:
        super().__init__()
        self.rest, self.sigma = rest, sigma
        self.register_buffer("basis", ball.basis.clone())

    def forward(self, features: Tensor) -> Tensor:
        """``(noises n, K)``: all rows under one noise, then under the next."""
        features = features.repeat(_NOISES, *[1] * (features.ndim - 1))
        noise = torch.randn(len(features), self.basis.shape[1], device=features.device)
        noise = self.sigma * noise @ self.basis.T
        return self.rest(features + noise.view_as(features))


def _error(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels.repeat(_NOISES))
