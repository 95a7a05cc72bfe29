"""The mini-MIAS mammograms, from the official archive or its 128×128 copy."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from medpriv.data.archives import read_npz, read_tar, refuse
from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.data.fetch import Source, locate
from medpriv.data.image_files import resize, resize_mask, to_images
from medpriv.data.sources import Wanted
from medpriv.data.splitting import file_card, split_rows
from medpriv.runtime.resources import json_resource

FILM = 1024  # pixels a side in the archive
SIDE = 128  # pixels a side here: the mean over blocks of 8×8
WEIGHTS = (0.33, 0.42, 0.13, 0.12)
CLASSES = ("benign", "malignant")
CARD = DataCard.of(json_resource(__file__, "mias.json"))

_ID = re.compile(r"mdb\d{3}")
# Image, tissue, kind, severity, and then a place or a note: mdb059 has neither and is left out.
_FINDING = re.compile(r"^(mdb\d{3})[ \t]+[FGD][ \t]+[A-Z]+[ \t]+([BM])[ \t]+\S", re.MULTILINE)

Abnormal = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.str_]]


def load(wanted: Wanted) -> Cohort:
    """The abnormal mini-MIAS mammograms; class 1 is an image with a malignant finding.

    An odd number and the even one after it are the two breasts of one patient. The split is the
    same in all profiles: there are few patients. ``Part.mask`` is from :func:`breast_mask`.
    """
    path, size = locate(SOURCE), wanted.size
    pixels, labels, ids = read_mias(path)
    number = np.array([int(name[3:]) for name in ids])
    images = to_images(pixels, path)
    masks = np.stack([breast_mask(image) for image in images[:, 0].numpy()])
    rows = Part(
        x=resize(images, size),
        y=torch.from_numpy(labels),
        patient=np.array([f"mias-{pair:03d}" for pair in (number + 1) // 2]),
        attributes=pd.DataFrame({"image": ids.astype(str)}),
        mask=resize_mask(torch.from_numpy(masks[:, None]), size),
    )
    card = file_card(
        CARD,
        path,
        "the publisher gives no checksum; the file was checked for its structure",
        f"{len(rows)} images of {rows.patients} patients, "
        f"{len(rows) - rows.patients} of whom have both breasts here",
        f"films averaged to {SIDE}×{SIDE}, then resized to {size}×{size}",
        "the breast's mask is estimated by a threshold; the chest muscle counts as breast",
    )
    return split_rows("images", card, CLASSES, rows, WEIGHTS, wanted)


def read_mias(path: Path) -> Abnormal:
    """Images ``(n, 128, 128)`` uint8, labels ``(n,)`` (1 malignant) and ids, by ascending id.

    Raises:
        DataError: the file is neither of the two layouts, or is damaged.
    """
    pixels, labels, ids = _read_npz(path) if path.suffix == ".npz" else _read_archive(path)
    if not len(ids):
        raise refuse(path, "it holds no abnormal mammogram", "get the official archive")
    if len(set(ids)) < len(ids):
        raise refuse(path, "an image is in it twice", "get the official archive")
    order = np.argsort(ids)
    return pixels[order], labels[order].astype(np.int64), ids[order]


def _read_npz(path: Path) -> Abnormal:
    arrays = read_npz(path, ("images", "labels", "ids"))
    pixels, labels, ids = arrays["images"], arrays["labels"], arrays["ids"]
    expected = (len(ids), SIDE, SIDE)
    if pixels.shape != expected or pixels.dtype != np.uint8 or labels.shape != ids.shape:
        raise refuse(
            path,
            f"images are {pixels.dtype} {pixels.shape}, labels {labels.shape}, ids {ids.shape}",
            f"expected uint8 images (n, {SIDE}, {SIDE}), n labels and n ids",
        )
    if not np.isin(labels, (0, 1)).all() or not all(_ID.fullmatch(str(name)) for name in ids):
        raise refuse(path, "a label or an id is wrong", "expected labels 0 or 1 and ids mdb001 …")
    return pixels, labels, ids


def _read_archive(path: Path) -> Abnormal:
    films: dict[str, NDArray[np.uint8]] = {}
    info = ""
    for name, content in read_tar(path, lambda name: name.lower().endswith((".pgm", "info.txt"))):
        stem = Path(name).stem.lower()
        if stem == "info":
            info = content.decode("latin-1")
        elif _ID.fullmatch(stem):
            films[stem] = _shrink(path, name, content)
    severity: dict[str, int] = {}
    for name, letter in _FINDING.findall(info):
        severity[name] = max(severity.get(name, 0), int(letter == "M"))
    if not severity:
        raise refuse(path, "it has no Info.txt that lists findings", "get the official archive")
    missing = sorted(set(severity) - set(films))
    if missing:
        raise refuse(
            path,
            f"Info.txt lists {len(missing)} image(s) that it lacks, the first {missing[0]}",
            "get the official archive",
        )
    ids = np.array(sorted(severity))
    pixels = np.stack([films[name] for name in ids])
    return pixels, np.array([severity[name] for name in ids]), ids


def _shrink(path: Path, name: str, content: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content)) as film:
            film.load()
            if film.size != (FILM, FILM) or film.mode != "L":
                raise refuse(
                    path,
                    f"{name} is a {film.mode} image of {film.size[0]}×{film.size[1]} pixels",
                    f"expected 8 bits of grey and {FILM}×{FILM}",
                )
            return np.asarray(film.resize((SIDE, SIDE), Image.Resampling.BOX))
    except (UnidentifiedImageError, OSError) as error:
        raise refuse(path, f"{name} cannot be read ({error})", "get the archive again") from error


def breast_mask(image: NDArray[np.float32], threshold: float = 0.08) -> NDArray[np.bool_]:
    """Estimate where the breast is: the largest connected bright area, its holes filled.

    Args:
        image: ``(h, w)`` in [0, 1]; a film's background is nearly black.
        threshold: what counts as bright, after a blur of one pixel.

    Returns:
        ``(h, w)`` bool. Markers that touch the breast stay in; so does the chest muscle.
    """
    from scipy import ndimage

    bright = ndimage.gaussian_filter(image, 1) > threshold
    opened = ndimage.binary_opening(bright, iterations=2)
    areas, found = ndimage.label(opened)
    if not found:
        return bright
    sizes = np.bincount(areas.ravel())[1:]
    return ndimage.binary_fill_holes(areas == 1 + int(sizes.argmax()))


SOURCE = Source(
    name="mias",
    files=("mias_128.npz", "all-mias.tar.gz"),
    url="http://peipa.essex.ac.uk/pix/mias/all-mias.tar.gz",
    page="http://peipa.essex.ac.uk/info/mias.html",
    check=read_mias,
)
