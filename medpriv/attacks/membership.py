"""Was this patient's row in the training data? From the scores that a model gives about it.

- Loss threshold (Yeom et al. 2018, CSF): a member's loss tends to be lower.
- Shadow models (Shokri et al. 2017, S&P): the attacker trains models like the target on his own
  data, knows who was in each, and learns to tell the two from their scores.
- Offline LiRA (Carlini et al. 2022, S&P): shadow models that never saw the victim say how such a
  row is usually scored; a member is scored unusually well. The test is one-sided: a row that is
  scored unusually *badly* is no member.

All of them score rows, the larger the more like a member. The scale of the first and the last is
phi = log p_y - log of the sum of the other p_c, which is nearly normal where losses are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import log_ndtr
from torch import Tensor

from medpriv.data.cohort import Part, class_numbers
from medpriv.deployment import View
from medpriv.runtime.arguments import choose
from medpriv.runtime.progress import progress
from medpriv.runtime.seeds import rng

_LEAST = 1e-45  # a softmax in float32 may end at 0


def true_margin(scores: Tensor, y: Tensor) -> Tensor:
    """Phi = log p_y - log sum of the other p_c: ``(n, K)`` scores, ``(n,)`` labels → ``(n,)``.

    Float64, finite. Of logits' softmax this is exact also where p_y rounds to 1, since the others
    are added up instead of being subtracted from 1 (Carlini et al. 2022, section VI-A).

    Raises:
        ValueError: the scores are no ``(n, K)`` with K of 2 or more, or lengths differ.
    """
    y = _labels(scores, y)
    scores = scores.double()
    own = scores.gather(1, y[:, None])[:, 0]
    others = scores.scatter(1, y[:, None], 0.0).sum(1)
    return own.clamp(min=_LEAST).log() - others.clamp(min=_LEAST).log()


def losses(scores: Tensor, y: Tensor) -> Tensor:
    """The cross-entropy of each row, in nats: ``(n, K)`` scores, ``(n,)`` labels → ``(n,)``.

    Where p_y rounds to 1 it is what the other scores leave, so that sure answers do not all tie.

    Raises:
        ValueError: as for :func:`true_margin`.
    """
    y = _labels(scores, y)
    scores = scores.double()
    own = scores.gather(1, y[:, None])[:, 0]
    others = scores.scatter(1, y[:, None], 0.0).sum(1)
    return torch.where(own == 1, others.log1p(), -own.clamp(min=_LEAST).log())


def _labels(scores: Tensor, y: Tensor) -> Tensor:
    y = class_numbers(y)
    fits = scores.ndim == 2 and scores.shape[1] >= 2 and y.shape == scores.shape[:1]
    if not fits or (len(y) and not 0 <= int(y.min()) <= int(y.max()) < scores.shape[1]):
        raise ValueError(
            f"expected scores (n, K) of 2 or more classes and n labels from 0 to K - 1, got "
            f"{tuple(scores.shape)} and {tuple(y.shape)}"
        )
    return y


def best_threshold(scores: np.ndarray, member: np.ndarray) -> float:
    """Where to cut a score so that members and others are told apart best on these rows.

    Args:
        scores: ``(n,)``, of rows whose membership the attacker knows: of his shadow models.
        member: ``(n,)`` bool.

    Returns:
        The threshold of largest advantage; whoever scores above it is called a member.

    Raises:
        ValueError: lengths differ, or members or others are missing.
    """
    scores, member = np.asarray(scores, dtype=float), np.asarray(member, dtype=bool)
    if scores.shape != member.shape or member.all() or not member.any():
        raise ValueError("expected scores of members and of others; one of them is missing")
    if np.isnan(scores).any():
        raise ValueError("a score is NaN, so that it has no rank; look at the model")
    order = np.argsort(-scores, kind="stable")
    gain = np.cumsum(np.where(member[order], 1 / member.sum(), -1 / (~member).sum()))
    last = np.concatenate([np.diff(-scores[order]) > 0, [True]])  # ties fall on one side
    place = int(np.where(last, gain, -np.inf).argmax())
    if place + 1 == len(scores):
        return -np.inf
    return float(scores[order][place : place + 2].mean())


def middle_threshold(others: np.ndarray) -> float:
    """Where to cut a score so that as nearly half of the others as can be are called members.

    An attacker who knows no member can choose the rate of false alarms, and no more. Where many
    score alike, as by a label, half cannot be had: they are called members together, or none of
    them is. By a label alone whoever is classified rightly is then called a member, which has the
    difference of the two accuracies for its advantage (Yeom et al. 2018, section 3.2).

    Args:
        others: ``(m,)`` scores of rows who are no members.

    Returns:
        The threshold; whoever scores above it is called a member.

    Raises:
        ValueError: no score, or one that is NaN.
    """
    others = np.asarray(others, dtype=float)
    if others.ndim != 1 or not len(others) or np.isnan(others).any():
        raise ValueError("expected a score of each of some others, none of them NaN")
    middle = np.sort(others)[(len(others) - 1) // 2]
    above, with_ties = (others > middle).sum(), (others >= middle).sum()
    if abs(2 * above - len(others)) <= abs(2 * with_ties - len(others)):
        return float(middle)
    return float(np.nextafter(middle, -np.inf))


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


def loss_attack(view: View, x: Tensor | Sequence[str], y: Tensor) -> Tensor:
    """Yeom's score: the negative loss of each row, ``(n,)`` float64; a query a row.

    Raises:
        ThreatModelError: the view gives no scores.
    """
    view.require("scores", "the loss threshold")
    return -losses(view(x), y)


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
    ordered = scores.double().sort(dim=1, descending=True).values.clamp(min=_LEAST).log()
    parts = [ordered.clamp(min=-30), true_margin(scores, y)[:, None], losses(scores, y)[:, None]]
    return torch.cat(parts, dim=1).numpy()


def lira(phi: Tensor, out: Tensor, *, spread: str = "global") -> Tensor:
    """Offline LiRA: the logarithm of Pr[Z <= phi] for Z ~ N(mean, variance) of the outside scores.

    Args:
        phi: ``(n,)`` :func:`true_margin` of the victims by the target.
        out: ``(N, n)`` the same by N shadow models that never saw them.
        spread: ``global``, one variance for all victims, which a few models can tell; ``each``,
            one for each victim, which needs dozens.

    Returns:
        ``(n,)`` float64, at most 0, the larger the more like a member.

    Raises:
        ValueError: shapes differ, the spread is unknown, or a variance needs two or more models.
    """
    if out.ndim != 2 or phi.shape != out.shape[1:]:
        raise ValueError(
            f"expected phi (n,) and out (N, n), got {tuple(phi.shape)} and {tuple(out.shape)}"
        )
    choose(spread, ("global", "each"), "spread")
    if len(out) < 2:
        raise ValueError(f"a variance needs two or more shadow models, got {len(out)}")
    out, phi = out.double(), phi.double()
    variance = out.var(0)
    wide = (variance.mean() if spread == "global" else variance).clamp(min=1e-12).sqrt()
    # In logarithms: far out, probabilities round to 1 and would tie.
    return torch.from_numpy(log_ndtr(((phi - out.mean(0)) / wide).numpy()))


def lira_attack(
    view: View,
    x: Tensor | Sequence[str],
    y: Tensor,
    shadows: Shadows,
    *,
    spread: str = "global",
) -> Tensor:
    """LiRA's score of each row, see ``lira``; a query a row.

    Raises:
        ThreatModelError: the view gives no scores.
    """
    view.require("scores", "LiRA")
    out = torch.stack([true_margin(scores, y) for scores in shadows.victims])
    return lira(true_margin(view(x), y), out, spread=spread)
