"""The inverse network: a black-box reconstruction of what went into a split model.

He, Zhang & Lee 2019 (ACSAC, doi 10.1145/3359789.3359824), section 4.2: the attacker sends
auxiliary images through the deployed front f1, and fits a network g to undo it::

    g = argmin over g of the mean over auxiliary x of || g(f1(x)) - x ||^2

He needs no weights, only answers. Wu et al. 2020 (arXiv 2011.00177) apply it to mammograms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.deployment import View
from medpriv.models.decoders import PixelShuffleDecoder, solve_linear_path
from medpriv.runtime import check_profile, seeded
from medpriv.training import Recipe, fit, predict


@dataclass(frozen=True)
class InverseNetwork:
    """A fitted inverse g.

    Attributes:
        decoder: the network.
        history: mean squared error on the auxiliary images after each epoch.
        queries: how many auxiliary images were sent through the view to fit it.
    """

    decoder: nn.Module
    history: tuple[float, ...]
    queries: int

    def guess(self, features: Tensor) -> Tensor:
        """Features of n victims, as the view shows them → their images.

        Args:
            features: ``(n, ...)`` float32.

        Returns:
            ``(n, c, h, w)`` float32 in [0, 1], all victims in one call.
        """
        return predict(self.decoder, features, batch_size=256).clamp(0, 1)


def inverse_recipe(profile: str, images: int) -> Recipe:
    """The recipe of an inverse network; its number of steps does not depend on ``images``.

    Few auxiliary images are seen more often, so that a small auxiliary set costs the attacker
    quality and not training time. Batches are small because the number of steps, not of images,
    is what a short training lacks.
    """
    steps = {"smoke": 20, "quick": 500, "full": 20_000}[check_profile(profile)]
    batch_size = min(8, images)
    epochs = max(1, round(steps * batch_size / images))
    return Recipe(epochs=epochs, batch_size=batch_size)


def fit_inverse_network(
    view: View,
    images: Tensor,
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
) -> InverseNetwork:
    """Fit the inverse of a view on auxiliary images.

    The decoder starts from the best linear inverse, solved in closed form, and is then trained
    by gradient descent: most of the answer is there before the first step.

    Each image costs one query. Fitted on the deployed view the attacker is adaptive: whatever
    defense is in place, the inverse learns to undo it as far as it can be undone.

    Args:
        view: exposes ``features``.
        images: ``(m, c, h, w)`` float32 in [0, 1], the attacker's own; h equals w.
        profile: sets the number of steps; see :func:`inverse_recipe`.
        seed: decides initial weights and order.
        device: where to train.
        recipe: instead of the profile's.

    Raises:
        ThreatModelError: the view exposes no features.
        QueryBudgetError: the budget does not cover the auxiliary images.
        ValueError: ``images`` is no batch of square images, or empty.
    """
    view.require("features", "the inverse network")
    if images.ndim != 4 or images.shape[-1] != images.shape[-2] or not len(images):
        raise ValueError(
            f"auxiliary images must have shape (m, c, size, size), got {tuple(images.shape)}"
        )
    features = view(images)
    with seeded(seed, "inverse network"):
        decoder = PixelShuffleDecoder(features, channels=images.shape[1], size=images.shape[-1])
    solve_linear_path(decoder, features, images)
    history = fit(
        decoder,
        features,
        images,
        loss=F.mse_loss,
        recipe=recipe or inverse_recipe(profile, len(images)),
        seed=seed,
        device=device,
        what=f"inverse of {view.split}",
    )
    return InverseNetwork(decoder, tuple(history), len(images))
