"""Adversarial training: features from which one opponent, trained along, can tell little.

A min-max game at the split (Edwards & Storkey 2016, ICLR, arXiv 1511.05897). The opponent h learns
to tell a secret s, such as the image, from the features z = f1(x); the model learns its task, and
to make the opponent fail::

    h     = argmin over h of the error of h(z) about s
    f1,f2 = argmin over f of CE(f2(z), y) - weight * min(error / error without z, 1)

A step of the one follows a step of the other. Once the opponent is no better than a guess that
has not seen z, the model has nothing to gain by going on.

The opponent is *one* network at *one* moment. That it fails does not say that all do: judge the
result by a fresh, stronger one that is trained after the model has stopped moving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Cohort
from medpriv.defenses.split_training import Halves, check_weight, start_from
from medpriv.models.decoders import PixelShuffleDecoder
from medpriv.models.split import back, front
from medpriv.runtime.device import autocast, in_chunks, pick_device, to_device
from medpriv.runtime.seeds import seeded
from medpriv.training.checkpoint import cached_module
from medpriv.training.loop import Recipe, fit
from medpriv.training.targets import target_recipe
from medpriv.training.utility_scores import predict

_WIDTH = 32  # channels of the opponent's decoder
_RATE = 2e-3  # of the opponent's Adam


class Opponent(nn.Module):
    """Features → a guess of the secret, on features standardised over the batch.

    A moving front would leave statistics that were taken once behind.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, features: Tensor) -> Tensor:
        """``(n, ...)`` features, two rows or more → ``(n, ...)`` guesses."""
        return self.net(F.batch_norm(features, None, None, training=True))


@dataclass(frozen=True)
class Adversarial:
    """What an adversarial training left.

    Attributes:
        model: the defended model, in evaluation mode.
        opponent: the decoder it was trained against, as it was at the end.
    """

    model: nn.Module
    opponent: Opponent

    def guess(self, features: Tensor) -> Tensor:
        """The opponent's own images of n victims, ``(n, c, h, w)`` in [0, 1], all in one call."""
        device = next(self.opponent.parameters()).device
        rows = max(len(features), 1)  # one chunk: it standardises over those who are there
        return in_chunks(
            self.opponent, features, device=device, batch_size=rows, together=True
        ).clamp(0, 1)


def train_adversarially(
    cohort: Cohort,
    split: str,
    weight: float,
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
    model: nn.Module | None = None,
) -> Adversarial:
    """A cohort's target model, trained on its members against a decoder of its features.

    Args:
        cohort: of images, square.
        split: the layer at which the opponent listens.
        weight: of the opponent's error, in units of the error of the mean image; 0 is the ordinary
            training.
        profile: as for :func:`medpriv.defenses.train_no_peek`, and so are all that follow.
        seed: as there; decides the opponent's initial weights, too.
        device: as there.
        recipe: as there.
        model: as there.

    Returns:
        See :class:`.Adversarial`; from the cache where the same training was done before.

    Raises:
        ValueError: the weight is negative, the model has no such layer or cannot be cut there, or
            the cohort holds no square images.
    """
    check_weight(weight, "the opponent's error")
    x, y = cohort.members.x, cohort.members.y
    if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[-1] != x.shape[-2]:
        raise ValueError(
            f"a decoder needs square images (n, c, size, size), this cohort holds "
            f"{cohort.modality}; for the embeddings of reports use train_adapter"
        )
    net = start_from(cohort, model, seed)
    recipe = recipe or target_recipe(cohort, profile)
    halves = Halves(front(net, split), back(net, split), len(cohort.classes))
    sample = predict(halves.front, x[:64])
    with seeded(seed, "opponent"):
        decoder = PixelShuffleDecoder(sample, channels=x.shape[1], size=x.shape[-1], width=_WIDTH)
    # The opponent standardises by itself.
    decoder.mean.zero_()
    decoder.spread.fill_(1.0)
    opponent = Opponent(decoder)
    alone = F.mse_loss(x, x.mean(0, keepdim=True).expand_as(x))
    cached_module(
        "defended",
        ("adversarial", split, weight, recipe, seed, x, y, predict(net, x[:4])),
        nn.ModuleList([net, opponent]),
        lambda _: fit_against(
            halves, opponent, x, y, x, weight,
            error=F.mse_loss, alone=float(alone), recipe=recipe, seed=seed, device=device,
        ),
        device=device,
    )  # fmt: skip
    where = pick_device(device)
    return Adversarial(to_device(net, where).eval(), to_device(opponent, where))


def fit_against(
    halves: Halves,
    opponent: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    secret: Tensor,
    weight: float,
    *,
    error: Callable[[Tensor, Tensor], Tensor],
    alone: float,
    recipe: Recipe,
    seed: int,
    device: str | torch.device = "auto",
) -> list[float]:
    """Train two halves and their opponent in place, by turns; the model's mean loss of each epoch.

    A last batch of a single row goes without the opponent.

    Args:
        halves: front and back.
        opponent: features → a guess of the secret.
        inputs: ``(n, ...)`` float32.
        labels: ``(n,)`` int64.
        secret: ``(n, ...)``, what the opponent is after.
        weight: of its error.
        error: ``error(guess, secret)`` → the mean over the batch.
        alone: the error of the best guess that has not seen the features, above 0.
        recipe: how to train.
        seed: decides the order of rows.
        device: where.

    Raises:
        ValueError: ``alone`` is not above 0.
    """
    if not alone > 0:
        raise ValueError(f"expected a secret that varies, got an error without features of {alone}")
    where = pick_device(device)
    y, hidden = labels.to(where), to_device(secret, where)
    to_device(opponent, where)
    optimizer = torch.optim.Adam(opponent.parameters(), lr=_RATE)

    def told(features: Tensor, rows: Tensor) -> Tensor:
        with autocast(where, exact=recipe.exact):
            guess = opponent(features)
        return error(guess.float(), hidden[rows])

    def loss(output: Tensor, rows: Tensor) -> Tensor:
        logits, features = halves.parts(output)
        own = F.cross_entropy(logits, y[rows])
        if weight == 0 or len(rows) < 2:
            return own
        # This also clears what the model's own step left on the opponent's weights.
        optimizer.zero_grad(set_to_none=True)
        told(features.detach(), rows).backward()
        optimizer.step()
        return own - weight * (told(features, rows) / alone).clamp(max=1.0)

    return fit(
        halves, inputs, torch.arange(len(inputs)),
        loss=loss, recipe=recipe, seed=seed, device=where, what="adversarial training",
    )  # fmt: skip
