"""From stored pixels to the course's images: ``(n, c, size, size)`` float32 in [0, 1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from medpriv.data.archives import refuse


def to_images(pixels: np.ndarray, path: Path) -> Tensor:
    """Check an array of images and return it as ``(n, c, h, w)`` float32 in [0, 1].

    Args:
        pixels: ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, c, h, w)`` with c of 1 or 3; uint8, or
            float in [0, 1].
        path: the file they came from, for the errors.

    Raises:
        DataError: shape, type or range is another, or a value is not finite.
    """
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim == 4 and pixels.shape[-1] in (1, 3) and pixels.shape[1] not in (1, 3):
        pixels = np.moveaxis(pixels, -1, 1)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or 0 in pixels.shape:
        raise refuse(
            path,
            f"images has shape {pixels.shape}",
            "expected (n, height, width), (n, height, width, 3) or (n, 3, height, width)",
        )
    if pixels.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise refuse(
            path,
            f"images has type {pixels.dtype}",
            "expected uint8, or float from 0 to 1: divide by the largest possible value",
        )
    bad = ~np.isfinite(pixels).all(axis=(1, 2, 3))
    if bad.any():
        raise refuse(
            path,
            f"{bad.sum()} of {len(bad)} images hold values that are not finite (NaN or infinite), "
            f"the first at position {np.flatnonzero(bad)[0]}",
            "remove or repair them",
        )
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        raise refuse(
            path,
            f"images are floats from {low:.4g} to {high:.4g}",
            "expected 0 to 1: scale them with one factor for all images, or store them as uint8",
        )
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))


def resize(images: Tensor, size: int) -> Tensor:
    """Images ``(n, c, h, w)`` at ``size`` × ``size``, bilinear and antialiased, in [0, 1]."""
    if images.shape[-2:] == (size, size):
        return images
    return _resample(images, size).clamp_(0, 1)


def resize_mask(mask: Tensor, size: int) -> Tensor:
    """Masks ``(n, 1, h, w)`` bool at ``size`` × ``size``: a pixel is inside if most of it is."""
    if mask.shape[-2:] == (size, size):
        return mask
    return _resample(mask.float(), size) >= 0.5


def _resample(images: Tensor, size: int) -> Tensor:
    # Imported here: it takes seconds, and embedded data are made at their size.
    from torchvision.transforms.v2 import functional as transforms

    return transforms.resize(images, [size, size], antialias=True)


def read_picture(path: Path) -> np.ndarray:
    """One picture file as ``(h, w)`` or ``(h, w, 3)`` float32 in [0, 1]; transparency is dropped.

    Raises:
        DataError: it is missing, no picture, or damaged.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            if picture.mode.startswith("I"):  # 16 bits of grey, as scanners write them
                return (np.asarray(picture, dtype=np.float32) / 65535).clip(0, 1)
            grey = picture.mode in ("L", "LA", "1")
            return np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.float32) / 255
    except FileNotFoundError as error:
        raise refuse(path, "there is no such file", "correct its name in labels.csv") from error
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        raise refuse(
            path, f"this picture cannot be read ({error})", "save it again as PNG"
        ) from error
