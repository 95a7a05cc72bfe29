"""The inverse network: a black-box reconstruction of what went into a split model.

He, Zhang & Lee 2019 (ACSAC, doi 10.1145/3359789.3359824), section 5: the attacker sends
auxiliary images through the deployed front f1, and fits a network g to undo it::

    g = argmin over g of the mean over auxiliary x of || g(f1(x)) - x ||^2

He needs no weights, only answers. Wu et al. 2020 (arXiv 2011.00177; by a public summary) apply it
to mammograms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.attacks.images.augmentation import moved_copies
from medpriv.attacks.query_plan import planned_queries
from medpriv.deployment import View
from medpriv.models.decoders import PixelShuffleDecoder, as_grid, solve_linear_path
from medpriv.models.losses import structural_loss
from medpriv.runtime.profile import INVERSE_QUERIES, INVERSE_RATE, INVERSE_STEPS
from medpriv.runtime.seeds import seeded
from medpriv.training.loop import Recipe, fit
from medpriv.training.utility_scores import predict

_STRUCTURE = 0.05  # weight of the structural loss


@dataclass(frozen=True)
class InverseNetwork:
    """A fitted inverse g.

    Attributes:
        decoder: the network.
        history: the mean loss on the images sent, for each epoch.
        queries: how many images were sent through the view to fit it.
    """

    decoder: nn.Module
    history: tuple[float, ...]
    queries: int

    def guess(self, features: Tensor) -> Tensor:
        """``(n, ...)`` float32, as the view shows them → ``(n, c, h, w)`` float32 in [0, 1]."""
        return predict(self.decoder, as_grid(features), batch_size=256).clamp(0, 1)


def inverse_recipe(profile: str, images: int) -> Recipe:
    """The recipe of an inverse network; its number of steps does not depend on ``images``.

    Batches are small because the number of steps, not of images, is what a short training lacks.
    ``images`` is how many are trained on, moved copies included.
    """
    steps = INVERSE_STEPS.of(profile)
    # Adam's first steps have the size of the learning rate whatever the slope: twenty of the usual
    # ones would spoil the linear start, and leave no time to make it good.
    rate = INVERSE_RATE.of(profile)
    return Recipe.of_steps(steps, images, batch_size=8, learning_rate=rate)


def fit_inverse_network(
    view: View,
    images: Tensor,
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    queries: int | None = None,
    recipe: Recipe | None = None,
) -> InverseNetwork:
    """Fit the inverse of a view on auxiliary images.

    Three things are added to the paper's attack. The decoder starts from the best linear inverse,
    solved in closed form. The attacker also sends moved copies of his images: a few dozen images
    would be learned by heart. And the loss is the squared error plus 0.05 times (1 - SSIM), which
    keeps texture that the squared error alone averages away; images of fewer than 11 pixels are
    too small for that.

    Each image sent costs one query. Fitted on the deployed view the attacker is adaptive: the
    inverse learns to undo a defense as far as it can be undone.

    Args:
        view: exposes ``features``.
        images: ``(m, c, h, w)`` float32 in [0, 1], the attacker's own; h equals w.
        profile: sets the number of steps and copies; see :func:`inverse_recipe`.
        seed: decides initial weights, copies and order.
        device: where to train.
        queries: how many images to send in all, at least ``m``; those beyond ``m`` are moved
            copies. Without it, what the profile and the view's budget allow.
        recipe: instead of the profile's.

    Raises:
        ThreatModelError: the view exposes no features.
        QueryBudgetError: the budget does not cover the auxiliary images.
        ValueError: there are no images, they are not square, or ``queries`` does not cover them.
    """
    view.require("features", "the inverse network")
    if images.ndim != 4 or images.shape[-1] != images.shape[-2] or not len(images):
        raise ValueError(
            f"auxiliary images must have shape (m, c, size, size), got {tuple(images.shape)}"
        )
    usual = INVERSE_QUERIES.of(profile)
    queries = planned_queries(view, len(images), queries, usual=usual, what="auxiliary images")
    copies = moved_copies(images, queries - len(images), seed=seed)
    sent = torch.cat([images.cpu(), copies])
    features = view(sent)
    with seeded(seed, "inverse network"):
        decoder = PixelShuffleDecoder(features, channels=images.shape[1], size=images.shape[-1])
    solve_linear_path(decoder, features, sent)

    def loss(guess: Tensor, truth: Tensor) -> Tensor:
        error = F.mse_loss(guess, truth)
        if images.shape[-1] < 11:
            return error
        return error + _STRUCTURE * structural_loss(guess, truth)

    history = fit(
        decoder,
        features,
        sent,
        loss=loss,
        recipe=recipe or inverse_recipe(profile, len(sent)),
        seed=seed,
        device=device,
        what=f"inverse of {view.split}",
    )
    return InverseNetwork(decoder, tuple(history), len(sent))
