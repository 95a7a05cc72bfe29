"""What is compared, smoothed or kept apart while something is trained or searched for."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

_HALF_WINDOW = 5
_STABILISERS = (0.01**2, 0.03**2)  # Wang et al. 2004, for values from 0 to 1


def structural_loss(guess: Tensor, truth: Tensor) -> Tensor:
    """1 minus SSIM, as a loss: the mean over images, channels and places.

    The same SSIM as :func:`medpriv.metrics.ssim` computes (Wang et al. 2004, eq. 13, Gaussian
    window of sigma 1.5), border left out, and with a gradient. ``metrics.ssim`` stays the judge.

    Args:
        guess: ``(n, c, h, w)`` float32, about [0, 1]; at least 11 pixels high and wide.
        truth: the same.

    Returns:
        A scalar, 0 for equal images.

    Raises:
        ValueError: shapes differ, or an image is smaller than the window.
    """
    if guess.shape != truth.shape or min(guess.shape[-2:]) <= 2 * _HALF_WINDOW:
        raise ValueError(
            f"expected two batches of the same shape, at least {2 * _HALF_WINDOW + 1} pixels wide "
            f"and high, got {tuple(guess.shape)} and {tuple(truth.shape)}"
        )
    high, wide = (_window(side, guess.device) for side in guess.shape[-2:])
    # A Gaussian window over rows and columns is two products with a banded matrix: on small
    # images a third of a convolution's cost.
    maps = torch.cat([guess, truth, guess * guess, truth * truth, guess * truth], dim=1)
    a, b, aa, bb, ab = (high @ maps @ wide.T).chunk(5, dim=1)
    c1, c2 = _STABILISERS
    brightness = (2 * a * b + c1) / (a * a + b * b + c1)
    structure = (2 * (ab - a * b) + c2) / ((aa - a * a) + (bb - b * b) + c2)
    return 1 - (brightness * structure).mean()


@functools.lru_cache(maxsize=16)
def _window(side: int, device: torch.device) -> Tensor:
    """``(side - 10, side)``: row i weighs the places around i + 5."""
    places = torch.arange(-_HALF_WINDOW, _HALF_WINDOW + 1, dtype=torch.float64)
    weights = torch.exp(-(places**2) / (2 * 1.5**2))
    weights = (weights / weights.sum()).float()
    rows = [F.pad(weights, (i, side - len(weights) - i)) for i in range(side - len(weights) + 1)]
    return torch.stack(rows).to(device)


def total_variation(images: Tensor) -> Tensor:
    """How much neighbouring pixels differ, a pixel: absolute differences down and to the right.

    Rudin, Osher & Fatemi 1992, in the anisotropic form, divided by the number of values of an
    image, so that a weight means the same at any size.

    Args:
        images: ``(n, c, h, w)``.

    Returns:
        ``(n,)``, 0 for a constant image.
    """
    down, right = images.diff(dim=2).abs(), images.diff(dim=3).abs()
    return (down.sum((1, 2, 3)) + right.sum((1, 2, 3))) / images[0].numel()


def distance_correlation(x: Tensor, y: Tensor, *, unbiased: bool = True) -> Tensor:
    """How much two sets of numbers about the same rows depend on each other, with a gradient.

    Of Euclidean distances, not of squared ones: those see linear dependence only. The plain form
    (Székely, Rizzo & Bakirov 2007, Annals of Statistics, definition 3) lies in [0, 1], and is near
    1 for many dimensions and few rows even where nothing depends on anything; NoPeek (Vepakomma et
    al. 2020) trains with it. The unbiased form (Székely & Rizzo 2014, U-centred) is what to report.

    Args:
        x: ``(n, ...)`` float; each row is flattened.
        y: ``(n, ...)`` float, the same rows.
        unbiased: the U-centred estimate of the *squared* correlation, about 0 for independence and
            possibly below; else the plain correlation.

    Returns:
        A scalar.

    Raises:
        ValueError: the numbers of rows differ, or there are fewer than four.
    """
    if len(x) != len(y) or len(x) < 4:
        raise ValueError(f"expected as many rows of both, four or more; got {len(x)} and {len(y)}")
    a, b = (_centred_distances(one.flatten(1), unbiased) for one in (x, y))
    both, own, other = (a * b).sum(), a.square().sum(), b.square().sum()
    ratio = both / (own * other).clamp(min=1e-24).sqrt()
    return ratio if unbiased else ratio.clamp(min=1e-12).sqrt()


def _centred_distances(flat: Tensor, unbiased: bool) -> Tensor:
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    n = len(distances)
    near, all_near = (n - 2, (n - 1) * (n - 2)) if unbiased else (n, n * n)
    rows = distances.sum(1, keepdim=True) / near
    result = distances - rows - rows.T + distances.sum() / all_near
    if not unbiased:
        return result
    return result.masked_fill(torch.eye(n, dtype=torch.bool, device=result.device), 0.0)
