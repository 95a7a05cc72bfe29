"""Cramér and Rao's bound at a noisy split: of unbiased attackers only, and so no ceiling.

Whoever sees y = f(x) + N(0, σ² I) and reconstructs x *without bias* has a mean squared error per
number of at least 1 / dFIL = d / tr(JᵀJ q / σ²), with J the Jacobian of f at x and d the numbers of
x: the trace of the inverse information is at least d² over its trace (Guo et al. 2022, ICML, arXiv
2201.12383; Maeng et al. 2023, NeurIPS, arXiv 2305.04146, for split networks).

No attacker of this course is unbiased. Whoever knows what patients look like has far less error:
the mean image alone, which asks nothing, is below it wherever noise is large. Maeng et al. go on to
biased attackers by adding the information of a prior (van Trees), from the gradient of its log
density; of pictures only samples are known, and what is learned from these is an estimate. So this
number orders systems and certifies nothing; :mod:`medpriv.bounds.gallery` has what can be computed
whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from medpriv.runtime.arguments import require_integer
from medpriv.runtime.seeds import torch_rng


def least_unbiased_error(
    front: nn.Module,
    x: Tensor,
    sigma: float,
    *,
    answers: int = 1,
    probes: int | None = None,
    seed: int = 0,
) -> Tensor:
    """1 / dFIL of each row: the least mean squared error of an *unbiased* attacker.

    Args:
        front: from rows to features, a row's from this row alone, in evaluation mode.
        x: ``(n, ...)`` float.
        sigma: standard deviation of the noise on each feature.
        answers: q, with fresh noise each.
        probes: random vectors by which the trace is estimated (Hutchinson 1989), one backward pass
            each; without them exact, by a pass for each feature.
        seed: of the probes.

    Returns:
        ``(n,)`` float64, per number of x; infinite where features do not depend on x.

    Raises:
        ValueError: an argument is out of range.
    """
    require_integer("answers", answers, 1)
    if not sigma >= 0:
        raise ValueError(f"sigma is 0 or more, got {sigma}")
    if probes is not None:
        require_integer("probes", probes, 1)
    x = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        features = front(x).flatten(1)
    trace = torch.zeros(len(x), dtype=torch.float64)
    for way in _ways(features, probes, seed):
        slope = torch.autograd.grad(features, x, way, retain_graph=True)[0]
        trace += slope.flatten(1).double().square().sum(1).cpu()
    return x[0].numel() * sigma**2 / answers / (trace if probes is None else trace / probes)


def _ways(features: Tensor, probes: int | None, seed: int) -> Iterator[Tensor]:
    """The vectors v of which Jᵀv is taken: each axis, or signs drawn by a coin."""
    if probes is None:
        for number in range(features.shape[1]):
            way = torch.zeros_like(features)
            way[:, number] = 1
            yield way
        return
    stream = torch_rng(seed, "probes")
    for _ in range(probes):
        signs = torch.randint(2, features.shape, generator=stream) * 2 - 1
        yield signs.to(features)
