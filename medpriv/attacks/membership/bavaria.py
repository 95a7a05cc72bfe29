"""BaVarIA: between one variance for all rows and one each (Brännvall 2026, arXiv 2603.11799)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from medpriv.attacks.membership.reference import Side, given, offline, summary


def bavaria(phi: Tensor, out: Tensor) -> Tensor:
    """Offline BaVarIA: the logarithm of Pr[T <= phi] for Student's T of what a model would say.

    A row's mean and variance have a normal-inverse-gamma prior, fitted over all rows, and with the
    N outside scores T is what another model that never saw it would give. The prior's four numbers
    are fitted by moments: those of the variance as in Smyth 2004 (limma), that of the means by how
    far they are apart beyond their own error. One-sided as :func:`lira`, which it tends to with
    many models (``spread="each"``).

    Args:
        phi: ``(..., n)`` of the rows by the target, or by each of many.
        out: ``(N, n)`` the same by N models that never saw them.

    Returns:
        ``(..., n)`` float64, at most 0.

    Raises:
        ValueError: shapes differ, or a variance needs two or more models.
    """
    from scipy.special import stdtr

    phi, side = offline(phi, out)
    freedom, mean, scale = _predictive(side)
    at, freedom = ((phi - mean) / scale).numpy(), freedom.numpy()
    tail = np.maximum(stdtr(freedom, -np.abs(at)), 1e-300)
    return torch.from_numpy(np.where(at > 0, np.log1p(-tail), np.log(tail)))


def bavaria_online(phi: Tensor, reference: Tensor, inside: Tensor) -> Tensor:
    """Online BaVarIA: log of Student's density of phi as of a model that had the row, over another.

    Each side has a prior of its own, see :func:`bavaria`. A side of a row that has a single model,
    or none, takes from its prior what it lacks.

    Args:
        phi: ``(..., n)`` of the rows by the target, or by each of many.
        reference: ``(N, n)`` the same by N models.
        inside: ``(N, n)`` bool, which of them had which row.

    Returns:
        ``(..., n)`` float64.

    Raises:
        ValueError: shapes differ, or fewer than two rows have two models of either side.
    """
    phi, sides = given(phi, reference, inside)
    had, had_not = (
        torch.distributions.StudentT(*_predictive(side)).log_prob(phi) for side in sides
    )
    return had - had_not


def _predictive(side: Side) -> tuple[Tensor, Tensor, Tensor]:
    """Degrees of freedom, mean and scale, ``(n,)`` each, of what one more model would say."""
    number, mean, squares = summary(side)
    centre, strength, shape, rate = _prior(number, mean, squares)
    strong = strength + number
    rate = rate + squares / 2 + strength * number * (mean - centre) ** 2 / (2 * strong)
    shape = shape + number / 2
    scale = (rate * (strong + 1) / (shape * strong)).sqrt()
    return 2 * shape, (strength * centre + number * mean) / strong, scale


def _prior(number: Tensor, mean: Tensor, squares: Tensor) -> tuple[float, float, float, float]:
    """Normal-inverse-gamma over rows: centre, strength in models, shape and rate of the variance.

    Log variances of rows are spread by trigamma(d / 2), with d = number - 1, even if all rows have
    the same variance; what they are spread beyond that is trigamma(shape) (Smyth 2004).
    """
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    several = number >= 2
    if several.sum() < 2:
        raise ValueError("a variance needs two or more reference models of a side, for two rows")
    half = ((number - 1) / 2)[several].numpy()
    variance = (squares / (number - 1))[several].numpy()
    least = max(1e-12, 1e-6 * variance.mean())  # of rows on which all models agree
    logs = np.log(np.maximum(variance, least)) - digamma(half) + np.log(half)
    least_shape, most = 0.01, 1e3  # one variance for all: the Student is as good as normal
    beyond = np.clip(
        logs.var(ddof=1) - polygamma(1, half).mean(), polygamma(1, most), polygamma(1, least_shape)
    )
    shape = brentq(lambda one: polygamma(1, one) - beyond, least_shape, most)
    rate = float(np.exp(logs.mean() + digamma(shape)))
    known = mean[number >= 1].numpy()
    error = float((variance.mean() / number[number >= 1].numpy()).mean())
    apart = max(known.var(ddof=1) - error, 1e-6 * error + 1e-12)
    return float(known.mean()), float(max(variance.mean(), least) / apart), shape, rate
