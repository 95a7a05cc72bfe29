"""Any two-dimensional MedMNIST data set, through the ``medmnist`` package's own list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import torch
from numpy.typing import NDArray

from medpriv.data.archives import read_npz, refuse
from medpriv.data.cells import class_labels
from medpriv.data.cohort import PARTS, Cohort, DataCard, Part
from medpriv.data.fetch import Source, locate
from medpriv.data.image_files import resize, to_images
from medpriv.data.sources import MEDMNIST, Wanted
from medpriv.data.splitting import file_card, first_occurrences, row_keys
from medpriv.runtime.profile import MEDMNIST_IMAGES
from medpriv.runtime.seeds import rng

SPLITS = ("train", "val", "test")
SIDES = ("64", "128", "224")  # of the larger editions; the first has 28 pixels a side
NAMES = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels"))


def load(wanted: Wanted) -> Cohort:
    """A MedMNIST data set in its official split.

    Members and auxiliary are disjoint halves of the training images, victims come from the
    validation images and test from the test images. The source does not say which images belong
    to one patient, so each image counts as a patient and the card says what that costs.
    Images that occur more than once stay once, in the first of training, validation, test.
    A set with many labels an image (chestmnist) becomes: any finding, or none.
    """
    flag = wanted.dataset
    return _cohort(locate(source(flag)), flag, card(flag), wanted)


def load_file(path: Path, wanted: Wanted, own: DataCard) -> Cohort:
    """A reader's own ``.npz`` in MedMNIST's layout, in its official split.

    One that bears the name of a flag, such as ``pneumoniamnist.npz`` or ``pneumoniamnist_128.npz``,
    gives the patients, labels and classes that the flag would give of it. Another gives all its
    images, and classes as they are numbered.

    Args:
        path: the file.
        wanted: as for :func:`load`; its ``dataset`` does not count.
        own: the card of a file of which nothing is known. It stays where the file is not the
            publisher's.
    """
    flag, _, side = path.stem.partition("_")
    if flag not in MEDMNIST or side not in ("", *SIDES):
        return _cohort(path, None, own, wanted)
    wanted = replace(wanted, dataset=flag)
    same = _is_publishers(path, flag, side)
    return _cohort(path, flag, replace(card(flag), name=own.name) if same else own, wanted)


def _cohort(path: Path, flag: str | None, about: DataCard, wanted: Wanted) -> Cohort:
    """The cohort of a file that is to be read as the flag's, if there is one."""
    info = _info(flag) if flag else None
    arrays = read_medmnist(path, info["n_channels"] if info else None)
    pixels = np.concatenate([arrays[f"{split}_images"] for split in SPLITS])
    labels = np.concatenate([arrays[f"{split}_labels"] for split in SPLITS])
    origin = np.repeat(np.arange(3), [len(arrays[f"{split}_images"]) for split in SPLITS])
    unique = first_occurrences(row_keys(pixels))
    pools = _pools(flag or "own file", path, unique, origin, wanted.seed)
    chosen = _draw(pools, wanted, capped=flag is not None)
    y, classes = _classes(labels, info, path)

    def part(rows: NDArray[np.int64]) -> Part:
        split = np.array(SPLITS)[origin[rows]]
        return Part(
            x=resize(to_images(pixels[rows], path), wanted.size),
            y=torch.from_numpy(y[rows]),
            patient=np.array([f"{flag or 'image'}-{row:06d}" for row in rows]),
            attributes=pd.DataFrame({"official_split": split}),
        )

    parts = {name: part(rows) for name, rows in chosen.items()}
    about = file_card(
        about,
        path,
        *([_origin_note(path, flag)] if flag else []),
        f"{len(pixels) - len(unique)} images that repeat another exactly were removed",
        f"images of {pixels.shape[1]}×{pixels.shape[2]} pixels, resized to "
        f"{wanted.size}×{wanted.size}",
        "each image counts as one patient",
        *(["label: any of the findings, or none"] if labels.shape[1] > 1 else []),
    )
    return Cohort("images", about, classes, **parts).check()


def _is_publishers(path: Path, flag: str, side: str) -> bool:
    stated = _info(flag).get(f"MD5_{side}" if side else "MD5")
    return pooch.file_hash(str(path), alg="md5") == stated


def _origin_note(path: Path, flag: str) -> str:
    if any(_is_publishers(path, flag, side) for side in ("", *SIDES)):
        return "the file is the publisher's"
    return "the file's MD5 is not the publisher's: a subset or another edition"


