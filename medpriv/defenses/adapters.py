"""Embeddings that say less: a small trained map behind a frozen encoder.

An encoder that is shared by many is not trained anew. So the hospital puts a small network, the
adapter, behind it, and trains adapter and head for the task while the adapter's output is to tell
less: less of the embedding (NoPeek), or of given facts (an adversary's opponent). What leaves the
house is the adapter's output, of the same width and of length 1.

It serves the task that it was trained for; whoever uses the embedding for another one loses.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Cohort
from medpriv.defenses.adversarial import Opponent, fit_against
from medpriv.defenses.no_peek import fit_no_peek
from medpriv.defenses.split_training import Halves, check_weight, remembered
from medpriv.deployment import Answer, ViewDefense
from medpriv.models.reports import ReportClassifier
from medpriv.runtime import pick_device, seeded, to_device
from medpriv.training import Recipe, predict, target_recipe

_HIDDEN = 128  # of the opponent


class EmbeddingAdapter(nn.Module):
    """Embeddings ``(n, width)`` → as many numbers, of length 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """``(n, width)`` float32 → the same shape."""
        return F.normalize(self.outer(F.relu(self.inner(rows))), dim=1)


@dataclass(frozen=True)
class Adapted:
    """A trained adapter, and the head that was trained with it.

    Attributes:
        adapter: embeddings to what is shared.
        head: what is shared to logits; with it utility is measured.
    """

    adapter: nn.Module
    head: nn.Module

    def defense(self) -> ViewDefense:
        """The adapter on every embedding that is answered."""

        def wrap(answer: Answer) -> Answer:
            def respond(x: object) -> Tensor:
                rows = answer(x)
                wide = self.adapter.inner.in_features
                if not rows.is_floating_point() or rows.shape[1:] != (wide,):
                    raise ValueError(
                        f"the adapter changes embeddings (n, {wide}), and this view answers "
                        f"{rows.dtype} of shape {tuple(rows.shape)}; deploy with "
                        "expose='embedding'"
                    )
                return predict(self.adapter, rows)

            return respond

        return ViewDefense("adapter", wrap)


def train_adapter(
    cohort: Cohort,
    target: ReportClassifier,
    weight: float,
    *,
    secret: Tensor | None = None,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
) -> Adapted:
    """Train an adapter and a fresh head on a cohort's members.

    Args:
        cohort: of reports.
        target: whose encoder is used; it stays as it is.
        weight: of the privacy term; 0 trains for the task alone.
        secret: ``(members, F)`` bool, the facts that the adapter's output is not to tell, by an
            opponent that is trained along; without it, it is to depend less on the embedding, by
            its distance correlation.
        profile: how long to train, where there is no ``recipe``.
        seed: decides initial weights and the order of rows.
        device: see :func:`medpriv.runtime.pick_device`.
        recipe: without it that of the target model.

    Raises:
        ValueError: the weight is negative, or there is not one row of facts for each member.
        TypeError: the target is no report classifier.
    """
    check_weight(weight, "the privacy term")
    if not isinstance(target, ReportClassifier):
        raise TypeError(
            f"an adapter stands behind the encoder of a ReportClassifier, got "
            f"{type(target).__name__}; train other models at a split, with train_no_peek"
        )
    members = cohort.members
    if secret is not None and (secret.ndim != 2 or len(secret) != len(members)):
        raise ValueError(
            f"expected facts (members, F) of {len(members)} members, got {tuple(secret.shape)}"
        )
    recipe = recipe or target_recipe(cohort, profile)
    where = pick_device(device)
    rows = predict(to_device(target.encoder, where), members.x)
    wide, classes = rows.shape[1], len(cohort.classes)
    with seeded(seed, "adapter"):
        adapter, head = EmbeddingAdapter(wide), _dense(wide, classes)
        opponent = Opponent(_dense(wide, 1 if secret is None else secret.shape[1]))
    net, halves = nn.Sequential(adapter, head), Halves(adapter, head, classes)

    def train() -> None:
        options = {"recipe": recipe, "seed": seed, "device": where}
        if secret is None:
            fit_no_peek(halves, rows, members.y, weight, **options)
            return
        facts = secret.float()
        common = facts.mean(0).clamp(1e-3, 1 - 1e-3).expand_as(facts)
        fit_against(
            halves, opponent, rows, members.y, facts, weight,
            error=F.binary_cross_entropy_with_logits,
            alone=float(F.binary_cross_entropy(common, facts)), **options,
        )  # fmt: skip

    remembered(net, ("adapter", weight, secret, recipe, seed, rows, members.y), train, device)
    to_device(net, where).eval()
    return Adapted(adapter, head)


def _dense(wide: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            dense=nn.Linear(wide, _HIDDEN), relu=nn.ReLU(), output=nn.Linear(_HIDDEN, outputs)
        )
    )
