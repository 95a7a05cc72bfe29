"""Shredder: noise that a finished network has learned to bear.

Mireshghallah et al. 2020 (ASPLOS, arXiv 1905.11814): the network f = f2(f1(x)) stays as it is. At
the split a tensor of noise n is added, and n is learned so that the network still classifies while
the noise is large::

    loss = CE(f2(f1(x) + n), y) - weight * size(n)

Many such tensors are learned from different starts, and one of them is drawn for each query. (The
paper finally draws from distributions that it fits to them.) Here the size is the root mean square
in units of the features', and pushes only up to what was asked for.

A single tensor is a constant shift, the same in every answer: whoever asks may subtract it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.defenses.feature_noise import sampled
from medpriv.defenses.split_training import check_weight
from medpriv.deployment import ViewDefense
from medpriv.runtime.profile import LEARNED_NOISE_STEPS
from medpriv.runtime.seeds import torch_rng
from medpriv.training.loop import Recipe, fit


@dataclass(frozen=True)
class LearnedNoise:
    """A collection of noise tensors.

    Attributes:
        tensors: ``(k, ...)`` float32, each of the shape of one row of features.
        unit: the root mean square of the features that they were learned on.
    """

    tensors: Tensor
    unit: float

    @property
    def sizes(self) -> Tensor:
        """``(k,)`` how large each is: its root mean square in units of the features'."""
        return self.tensors.flatten(1).square().mean(1).sqrt() / self.unit

    def defense(self, *, seed: int = 0) -> ViewDefense:
        """One of them, drawn for each row that is answered."""
        return sampled(self.tensors, seed=seed)


def learn_noise(
    back: nn.Module,
    features: Tensor,
    labels: Tensor,
    *,
    scale: float = 1.0,
    tensors: int = 16,
    weight: float = 1.0,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
) -> LearnedNoise:
    """Learn a collection of noise tensors that a frozen back half can bear.

    Args:
        back: f2, features to logits, such as :func:`medpriv.models.back` gives it, or the head of
            a report classifier; it is copied and stays as it is.
        features: ``(n, ...)`` float32, of the members.
        labels: ``(n,)`` int64.
        scale: the size to which the noise is pushed, and at which it starts: its root mean square
            in units of the features'; 0 gives no noise.
        tensors: how many.
        weight: of the size.
        profile: sets the number of steps.
        seed: decides where the tensors start, and who meets which.
        device: see :func:`medpriv.runtime.device.pick_device`.
        recipe: instead of the profile's.

    Raises:
        ValueError: scale or weight is negative, there is no tensor to learn, or no row.
    """
    check_weight(weight, "the noise's size")
    if not scale >= 0 or tensors < 1:
        raise ValueError(
            f"expected a scale of 0 or more and one or more tensors, got {scale} and {tensors}"
        )
    unit = float(features.square().mean().sqrt()) or 1.0
    shifted = _Shifted(back, torch.Size((tensors, *features.shape[1:])), scale, unit, seed)

    def loss(logits: Tensor, truth: Tensor) -> Tensor:
        size = shifted.noise.flatten(1).square().mean(1).clamp(min=1e-12).sqrt()
        return F.cross_entropy(logits, truth) - weight * size.clamp(max=scale).mean()

    if scale > 0:
        recipe = recipe or noise_recipe(profile, len(labels))
        options = {"loss": loss, "recipe": recipe, "seed": seed, "device": device}
        fit(shifted, features, labels, what="learned noise", **options)
    return LearnedNoise(unit * shifted.noise.detach().cpu().float(), unit)


def noise_recipe(profile: str, rows: int, *, steps: int | None = None) -> Recipe:
    """The recipe of :func:`learn_noise`; arguments as for ``medpriv.defenses.further_recipe``."""
    usual = LEARNED_NOISE_STEPS.of(profile)
    return Recipe.of_steps(usual if steps is None else steps, rows, learning_rate=0.02)


class _Shifted(nn.Module):
    """Features → what a frozen back makes of them with one of the noises added to each row."""

    def __init__(
        self, back: nn.Module, shape: torch.Size, scale: float, unit: float, seed: int
    ) -> None:
        super().__init__()
        self.back = copy.deepcopy(back).requires_grad_(False)
        self.unit = unit
        draws = torch_rng(seed, "learned noise")
        # Laplace, as in the paper: the difference of two exponentials has a variance of 2.
        one, other = (-torch.rand(shape, generator=draws).clamp(min=1e-12).log() for _ in range(2))
        self.noise = nn.Parameter(scale * (one - other) / 2**0.5)

    def train(self, mode: bool = True) -> _Shifted:
        super().train(mode)
        self.back.eval()  # frozen, its statistics too
        return self

    def forward(self, features: Tensor) -> Tensor:
        which = torch.randint(len(self.noise), (len(features),)).to(features.device)
        return self.back(features + self.unit * self.noise[which])
