"""From stored pixels to the course's images: ``(n, c, size, size)`` float32 in [0, 1]."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cohort import DataError

FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP")  # others run other programs, or are rare
MAX_PICTURE: Final = 512 * 1024**2  # bytes of one picture as float32
#: What a card says of pictures; a number of them comes before it.
REMARKS: Final = {
    "turned": "picture(s) were turned upright, as their EXIF orientation says",
    "transparent": "picture(s) have transparent pixels: the transparency was dropped, and the "
    "colours stored under it show",
    "frames": "picture(s) have several frames or pages: the first was taken",
}
#: What turns a picture upright, by its EXIF orientation.
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _PHOTOMETRIC, _SAMPLE_FORMAT = 0x0112, 262, 339  # tags of EXIF and TIFF
_SAVE: Final = "save it again as PNG"


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


@dataclass(frozen=True)
class Picture:
    """One picture, upright, as its file stores it.

    Attributes:
        pixels: ``(h, w)`` or ``(h, w, 3)``; uint8, uint16 (of which the file does not say how many
            bits are used), or float32 in [0, 1].
        remarks: what a reader should know of how it was read: keys of :data:`REMARKS`.
    """

    pixels: np.ndarray
    remarks: frozenset[str] = frozenset()


def picture_colours(path: Path) -> int:
    """1 for a grey picture, 3 for one in colour, from the head of the file alone.

    Raises:
        DataError: as :func:`read_picture`, but for what only the pixels show.
    """
    with _opened(path) as picture:
        return 1 if _is_grey(picture.mode) else 3


def read_picture(path: Path) -> Picture:
    """One picture file, turned upright; only its first frame, and without its transparency.

    Raises:
        DataError: it is missing, no file, none of :data:`FORMATS`, damaged, or larger than
            :data:`MAX_PICTURE`; or it stores its pixels in a way that would be misread: colours of
            16 bits, CMYK, signed or unbounded numbers.
    """
    with _opened(path) as picture:
        frames = getattr(picture, "n_frames", 1) > 1
        # Taken out before the pixels are loaded: Pillow turns some TIFFs with them, others not.
        turn = _UPRIGHT.get(picture.getexif().pop(_ORIENTATION, 1))
        picture.load()
        pixels, transparent = _pixels(path, picture if turn is None else picture.transpose(turn))
    found = {"frames": frames, "turned": turn is not None, "transparent": transparent}
    return Picture(pixels, frozenset(remark for remark, so in found.items() if so))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture, its head checked; what goes wrong with it becomes a ``DataError``."""
    if not path.is_file():  # opening a pipe would wait for ever
        wrong = "this is not a file" if path.exists() else "there is no such file"
        raise refuse(path, wrong, "correct its name in labels.csv")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a limit of our own
            # From an open file: one that Pillow maps by its name it turns upright twice.
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
                _check_head(path, picture)
                yield picture
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise refuse(path, f"it is too large ({error})", "save it smaller") from error
    except Exception as error:  # on a damaged file Pillow raises whatever happens to it
        kinds = f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or it is damaged"
        why = kinds if isinstance(error, UnidentifiedImageError) else error
        raise refuse(path, f"this picture cannot be read ({why})", _SAVE) from error


def _check_head(path: Path, picture: Image.Image) -> None:
    """Pass if the pixels of a picture are few enough, and would be read rightly."""
    mode, grey = picture.mode, _is_grey(picture.mode)
    check_picture_size(path, "it", (picture.height, picture.width, 1 if grey else 3))
    if not grey and mode not in ("P", "PA", "RGB", "RGBA"):
        raise refuse(path, f"its colours are stored as {mode}", "save it as RGB or grey, as PNG")
    stored = str(picture.tile[0][3]) if picture.tile else ""
    if picture.format in ("PNG", "TIFF") and ";16" in stored and mode[0] != "I":
        raise refuse(
            path,
            "it has 16 bits for each colour or with transparency, of which 8 would be lost",
            "save it as grey of 16 bits without transparency, or with 8 bits",
        )
    if picture.format == "TIFF":
        tags = picture.tag_v2
        if tags.get(_PHOTOMETRIC) == 0 and mode not in ("1", "L"):
            raise refuse(path, "0 stands for white, which would be misread", _SAVE)
        if 2 in np.ravel(tags.get(_SAMPLE_FORMAT, 1)) and mode[0] != "I":
            raise refuse(path, "its pixels are signed bytes, which would be misread", _SAVE)


def check_picture_size(path: Path, what: str, shape: tuple[int, ...]) -> None:
    """Pass if a picture of this shape has at most :data:`MAX_PICTURE` bytes as float32.

    Raises:
        DataError: it has more.
    """
    size = math.prod(shape) * 4
    if size > MAX_PICTURE:
        raise refuse(
            path,
            f"{what} has {shape[1]}×{shape[0]} pixels, {size / 1024**2:.0f} MiB of memory as "
            f"float32, at most {MAX_PICTURE / 1024**2:.0f} MiB",
            "save it smaller",
        )


def _is_grey(mode: str) -> bool:
    return mode in ("1", "L", "LA", "F") or mode.startswith("I")


def _pixels(path: Path, picture: Image.Image) -> tuple[np.ndarray, bool]:
    """The pixels of a loaded picture, and whether some of them are transparent."""
    key = picture.info.get("transparency")
    if picture.mode == "F":
        pixels = np.array(picture, dtype=np.float32)
        to_images(pixels[None], path)  # which refuses what is not in [0, 1]
        return pixels, False
    if picture.mode.startswith("I"):
        stored = np.asarray(picture)
        low, high = int(stored.min()), int(stored.max())
        if low < 0 or high > 65535:
            raise refuse(
                path,
                f"its pixels are whole numbers from {low} to {high}",
                "expected 0 to 65535: shift and scale all pictures alike, and save them as PNG",
            )
        return stored.astype(np.uint16), isinstance(key, int) and bool((stored == key).any())
    grey = _is_grey(picture.mode)
    if key is None and picture.mode not in ("LA", "PA", "RGBA"):
        return np.asarray(picture.convert("L" if grey else "RGB")), False
    with_alpha = np.asarray(picture.convert("LA" if grey else "RGBA"))
    colours = with_alpha[..., 0] if grey else with_alpha[..., :3]
    return colours, bool((with_alpha[..., -1] < 255).any())
