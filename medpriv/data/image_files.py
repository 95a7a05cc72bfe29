"""From stored pixels to the course's images: ``(n, c, size, size)`` float32 in [0, 1]."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cohort import DataError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")  # others run other programs, or are no pictures of ours
MAX_PICTURE = 512 * 1024**2  # bytes of one picture as float32
#: What a card says of pictures; a number of them comes before it.
REMARKS = {
    "turned": "picture(s) were turned upright, as their EXIF orientation says",
    "transparent": "picture(s) have transparent pixels: the transparency was dropped, and the "
    "colours stored under it show",
    "frames": "picture(s) have several frames or pages: the first was taken",
}
#: What turns a picture upright, by its EXIF orientation.
UPRIGHT = dict(
    zip(
        range(2, 9),
        [
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ],
        strict=True,
    )
)
ORIENTATION, PHOTOMETRIC, SAMPLE_FORMAT = 0x0112, 262, 339  # tags of EXIF and TIFF


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
        remarks = {"frames"} if getattr(picture, "n_frames", 1) > 1 else set()
        # Taken out before the pixels are loaded: Pillow turns some TIFFs with them, others not.
        turn = UPRIGHT.get(picture.getexif().pop(ORIENTATION, 1))
        picture.load()
        remarks |= set() if turn is None else {"turned"}
        upright = picture if turn is None else picture.transpose(turn)
        pixels, transparent = _pixels(path, upright)
        remarks |= {"transparent"} if transparent else set()
    return Picture(pixels, frozenset(remarks))


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture, its head checked; what goes wrong with it becomes a ``DataError``."""
    if not path.exists():
        raise refuse(path, "there is no such file", "correct its name in labels.csv")
    if not path.is_file():  # opening a pipe would wait for ever
        raise refuse(path, "this is not a file", "correct its name in labels.csv")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # a limit of our own
            # From an open file: one that Pillow maps by its name it turns upright twice.
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
                _check_head(path, picture)
                yield picture
    except DataError:
        raise
    except UnidentifiedImageError as error:
        kinds = f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or it is damaged"
        raise refuse(
            path, f"this picture cannot be read ({kinds})", "save it again as PNG"
        ) from error
    except Image.DecompressionBombError as error:
        raise refuse(path, f"it is too large ({error})", "save it smaller") from error
    except Exception as error:  # on a damaged file Pillow raises whatever happens to it
        raise refuse(
            path, f"this picture cannot be read ({error})", "save it again as PNG"
        ) from error


def _check_head(path: Path, picture: Image.Image) -> None:
    colours = 1 if _is_grey(picture.mode) else 3
    check_picture_size(path, "it", (picture.height, picture.width, colours))
    if not _is_grey(picture.mode) and picture.mode not in ("P", "PA", "RGB", "RGBA"):
        raise refuse(
            path, f"its colours are stored as {picture.mode}", "save it as RGB or grey, as PNG"
        )
    stored = str(picture.tile[0][3]) if picture.tile else ""
    if picture.format in ("PNG", "TIFF") and ";16" in stored and picture.mode[0] != "I":
        raise refuse(
            path,
            "it has 16 bits for each colour or with transparency, of which 8 would be lost",
            "save it as grey of 16 bits without transparency, or with 8 bits",
        )
    if picture.format == "TIFF":
        white_is_0 = picture.tag_v2.get(PHOTOMETRIC) == 0 and picture.mode not in ("1", "L")
        signed = 2 in np.ravel(picture.tag_v2.get(SAMPLE_FORMAT, 1)) and picture.mode[0] != "I"
        if white_is_0 or signed:
            what = "0 stands for white" if white_is_0 else "its pixels are signed bytes"
            raise refuse(path, f"{what}, which would be misread", "save it again as PNG")


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
        return _checked_floats(path, np.array(picture, dtype=np.float32)), False
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


def _checked_floats(path: Path, pixels: np.ndarray) -> np.ndarray:
    to_images(pixels[None], path)
    return pixels
