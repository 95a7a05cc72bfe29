"""Models that tell people apart, trained on one picture of each."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.models.recognisers import build_recogniser
from medpriv.runtime.profile import RECOGNISER_COPIES
from medpriv.runtime.seeds import torch_rng
from medpriv.training.loop import Recipe, fit

VARIED = 0.3  # exponent and noise of the pictures that a recogniser is trained on
GRAIN = 0.03


def train_recogniser(
    images: Tensor,
    *,
    kind: str = "mlp",
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
) -> nn.Module:
    """A model that tells people apart, trained on one picture of each: row i is class i.

    It sees each picture in varied contrast and with noise, as another exposure would give it.

    Args:
        images: ``(n, c, h, w)`` float32 in [0, 1], one of each person.
        kind: see ``medpriv.models.recognisers.build_recogniser``.
        profile: how often it sees each.
        seed: decides weights, order and variation.
        device: see :func:`medpriv.runtime.device.pick_device`.

    Returns:
        The model in evaluation mode, on ``device``.

    Raises:
        ValueError: there are fewer than two people, or the kind is unknown.
    """
    people = len(images)
    if people < 2:
        raise ValueError(f"a recogniser needs two or more people to tell apart, got {people}")
    copies = RECOGNISER_COPIES.of(profile)
    draw = torch_rng(seed, "varied pictures")
    rows = torch.arange(people).repeat(copies)
    own = images.cpu()[rows]
    power = torch.exp(VARIED * (2 * torch.rand(len(rows), 1, 1, 1, generator=draw) - 1))
    noise = GRAIN * torch.randn(own.shape, generator=draw)
    model = build_recogniser(images.shape[1:], people, kind=kind, seed=seed)
    fit(
        model,
        (own**power + noise).clamp(0, 1),
        rows,
        loss=F.cross_entropy,
        # Small dense layers gain nothing from bfloat16.
        recipe=Recipe(epochs=30, weight_decay=1e-2, exact=kind != "cnn"),
        seed=seed,
        device=device,
        what="recogniser",
    )
    return model
