"""Images of the reader's own: an ``.npz``, or a folder of pictures.

What a file does not say is decided once for all its pictures, so that they stay comparable, and the
card tells it. Memory: of a folder the pictures at the size that is asked for, and one as it is
stored; of an ``.npz`` also all of them as float32.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import check_readable, read_npz, refuse
from medpriv.data.cohort import Cohort
from medpriv.data.csv_files import read_csv
from medpriv.data.image_files import REMARKS, picture_colours, read_picture, resize, to_images
from medpriv.data.own_cohort import OwnRows, labels_and_patients, own_cohort
from medpriv.data.own_folder import Listed, find_table, named_files
from medpriv.data.sources import Wanted
from medpriv.data.splitting import row_keys

DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras and scanners write
DIM = 1 / 4  # of the range: what two bits fewer than the others reach


def own_images(path: Path, wanted: Wanted) -> Cohort:
    """Images from the reader's ``.npz`` or folder of pictures; see :mod:`.own_files`.

    Raises:
        DataError: they cannot be read, or would be misread; the message says what to do.
    """
    if path.is_dir():
        return own_cohort("images", _read_folder(path, wanted.size), wanted)
    if path.suffix.lower() != ".npz":
        check_readable(path)
        raise refuse(path, "images come as .npz or as a folder of pictures", "or use load_records")
    return own_cohort("images", _read_arrays(path, wanted.size), wanted)


def _read_arrays(path: Path, size: int) -> OwnRows:
    arrays = read_npz(path, ("images", "labels"))
    full = to_images(arrays["images"], path)
    top = full.amax((1, 2, 3)).numpy()
    note = f"images of {full.shape[2]}×{full.shape[3]} pixels, resized to {size}×{size}"
    notes = [note]
    if arrays["images"].dtype == np.uint8:
        top, factor, scaled = _bytes(top)
        full *= factor
        notes += scaled
    x = resize(full, size)
    keys = row_keys(x.numpy())
    notes += dim_note(top)
    return OwnRows(path, x, arrays["labels"], arrays.get("patient"), keys, tuple(notes))


def _read_folder(folder: Path, size: int) -> OwnRows:
    table = find_table(folder)
    frame = read_csv(table, ("file", "label"))
    listed = Listed(table, frame, named_files(table, frame["file"]))
    x, notes = _read_pictures(listed, size)
    labels, patient = labels_and_patients(frame)
    keys, notes = row_keys(x.numpy()), (*notes, *listed.notes())
    return OwnRows(table, x, labels, patient, keys, notes, digest=listed.digest())


def _read_pictures(listed: Listed, size: int) -> tuple[Tensor, list[str]]:
    """All pictures ``(n, c, size, size)`` in [0, 1], and what the card says of them."""
    colours = np.array([picture_colours(file) for file in listed.files])
    x = room_for(listed, colours.max(), size)
    sizes, remarks = set(), Counter()
    kind, top = np.empty(len(x), dtype=object), np.empty(len(x))
    for row, file in enumerate(listed.files):
        picture = read_picture(file)
        sizes.add(picture.pixels.shape[:2])
        remarks.update(picture.remarks)
        kind[row] = picture.pixels.dtype.name
        image = as_image(picture.pixels)
        top[row] = image.max()
        x[row] = resize(image, size)[0]
    scaled = _scale(x, kind, top)
    notes = [f"pictures of {len(sizes)} size(s), each resized to {size}×{size} whatever its shape"]
    notes += [f"{remarks[key]} {text}" for key, text in REMARKS.items() if remarks[key]]
    return x, [*notes, *scaled, *colour_note(colours), *dim_note(top)]


def room_for(listed: Listed, colours: int, size: int) -> Tensor:
    """An empty tensor for the pictures of all rows.

    Raises:
        DataError: it would be too large.
    """
    shape = (len(listed.files), int(colours), size, size)
    check_readable(listed.table, int(np.prod(shape, dtype=np.int64)) * 4)
    return torch.empty(shape)


def as_image(pixels: NDArray) -> Tensor:
    """One picture ``(h, w)`` or ``(h, w, 3)`` as ``(1, c, h, w)``, full uint8 and uint16 as 1."""
    image = torch.from_numpy(np.atleast_3d(pixels).astype(np.float32)).movedim(-1, 0)[None]
    return image / {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name, 1)


def _scale(x: Tensor, kind: NDArray, top: NDArray) -> list[str]:
    """Scale in place what has 16 bits, or only 0 and 1, and say so; one factor for all of a kind.

    Args:
        x: the pictures, full uint8 and uint16 as 1.
        kind: ``(n,)`` the type of each one's pixels.
        top: ``(n,)`` each one's largest pixel, scaled with it.
    """
    notes = []
    deep, plain = kind == "uint16", kind == "uint8"
    if deep.any():
        largest = round(top[deep].max() * 65535)
        bits = next(bits for bits in DEPTHS if largest < 2**bits)
        # So few levels are the classes of a mask, not what a scanner measures.
        full = 1 if largest <= 1 else 2**bits - 1
        used = f"the largest value of all is {largest}: scaled so that {full} is white"
        notes.append(f"{deep.sum()} picture(s) of 16 bits, of which {bits} are used; {used}")
        x[torch.from_numpy(deep)] *= 65535 / full
        top[deep] *= 65535 / full
    if plain.any():
        top[plain], factor, scaled = _bytes(top[plain])
        if factor != 1:
            x[torch.from_numpy(plain)] *= factor
        notes += scaled
    if len(set(kind)) > 1:
        notes.append(
            "pictures of several depths are mixed ("
            + ", ".join(f"{count} {name}" for name, count in sorted(Counter(kind).items()))
            + ")"
        )
    x.clamp_(0, 1)
    return notes


def _bytes(top: NDArray) -> tuple[NDArray, float, list[str]]:
    """Brightest pixels of 8-bit pictures: scaled, the factor of all pictures, and its note."""
    if not 0 < top.max() < 1.5 / 255:
        return top, 1, []
    return top * 255, 255, ["the pictures hold only 0 and 1: scaled so that 1 is white"]


def colour_note(colours: NDArray) -> list[str]:
    """What the card says where grey pictures and such in colour are mixed."""
    grey = int((colours == 1).sum())
    if grey in (0, len(colours)):
        return []
    return [f"{grey} grey pictures are mixed with {len(colours) - grey} in colour"]


def dim_note(top: NDArray) -> list[str]:
    """What the card says of pictures that are dark throughout, by each one's brightest pixel."""
    dim = int((top <= DIM).sum())
    if not dim:
        return []
    return [
        f"{dim} picture(s) reach at most a quarter of the range and are dark throughout: if they "
        "use fewer bits than the others, scale them before"
    ]