def read_medmnist(path: Path, channels: int | None) -> dict[str, NDArray]:
    """The six arrays of a MedMNIST file, grey or of 3 ``channels``; ``None``: as it comes.

    Raises:
        DataError: one is missing, or shapes and types are not MedMNIST's.
    """
    arrays = read_npz(path, NAMES)
    if channels is None:
        channels = 3 if arrays["train_images"].ndim == 4 else 1
    for split in SPLITS:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        tail = (3,) if channels == 3 else ()
        fits = images.ndim == 3 + len(tail) and images.shape[3:] == tail
        fits = fits and images.shape[1:] == arrays["train_images"].shape[1:]
        if not fits or images.dtype != np.uint8 or labels.ndim != 2 or len(labels) != len(images):
            raise refuse(
                path,
                f"{split}_images are {images.dtype} {images.shape} with labels {labels.shape}",
                f"expected uint8 (n, height, width{', 3' if tail else ''}) with labels (n, k), "
                "all of one size",
            )
        if not np.issubdtype(labels.dtype, np.integer):
            raise refuse(path, f"{split}_labels are {labels.dtype}", "expected integers")
    return arrays


def _pools(
    flag: str, path: Path, unique: NDArray[np.int64], origin: NDArray[np.int64], seed: int
) -> dict[str, NDArray[np.int64]]:
    """The rows that each part may take, shuffled."""
    train, val, test = (
        rng(seed, flag, split).permutation(unique[origin[unique] == number])
        for number, split in enumerate(SPLITS)
    )
    half = (len(train) + 1) // 2
    pools = dict(zip(PARTS, (train[:half], train[half:], val, test), strict=True))
    empty = [name for name, rows in pools.items() if not len(rows)]
    if empty:
        raise refuse(path, f"nothing is left for {', '.join(empty)}", "get the complete file")
    return pools


def _draw(
    pools: dict[str, NDArray[np.int64]], wanted: Wanted, capped: bool
) -> dict[str, NDArray[np.int64]]:
    caps = tuple(len(rows) for rows in pools.values())
    caps = (MEDMNIST_IMAGES.of(wanted.profile) or caps) if capped else caps
    if wanted.patients is not None:
        weights = MEDMNIST_IMAGES.quick
        edges = np.round(np.cumsum((0, *weights)) / sum(weights) * wanted.patients)
        caps = tuple(np.maximum(np.diff(edges), 1).astype(int))
        for (name, rows), cap in zip(pools.items(), caps, strict=True):
            if cap > len(rows):
                raise ValueError(
                    f"patients={wanted.patients} puts {cap} images into {name}, "
                    f"but {wanted.dataset} has {len(rows)}"
                )
    # In the pool's random order: the file's own may be by label (pneumoniamnist's is).
    return {name: rows[:cap] for (name, rows), cap in zip(pools.items(), caps, strict=True)}


def _classes(
    labels: NDArray, info: dict | None, path: Path
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    if info is None and labels.shape[1] == 1:
        return class_labels(labels, path)
    if labels.shape[1] > 1:
        if not np.isin(labels, (0, 1)).all():
            raise refuse(path, "its labels have several columns", "expected 0 and 1 in each")
        return labels.any(axis=1).astype(np.int64), ("no finding", "any finding")
    names = tuple(info["label"][key] for key in sorted(info["label"], key=int))
    y = labels[:, 0].astype(np.int64)
    if y.min() < 0 or y.max() >= len(names):
        raise refuse(path, f"labels run from {y.min()} to {y.max()}", f"expected {len(names)}")
    if len(np.unique(y)) < 2:
        raise refuse(path, f"all labels are {y[0]}", "a model needs at least two classes")
    return y, names


def _info(flag: str) -> dict:
    from medmnist import INFO  # importing it makes a folder in the reader's home

    return INFO[flag]


def source(flag: str) -> Source:
    """Where the file of a MedMNIST data set comes from."""
    info = _info(flag)
    return Source(
        name=flag,
        files=(f"{flag}.npz",),
        url=info["url"],
        page="https://medmnist.com",
        checksum=f"md5:{info['MD5']}",
    )


def card(flag: str) -> DataCard:
    """The card of a MedMNIST data set, from the package's own list: no file is needed."""
    info = _info(flag)
    return DataCard(
        name=flag,
        title=f"{info['python_class']} of the MedMNIST collection",
        origin="MedMNIST v2 (zenodo.org/records/10519652), from public source data sets",
        licence=info["license"],
        consent="as in the source data set; see the MedMNIST paper",
        deidentification="images reduced by the publisher; no patient data with them",
        synthetic=False,
        patient_identity=False,
        citation="Yang et al. 2023, Scientific Data 10:41",
    )
