"""How much more a model's score of a row is like a member's: against models that did not have it.

All take phi (:func:`medpriv.attacks.membership.true_margin`) of n rows by one target or by many at
once, and the same by N reference models. *Offline* these never saw the rows; *online* some had each
of them, and the attacker (or an auditor) knows which. All are larger the more like a member.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import log_ndtr
from torch import Tensor

from medpriv.attacks.membership.reference import Side, given, offline, summary
from medpriv.runtime.arguments import choose


def yeom(phi: Tensor) -> Tensor:
    """Log p of the true class, the negative loss: of the same shape, float64 (Yeom et al. 2018)."""
    return torch.nn.functional.logsigmoid(phi.double())


def lira(phi: Tensor, out: Tensor, *, spread: str = "global") -> Tensor:
    """Offline LiRA: the logarithm of Pr[Z <= phi] for Z ~ N(mean, variance) of the outside scores.

    One-sided: a row that is scored unusually *badly* is no member.

    Args:
        phi: ``(..., n)`` of the rows by the target, or by each of many.
        out: ``(N, n)`` the same by N models that never saw them.
        spread: ``global``, one variance for all rows, which a few models can tell; ``each``, one
            for each row, which needs dozens.

    Returns:
        ``(..., n)`` float64, at most 0.

    Raises:
        ValueError: shapes differ, the spread is unknown, or a variance needs two or more models.
    """
    phi, side = offline(phi, out)
    mean, variance = _normal(side, spread)
    # In logarithms: far out, probabilities round to 1 and would tie.
    return torch.from_numpy(log_ndtr(((phi - mean) / variance.sqrt()).numpy()))


def lira_online(
    phi: Tensor, reference: Tensor, inside: Tensor, *, spread: str = "global"
) -> Tensor:
    """Online LiRA: log of the density of phi among models that had the row, over that among others.

    Args:
        phi: ``(..., n)`` of the rows by the target, or by each of many.
        reference: ``(N, n)`` the same by N models.
        inside: ``(N, n)`` bool, which of them had which row.
        spread: as for :func:`lira`, of each side its own.

    Returns:
        ``(..., n)`` float64.

    Raises:
        ValueError: as for :func:`lira`, on either side.
    """
    phi, sides = given(phi, reference, inside)
    had, had_not = (
        torch.distributions.Normal(mean, variance.sqrt()).log_prob(phi)
        for mean, variance in (_normal(side, spread) for side in sides)
    )
    return had - had_not


def probability_ratio(phi: Tensor, out: Tensor, *, a: float = 0.3) -> Tensor:
    """Log of p(x|θ) / p(x), from models that never saw the row; one is enough.

    p is the probability of the true class, 1 / (1 + exp(-phi)), and p(x) its mean over models half
    of which had the row. Of those that had it nothing is known: theirs is taken to be a p + 1 - a,
    where p is that of the others, so that p(x) = ((1 + a) p + 1 - a) / 2 (arXiv 2312.03262). This
    order of the rows is that of BASE (Lassila et al. 2025, arXiv 2505.24089) and, but for ties,
    that of :func:`rmia`.

    Args:
        phi: ``(..., n)`` of the rows by the target, or by each of many.
        out: ``(N, n)`` the same by N models that never saw them.
        a: from 0, having had a row makes sure of it, to 1, it changes nothing.

    Returns:
        ``(..., n)`` float64.

    Raises:
        ValueError: shapes differ, or ``a`` is out of range.
    """
    if not 0 <= a <= 1:
        raise ValueError(f"expected a from 0 to 1, got {a}")
    phi, side = offline(phi, out)
    expected = _mean_probability(side)
    return yeom(phi) - (((1 + a) * expected + 1 - a) / 2).log()


def probability_ratio_online(phi: Tensor, reference: Tensor, inside: Tensor) -> Tensor:
    """The same from models that had the row and others, each side's mean for one half of p(x).

    Args:
        phi: ``(..., n)`` of the rows by the target, or by each of many.
        reference: ``(N, n)`` the same by N models.
        inside: ``(N, n)`` bool, which of them had which row.

    Returns:
        ``(..., n)`` float64.

    Raises:
        ValueError: shapes differ, or a row is in all models or in none.
    """
    phi, sides = given(phi, reference, inside)
    had, had_not = (_mean_probability(side) for side in sides)
    return yeom(phi) - ((had + had_not) / 2).log()


def rmia(ratio: Tensor, population: Tensor, *, gamma: float = 1.0) -> Tensor:
    """RMIA: the share of other rows z for which LR(x, z) is at least gamma.

    LR(x, z) = [p(x|θ) / p(x)] / [p(z|θ) / p(z)], with z from the population, in no training. So the
    score is a rank among the z: for one target the order of :func:`probability_ratio`, up to ties
    of 1 / Z; of many targets it makes their scores comparable.

    Args:
        ratio: ``(..., n)`` log p(x|θ) / p(x), see :func:`probability_ratio`.
        population: ``(..., Z)`` the same of the z, by the same targets.
        gamma: above 0.

    Returns:
        ``(..., n)`` float64 in [0, 1].

    Raises:
        ValueError: targets differ, there is no z, or gamma is not above 0.
    """
    if ratio.shape[:-1] != population.shape[:-1] or not population.shape[-1:].numel():
        raise ValueError(
            f"expected log ratios (..., n) and of some z (..., Z), by the same targets, got "
            f"{tuple(ratio.shape)} and {tuple(population.shape)}"
        )
    if not gamma > 0:
        raise ValueError(f"expected gamma above 0, got {gamma}")
    ordered = population.double().sort(dim=-1).values.contiguous()
    asked = ratio.double() - float(np.log(gamma))
    return torch.searchsorted(ordered, asked.contiguous(), right=True) / float(ordered.shape[-1])


def of_patients(ratio: Tensor, patient: Sequence[str] | np.ndarray) -> tuple[Tensor, np.ndarray]:
    """One score a patient, of all her rows together: the sum of their logarithms.

    A patient is in a training with all rows or with none, so the rows are one question, and
    likelihood ratios of independent evidence multiply. Rows of one patient are not independent;
    their sum is then surer than it should be, but in the same direction. (Of offline scores,
    logarithms of a probability, the sum is Fisher's.)

    Args:
        ratio: ``(..., n)`` logarithms, one a row.
        patient: ``(n,)`` of whom each row is.

    Returns:
        ``(..., P)`` float64 and the ``(P,)`` names, in their order.

    Raises:
        ValueError: lengths differ.
    """
    names, which = np.unique(np.asarray(patient), return_inverse=True)
    if ratio.shape[-1:] != which.shape:
        raise ValueError(f"expected one patient a row, got {len(which)} for {tuple(ratio.shape)}")
    total = torch.zeros(*ratio.shape[:-1], len(names), dtype=torch.float64)
    return total.index_add_(-1, torch.from_numpy(which), ratio.double()), names


def _mean_probability(side: Side) -> Tensor:
    number, _, _ = summary(side)
    if not (number >= 1).all():
        raise ValueError(
            "a row has no reference model of one side, that had it or that had not: draw the "
            "models' halves so that each row is in half of them, or take the offline form"
        )
    return (side[0].sigmoid() * side[1]).sum(0) / number


def _normal(side: Side, spread: str) -> tuple[Tensor, Tensor]:
    """Mean ``(n,)`` and variance, ``(n,)`` or one for all, of the models that count."""
    choose(spread, ("global", "each"), "spread")
    number, mean, squares = summary(side)
    fewest = 2 if spread == "each" else 1
    if number.min() < fewest or number.max() < 2:
        raise ValueError(
            f"a variance needs two or more reference models of a side, got {int(number.min())} to "
            f"{int(number.max())} a row; probability_ratio needs one"
        )
    if spread == "each":
        return mean, (squares / (number - 1)).clamp(min=1e-12)
    return mean, (squares.sum() / (number - 1).sum()).clamp(min=1e-12)
