"""Models like the target, of the attacker's own, and the attacks that learn from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medpriv.attacks.membership.bavaria import bavaria
from medpriv.attacks.membership.ratios import lira, probability_ratio
from medpriv.attacks.membership.scores import LEAST, losses, true_margin
from medpriv.data.cohort import Part
from medpriv.deployment import View
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import rng


@dataclass(frozen=True)
class Shadows:
    """What the attacker's own models say about his rows, and about the victims.

    Attributes:
        own: ``(N, m, K)`` scores of his m rows by each of N shadow models.
        inside: ``(N, m)`` bool, who was in the training of each.
        y: ``(m,)`` labels of his rows.
        victims: ``(N, n, K)`` scores of the victims, whom none of the models has seen.
    """

    own: Tensor
    inside: Tensor
    y: Tensor
    victims: Tensor

    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """All his rows in all models: ``(N m, K)`` scores, labels, and who was inside."""
        return self.own.flatten(0, 1), self.y.repeat(len(self.own)), self.inside.flatten()


def train_shadows(
    own: Part,
    victims: Tensor | Sequence[str],
    train: Callable[[Part, int], Callable[[Tensor | Sequence[str]], Tensor]],
    *,
    models: int = 8,
    share: float = 0.5,
    seed: int = 0,
) -> Shadows:
    """Train models like the target, each on a random part of the attacker's own patients.

    An attacker who knows the target's defense trains them with it.

    Args:
        own: his rows. A patient is inside or outside with all rows.
        victims: n rows, of members and others; no model is trained on them.
        train: ``train(part, number)`` → a function from rows to ``(n, K)`` scores.
        models: N.
        share: of his patients in each training.
        seed: decides who is in which.

    Raises:
        ValueError: no model, or a share that leaves no patient inside or outside.
    """
    names, inverse = np.unique(own.patient, return_inverse=True)
    size = round(share * len(names))
    if models < 1 or not 0 < size < len(names):
        raise ValueError(
            f"expected one or more models and a share that leaves patients on both sides, got "
            f"{models} models and {size} of {len(names)} patients"
        )
    draw = rng(seed, "shadow models")
    inside = np.zeros((models, len(names)), dtype=bool)
    for row in inside:
        row[draw.permutation(len(names))[:size]] = True
    inside = inside[:, inverse]
    scores, of_victims = [], []
    for number in progress(range(models), "shadow models", unit="model"):
        ask = train(own.take(inside[number]), number)
        scores.append(ask(own.x))
        of_victims.append(ask(victims))
    return Shadows(torch.stack(scores), torch.from_numpy(inside), own.y, torch.stack(of_victims))


def shadow_attack(view: View, x: Tensor | Sequence[str], y: Tensor, shadows: Shadows) -> Tensor:
    """Shokri's score: how likely a member is, as learned from shadow models; a query a row.

    For each class a logistic regression of membership on the sorted scores, the loss and phi.

    Returns:
        ``(n,)`` float64 log-odds.

    Raises:
        ThreatModelError: the view gives no scores.
        ValueError: the shadow models have another number of classes.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    view.require("scores", "the shadow models' attack")
    scores = view(x)
    if scores.shape[1] != shadows.own.shape[2]:
        raise ValueError(
            f"the view scores {scores.shape[1]} classes, the shadow models {shadows.own.shape[2]}"
        )
    known, labels, inside = shadows.rows()
    table, told = _signs(known, labels), _signs(scores, y)
    result = np.zeros(len(y))
    for label in torch.unique(y).tolist():
        there, mine = labels == label, (y == label).numpy()
        if not 0 < int(inside[there].sum()) < int(there.sum()):
            continue  # nobody of this class to learn from: even odds
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1.0))
        model.fit(table[there.numpy()], inside[there].numpy())
        result[mine] = model.decision_function(told[mine])
    return torch.from_numpy(result)


def _signs(scores: Tensor, y: Tensor) -> np.ndarray:
    ordered = scores.double().sort(dim=1, descending=True).values.clamp(min=LEAST).log()
    parts = [ordered.clamp(min=-30), true_margin(scores, y)[:, None], losses(scores, y)[:, None]]
    return torch.cat(parts, dim=1).numpy()


def lira_attack(
    view: View,
    x: Tensor | Sequence[str],
    y: Tensor,
    shadows: Shadows,
    *,
    spread: str = "global",
) -> Tensor:
    """LiRA's score of each row, see :func:`lira`; a query a row.

    Raises:
        ThreatModelError: the view gives no scores.
    """
    view.require("scores", "LiRA")
    return lira(true_margin(view(x), y), _outside(shadows, y), spread=spread)


def rmia_attack(
    view: View, x: Tensor | Sequence[str], y: Tensor, shadows: Shadows, *, a: float = 0.3
) -> Tensor:
    """Offline RMIA's order of the rows, see :func:`probability_ratio`; a query a row.

    Of one target the shares of :func:`rmia` come in this order, so that no query is spent on rows
    of the population.

    Returns:
        ``(n,)`` float64.

    Raises:
        ThreatModelError: the view gives no scores.
    """
    view.require("scores", "RMIA")
    return probability_ratio(true_margin(view(x), y), _outside(shadows, y), a=a)


def bavaria_attack(view: View, x: Tensor | Sequence[str], y: Tensor, shadows: Shadows) -> Tensor:
    """Offline BaVarIA's score of each row, see :func:`bavaria`; a query a row.

    Returns:
        ``(n,)`` float64.

    Raises:
        ThreatModelError: the view gives no scores.
        ValueError: there are fewer than two shadow models.
    """
    view.require("scores", "BaVarIA")
    return bavaria(true_margin(view(x), y), _outside(shadows, y))


def _outside(shadows: Shadows, y: Tensor) -> Tensor:
    """Phi of the victims, ``(N, n)``, by the shadow models, none of which had them."""
    return torch.stack([true_margin(scores, y) for scores in shadows.victims])
