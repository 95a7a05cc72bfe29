"""How rough an image is: the slope of its power spectrum.

Normal breast tissue has no favourite scale. Its power falls with frequency as a power law, and
the exponent says how fast: 0 is white noise, larger is smoother.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def spectral_exponent(
    images: Tensor, mask: Tensor | None = None, *, region: int = 32
) -> NDArray[np.float64]:
    """Exponent b of the power spectrum P(f) ~ f^-b inside each mask.

    The square of ``region`` pixels that lies wholly in the mask, nearest to the middle of all
    those that do, is freed of its mean and Hann-windowed; its power is averaged over rings of
    equal frequency, and b is minus the slope of log power on log frequency over rings 2 to
    region/2 - 1, by least squares. Mammograms give about 3 (Burgess, Jacobson & Judy 2001, Med.
    Phys. 28:419; Heine & Velthuizen 2002, Med. Phys. 29:647).

    Args:
        images: ``(n, c, h, w)`` float32; colours are averaged.
        mask: ``(n, 1, h, w)`` bool, where to measure; ``None`` for the whole image.
        region: side of the square in pixels, at least 8.

    Returns:
        ``(n,)`` float64, NaN where no such square fits into the mask, or where the square is of
        one grey.

    Raises:
        ValueError: the shapes do not match, or the images are smaller than the region.
    """
    grey = images.mean(dim=1).numpy()
    inside = np.ones(grey.shape, bool) if mask is None else mask[:, 0].numpy()
    if grey.shape != inside.shape or not 8 <= region <= min(grey.shape[1:]):
        raise ValueError(
            f"expected images and masks of one size, at least region={region} pixels a side "
            f"(and that at least 8), got {grey.shape} and {inside.shape}; pass larger images or "
            f"a smaller region"
        )
    window = np.hanning(region)[:, None] * np.hanning(region)
    frequency = np.fft.fftfreq(region, 1 / region)
    ring = np.rint(np.hypot(frequency[:, None], frequency)).astype(np.int64).ravel()
    bins = np.arange(2, region // 2)
    exponent = np.full(len(grey), np.nan)
    for i, corner in enumerate(_inner_squares(inside, region)):
        if corner is None:
            continue
        row, column = corner
        patch = grey[i, row : row + region, column : column + region].astype(np.float64)
        power = np.abs(np.fft.fft2((patch - patch.mean()) * window)).ravel() ** 2
        radial = np.bincount(ring, power)[bins] / np.bincount(ring)[bins]
        if (radial > 0).all():
            exponent[i] = -np.polyfit(np.log(bins), np.log(radial), 1)[0]
    return exponent


def _inner_squares(inside: NDArray[np.bool_], region: int) -> list[tuple[int, int] | None]:
    """Top-left corner of the most central square inside each mask, None where none fits."""
    total = np.pad(inside.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    strips = total[:, region:] - total[:, :-region]
    covered = strips[..., region:] - strips[..., :-region]
    corners: list[tuple[int, int] | None] = []
    for fits in map(np.argwhere, covered == region**2):
        if not len(fits):
            corners.append(None)
            continue
        nearest = ((fits - fits.mean(0)) ** 2).sum(1).argmin()
        corners.append((int(fits[nearest, 0]), int(fits[nearest, 1])))
    return corners
