"""NoPeek: features that depend less on the image they were computed from.

Vepakomma, Singh, Gupta & Raskar 2020 (ICDM workshops, arXiv 2008.09161) add to the cross-entropy
the distance correlation of input x and features z = f1(x)::

    loss = CE(f2(z), y) + weight * dCor(x, z)

The trained front is a fixed map. Nothing is drawn when it answers, and nothing is proved.

Their estimate of the correlation is biased: near 1 for many dimensions and few rows, whatever the
features say. Here it is the U-centred one (Székely & Rizzo 2014), which is 0 for independence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Cohort
from medpriv.defenses.split_training import Halves, check_weight, start_from
from medpriv.models.losses import distance_correlation
from medpriv.models.split import back, front
from medpriv.runtime.device import pick_device, to_device
from medpriv.training.checkpoint import cached_module
from medpriv.training.loop import Recipe, fit
from medpriv.training.targets import target_recipe
from medpriv.training.utility_scores import predict

_LEAST_ROWS = 4  # of which a U-centred estimate can be made


def train_no_peek(
    cohort: Cohort,
    split: str,
    weight: float,
    *,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
    model: nn.Module | None = None,
) -> nn.Module:
    """A cohort's target model, trained on its members so that features tell less of the input.

    Args:
        cohort: of images or records.
        split: the layer whose output is to tell less.
        weight: of the distance correlation; 0 is the ordinary training.
        profile: how long to train, where there is no ``recipe``.
        seed: decides the order of rows and, without ``model``, the initial weights.
        device: see :func:`medpriv.runtime.device.pick_device`.
        recipe: without it that of the target model. Batches of a few dozen rows and more make a
            better estimate of the correlation.
        model: any classifier that can be split there, in the place of the cohort's own; untrained,
            or trained before, for which :func:`further_recipe` is enough. It is copied.

    Returns:
        The model in evaluation mode; from the cache where the same training was done before.

    Raises:
        ValueError: the weight is negative, the model has no such layer, it cannot be cut there, or
            it reads texts.
    """
    check_weight(weight, "the distance correlation")
    net = start_from(cohort, model, seed)
    recipe = recipe or target_recipe(cohort, profile)
    x, y = cohort.members.x, cohort.members.y
    halves = Halves(front(net, split), back(net, split), len(cohort.classes))
    cached_module(
        "defended",
        ("no peek", split, weight, recipe, seed, x, y, predict(net, x[:4])),
        net,
        lambda _: fit_no_peek(halves, x, y, weight, recipe=recipe, seed=seed, device=device),
        device=device,
    )
    return to_device(net, pick_device(device)).eval()


def fit_no_peek(
    halves: Halves,
    inputs: Tensor,
    labels: Tensor,
    weight: float,
    *,
    recipe: Recipe,
    seed: int,
    device: str | torch.device = "auto",
) -> list[float]:
    """Train two halves in place; the mean loss of each epoch.

    ``weight`` is that of the distance correlation of ``inputs``, ``(n, ...)`` float32, with the
    features; a last batch of fewer than four rows, too few for it, goes without. ``labels`` are
    ``(n,)`` int64.
    """
    where = pick_device(device)
    x, y = inputs.to(where), labels.to(where)

    def loss(output: Tensor, rows: Tensor) -> Tensor:
        logits, features = halves.parts(output)
        error = F.cross_entropy(logits, y[rows])
        if weight == 0 or len(rows) < _LEAST_ROWS:
            return error
        return error + weight * distance_correlation(x[rows], features)

    return fit(
        halves, inputs, torch.arange(len(inputs)),
        loss=loss, recipe=recipe, seed=seed, device=where, what="NoPeek",
    )  # fmt: skip
