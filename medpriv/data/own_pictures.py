"""Images of the reader's own: an ``.npz``, or a folder of pictures."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import torch

from medpriv.data.archives import check_readable, read_npz, refuse
from medpriv.data.cohort import Cohort
from medpriv.data.csv_files import read_csv
from medpriv.data.image_files import read_picture, resize, to_images
from medpriv.data.own_cohort import LABELS, OwnRows, labels_and_patients, own_cohort
from medpriv.data.sources import Wanted
from medpriv.data.splitting import row_keys
from medpriv.runtime.hashing import content_hash


def own_images(path: Path, wanted: Wanted) -> Cohort:
    """Images from the reader's ``.npz`` or folder of PNGs; see the module's text."""
    size = wanted.size
    if path.is_dir():
        rows = _read_folder(path, size)
    elif path.suffix.lower() == ".npz":
        arrays = read_npz(path, ("images", "labels"))
        full = to_images(arrays["images"], path)
        x = resize(full, size)
        note = f"images of {full.shape[2]}×{full.shape[3]} pixels, resized to {size}×{size}"
        keys = row_keys(x.numpy())
        rows = OwnRows(path, x, arrays["labels"], arrays.get("patient"), keys, (note,))
    else:
        check_readable(path)
        raise refuse(path, "images come as .npz or as a folder of PNGs", "or use load_records")
    return own_cohort("images", rows, wanted)


def _read_folder(folder: Path, size: int) -> OwnRows:
    table = folder / LABELS
    if not table.is_file():
        raise refuse(
            folder,
            f"the folder has no {LABELS}",
            "write one with the columns file, label and, if known, patient",
        )
    frame = read_csv(table, ("file", "label"))
    pictures, sizes = [], set()
    for row, name in enumerate(frame["file"], start=1):
        inside = PurePosixPath(name.replace("\\", "/"))
        if not name or inside.is_absolute() or ".." in inside.parts:
            raise refuse(
                table, f"row {row} names a file elsewhere", "expected a name in this folder"
            )
        picture = read_picture(folder / inside)
        sizes.add(picture.shape[:2])
        pictures.append(resize(to_images(picture[None], folder / inside), size))
    colours = max(picture.shape[1] for picture in pictures)
    x = torch.cat([picture.expand(-1, colours, -1, -1) for picture in pictures])
    spare = {file.name for file in folder.glob("*.png")} - set(frame["file"])
    notes = (
        f"pictures of {len(sizes)} size(s), each resized to {size}×{size} whatever its shape",
        "transparency was dropped",
        f"{len(spare)} picture(s) that {LABELS} does not name were left out",
        f"the sha256 is over the names and contents of {LABELS} and the pictures in it",
    )
    files = [LABELS, *frame["file"]]
    digest = content_hash([(name, folder / name) for name in files])
    return OwnRows(table, x, *labels_and_patients(frame), row_keys(x.numpy()), notes, digest=digest)
