"""Embeddings that say less: a small trained map behind a frozen encoder.

An encoder that is shared by many is not trained anew. So the hospital puts a small network, the
adapter, behind it, and trains adapter and head for the task while the adapter's output is to tell
less: less of the embedding (NoPeek), or of given facts (an adversary's opponent). What leaves the
house is the adapter's output, of the same width and of length 1.

It serves the task that it was trained for; whoever uses the embedding for another one loses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.defenses.adversarial import Opponent, fit_against
from medpriv.defenses.answers import on_answers
from medpriv.defenses.no_peek import fit_no_peek
from medpriv.defenses.split_training import Halves, check_weight
from medpriv.deployment import ViewDefense
from medpriv.models.reports import small_head
from medpriv.runtime.device import pick_device, to_device
from medpriv.runtime.profile import ADAPTER_EPOCHS
from medpriv.runtime.seeds import seeded
from medpriv.training.checkpoint import cached_module
from medpriv.training.loop import Recipe
from medpriv.training.utility_scores import predict


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
        wide = self.adapter.inner.in_features

        def fits(rows: Tensor) -> bool:
            return rows.is_floating_point() and rows.shape[1:] == (wide,)

        return on_answers(
            "adapter", lambda: partial(predict, self.adapter), fits,
            f"embeddings (n, {wide})", "expose='embedding'",
        )  # fmt: skip


def train_adapter(
    embeddings: Tensor,
    labels: Tensor,
    weight: float,
    *,
    secret: Tensor | None = None,
    classes: int = 2,
    profile: str = "quick",
    seed: int = 0,
    device: str | torch.device = "auto",
    recipe: Recipe | None = None,
) -> Adapted:
    """Train an adapter and a fresh head on the members' embeddings.

    Args:
        embeddings: ``(n, d)`` float32, the members', as the undefended encoder gives them.
        labels: ``(n,)`` int64, of the task.
        weight: of the privacy term; 0 trains for the task alone.
        secret: ``(n, F)`` bool, the facts that the adapter's output is not to tell, by an opponent
            that is trained along; without it, it is to depend less on the embedding, by its
            distance correlation.
        classes: of the task.
        profile: how long to train, where there is no ``recipe``.
        seed: decides initial weights and the order of rows.
        device: see :func:`medpriv.runtime.device.pick_device`.
        recipe: in the place of the usual one.

    Raises:
        ValueError: the weight is negative, embeddings, labels and facts do not belong together, or
            no fact varies.
    """
    check_weight(weight, "the privacy term")
    wrong = secret is not None and (secret.ndim != 2 or len(secret) != len(embeddings))
    if embeddings.ndim != 2 or len(labels) != len(embeddings) or wrong:
        raise ValueError(
            f"expected embeddings (n, d), labels (n,) and facts (n, F), got "
            f"{tuple(embeddings.shape)}, {tuple(labels.shape)} and "
            f"{None if secret is None else tuple(secret.shape)}"
        )
    # Small dense layers gain nothing from bfloat16.
    usual = Recipe(ADAPTER_EPOCHS.of(profile), batch_size=128, weight_decay=1e-3, exact=True)
    recipe = recipe or usual
    where, wide = pick_device(device), embeddings.shape[1]
    with seeded(seed, "adapter"):
        adapter, head = EmbeddingAdapter(wide), small_head(wide, classes)
        opponent = Opponent(small_head(wide, 1 if secret is None else secret.shape[1]))
    net, halves = nn.Sequential(adapter, head), Halves(adapter, head, classes)

    def train(_: Path) -> None:
        options = {"recipe": recipe, "seed": seed, "device": where}
        if secret is None:
            fit_no_peek(halves, embeddings, labels, weight, **options)
            return
        facts = secret.float()
        common = facts.mean(0).clamp(1e-3, 1 - 1e-3).expand_as(facts)
        fit_against(
            halves, opponent, embeddings, labels, facts, weight,
            error=F.binary_cross_entropy_with_logits,
            alone=float(F.binary_cross_entropy(common, facts)), **options,
        )  # fmt: skip

    parts = ("adapter", weight, secret, recipe, seed, embeddings, labels)
    cached_module("defended", parts, net, train, device=device)
    to_device(net, where).eval()
    return Adapted(adapter, head)
