"""The best attacker against named candidates: exact, but for what Monte Carlo leaves open.

Whoever knows the features c_1, ..., c_N of N candidates, the prior and the noise, and sees
y = c_i + N(0, σ² I), guesses best by the largest posterior, and reconstructs with the least mean
squared error by the posterior mean. How well these do is a ceiling, for such a prior. It can be
computed, by drawing patients and noise; a model of the pictures that might be behind the features
is not needed, and would be a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from medpriv.runtime.arguments import require_integer
from medpriv.runtime.seeds import torch_rng

_AT_ONCE = 2_000_000  # distances


@dataclass(frozen=True)
class Best:
    """What the best attacker has against a gallery.

    Attributes:
        success: how often he names the right candidate, an estimate.
        ceiling: the upper end of Clopper and Pearson's one-sided interval for it.
        error: the least mean squared error of a reconstruction, per number of a picture; NaN
            without pictures. No attacker with this prior has less, biased ones included.
        gallery: N.
        draws: of patient and noise, on which these rest.
    """

    success: float
    ceiling: float
    error: float
    gallery: int
    draws: int


def best_in_gallery(
    codes: Tensor,
    sigma: float,
    *,
    answers: int = 1,
    pictures: Tensor | None = None,
    draws: int = 20_000,
    error: float = 1e-5,
    seed: int = 0,
) -> Best:
    """How well the best attacker tells N candidates apart, each as likely before.

    Args:
        codes: ``(N, ...)`` float, the features of each candidate without noise.
        sigma: standard deviation of the noise on each number, above 0.
        answers: q, with fresh noise each.
        pictures: ``(N, ...)`` float, what is reconstructed.
        draws: of patient and noise.
        error: how often the ceiling may be below the truth.
        seed: decides the draws.

    Raises:
        ValueError: an argument is out of range, numbers differ, or one of them is not finite.
    """
    from scipy.stats import beta

    for name, value in (("answers", answers), ("draws", draws)):
        require_integer(name, value, 1)
    if not (sigma > 0 and 0 < error < 1):
        raise ValueError(
            f"expected sigma above 0 and an error between 0 and 1; got {sigma}, {error}"
        )
    if not len(codes) or (pictures is not None and len(pictures) != len(codes)):
        raise ValueError("expected one or more candidates, and a picture for each or none")
    if not all(bool(one.isfinite().all()) for one in (codes, pictures) if one is not None):
        raise ValueError("a code or a picture is not finite; look at what the layer answers")
    places = _span(codes.detach().cpu().double().flatten(1)) * (answers**0.5 / sigma)
    shown = None if pictures is None else pictures.detach().cpu().double().flatten(1)
    stream = torch_rng(seed, "best in gallery")
    hits, squares = 0, 0.0
    for many in _parts(draws, max(1, _AT_ONCE // len(codes))):
        who = torch.randint(len(codes), (many,), generator=stream)
        noise = torch.randn(many, places.shape[1], generator=stream, dtype=torch.float64)
        far = torch.cdist(places[who] + noise, places, compute_mode="donot_use_mm_for_euclid_dist")
        likely = (-far.square() / 2).softmax(1)
        hits += int((likely.argmax(1) == who).sum())
        if shown is not None:
            squares += float((likely @ shown - shown[who]).square().mean(1).sum())
    ceiling = float(beta.ppf(1 - error, hits + 1, draws - hits)) if hits < draws else 1.0
    least = np.nan if shown is None else squares / draws
    return Best(hits / draws, ceiling, least, len(codes), draws)


def _span(codes: Tensor) -> Tensor:
    """The same distances in as few dimensions as there are: noise in the others tells nothing."""
    centred = codes - codes.mean(0)
    if codes.shape[1] <= len(codes):
        return centred
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    return left * values


def _parts(total: int, most: int) -> list[int]:
    return [min(most, total - begun) for begun in range(0, total, most)]
