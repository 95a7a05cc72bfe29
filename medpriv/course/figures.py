"""Figures that chapters share: small images side by side, with scores under them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor


def gallery(images: Tensor, titles: Sequence[str] = (), *, columns: int = 8) -> None:
    """Show images in a grid, row by row, and end the figure.

    Args:
        images: ``(n, c, h, w)`` float32 in [0, 1], c being 1 or 3.
        titles: one short line above each image, or none.
        columns: images a row.
    """
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.3 * columns, (1.5 if titles else 1.32) * rows), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for number, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        _draw(axis, image)
        if titles:
            axis.set_title(titles[number], fontsize=8)
    figure.tight_layout(pad=0.4)
    plt.show()


def strip(images: Mapping[str, Tensor], notes: Mapping[str, str] | None = None) -> None:
    """Show named images, each with its note underneath, and end the figure.

    Up to four stand in one row, more in rows of three, so that a phone can show the labels.

    Args:
        images: ``(c, h, w)`` float32 in [0, 1] by title.
        notes: a line of text by the same titles, such as a score.
    """
    columns = len(images) if len(images) <= 4 else 3
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.1 * columns, 2.65 * rows), squeeze=False)
    for axis in axes.flat[len(images) :]:
        axis.axis("off")
    for axis, (title, image) in zip(axes.flat, images.items(), strict=False):
        _draw(axis, image)
        axis.set_title(title, fontsize=11)
        axis.set_xticks([])
        axis.set_yticks([])
        for side in axis.spines.values():
            side.set_visible(False)
        axis.set_xlabel((notes or {}).get(title, ""), fontsize=11)
    figure.tight_layout(pad=0.5)
    plt.show()


def pixels(image: Tensor) -> np.ndarray:
    """``(c, h, w)`` float32 in [0, 1] → ``(h, w)`` or ``(h, w, 3)`` uint8."""
    array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return array[..., 0] if array.shape[-1] == 1 else array


def _draw(axis: Axes, image: Tensor) -> None:
    # Shown as stored, without stretching each image to its own brightest pixel.
    axis.imshow(pixels(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
