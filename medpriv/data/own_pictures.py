"""Images of the reader's own: an ``.npz``, or a folder of pictures.

What a file does not say is decided once for all its pictures, so that they stay comparable, and the
card tells it. Memory: of a folder the pictures at the size that is asked for, and one as it is
stored; of an ``.npz`` also all of them as float32.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import check_readable, npz_names, read_npz, refuse
from medpriv.data.cohort import Cohort
from medpriv.data.csv_files import read_csv
from medpriv.data.dicom_files import (
    Head,
    files_by_uid,
    is_dicom,
    read_dicom,
    read_head,
    value_range,
)
from medpriv.data.image_files import REMARKS, picture_colours, read_picture, resize, to_images
from medpriv.data.own_cohort import OwnRows, labels_and_patients, own_card, own_cohort
from medpriv.data.own_folder import Listed, find_table, named_files
from medpriv.data.own_roles import names_patients
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
    if "images" not in (names := npz_names(path)) and "train_images" in names:
        from medpriv.data.sources.medmnist_flags import load_file

        return load_file(path, wanted, own_card(path, patient_identity=False))
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
    notes += _dim_note(top)
    return OwnRows(path, x, arrays["labels"], arrays.get("patient"), keys, tuple(notes))


def _read_folder(folder: Path, size: int) -> OwnRows:
    table = find_table(folder)
    frame = read_csv(table, ("label",))
    if "uid" in frame and "file" not in frame:
        listed = Listed(table, frame, files_by_uid(table, frame["uid"]))
    else:
        frame = read_csv(table, ("file", "label"))
        listed = Listed(table, frame, named_files(table, frame["file"]))
    _refuse_overlooked(table, frame)
    labels, patient = labels_and_patients(frame)
    dicom = [is_dicom(file) for file in listed.files]
    if all(dicom):
        x, patient, notes = _read_dicoms(listed, patient, size)
    elif any(dicom):
        raise refuse(
            table,
            f"row {dicom.index(True) + 1} names a DICOM file, row {dicom.index(False) + 1} another",
            "their scales differ: name one kind, or save all pictures as PNG",
        )
    else:
        x, notes = _read_pictures(listed, size)
    keys, notes = row_keys(x.numpy()), (*notes, *listed.notes())
    return OwnRows(table, x, labels, patient, keys, notes, digest=listed.digest())


def _refuse_overlooked(table: Path, frame: pd.DataFrame) -> None:
    """Refuse patients under another name: each picture would count as one."""
    others = [name for name in frame if name not in ("file", "uid", "label", "patient")]
    found = [] if "patient" in frame else [name for name in others if names_patients(frame, name)]
    if found:
        raise refuse(
            table,
            f"the column {found[0]!r} is called like one that names the patients",
            "call it patient if it does, or take it out",
        )


def _read_pictures(listed: Listed, size: int) -> tuple[Tensor, list[str]]:
    """All pictures ``(n, c, size, size)`` in [0, 1], and what the card says of them."""
    colours = np.array([picture_colours(file) for file in listed.files])
    x = _room_for(listed, colours.max(), size)
    sizes, remarks = set(), Counter()
    kind, top = np.empty(len(x), dtype=object), np.empty(len(x))
    for row, file in enumerate(listed.files):
        picture = read_picture(file)
        sizes.add(picture.pixels.shape[:2])
        remarks.update(picture.remarks)
        kind[row] = picture.pixels.dtype.name
        image = _as_image(picture.pixels)
        top[row] = image.max()
        x[row] = resize(image, size)[0]
    scaled = _scale(x, kind, top)
    notes = [f"pictures of {len(sizes)} size(s), each resized to {size}×{size} whatever its shape"]
    notes += [f"{remarks[key]} {text}" for key, text in REMARKS.items() if remarks[key]]
    return x, [*notes, *scaled, *_colour_note(colours), *_dim_note(top)]


def _read_dicoms(
    listed: Listed, patient: NDArray | None, size: int
) -> tuple[Tensor, NDArray, list[str]]:
    """All DICOM pictures in [0, 1], the patient of each, and what the card says of them."""
    table, rows = listed.table, list(enumerate(listed.files, start=1))
    heads = [read_head(table, row, file) for row, file in rows]
    patient, notes = _dicom_patients(listed, heads, patient)
    colours = np.array([head.colours for head in heads])
    x = _room_for(listed, colours.max(), size)
    shown = sum(head.shown for head in heads)
    ranges = [
        value_range(table, row, file)
        for (row, file), head in zip(rows, heads, strict=True)
        if head.colours == 1 and not head.shown
    ]
    span = (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else (0, 1)
    top, sizes = np.empty(len(x)), set()
    for row, file in rows:
        image = read_dicom(table, row, file, span)
        sizes.add(tuple(image.shape[2:]))
        top[row - 1] = image.max()
        x[row - 1] = resize(image, size)[0]
    notes.append(
        f"DICOM of {len(sizes)} size(s), each resized to {size}×{size}, whatever its shape"
    )
    if shown:
        notes.append(f"{shown} picture(s) are as their own window or table shows them")
    if ranges:
        scale = f"one scale, from {span[0]:.6g} to {span[1]:.6g}, the range of them all"
        notes.append(f"{len(ranges)} picture(s) without a window have {scale}")
    return x, patient, [*notes, *_colour_note(colours), *_dim_note(top)]


def _dicom_patients(
    listed: Listed, heads: list[Head], patient: NDArray | None
) -> tuple[NDArray, list[str]]:
    """The patient of each row: as the table says, or else by PatientID; and notes on it.

    Raises:
        DataError: neither says it, or the files are not those of the column ``uid``.
    """
    table, ids = listed.table, np.array([head.patient for head in heads])
    if "uid" in listed.frame:
        for row, (head, uid) in enumerate(zip(heads, listed.frame["uid"], strict=True), start=1):
            if head.uid != uid:
                raise refuse(
                    table, f"file and uid of row {row} are two pictures", "correct one of them"
                )
    if patient is not None:
        pairs = {pair for pair in zip(ids, patient, strict=True) if pair[0]}
        several = sum(count > 1 for count in Counter(name for name, _ in pairs).values())
        return patient, [
            f"the patients are those of {table.name}; {several} PatientID(s) of the files are "
            "under several of them"
        ]
    missing = np.flatnonzero(ids == "")
    if len(missing) or len(set(ids)) == 1:
        wrong = (
            f"{len(missing)} file(s) name no PatientID, the first that of row {missing[0] + 1}"
            if len(missing)
            else "all files have the same PatientID"
        )
        raise refuse(table, wrong, "say who is who in a column patient")
    return ids, ["the patients are told apart by the files' PatientID"]


def _room_for(listed: Listed, colours: int, size: int) -> Tensor:
    """An empty tensor for the pictures of all rows.

    Raises:
        DataError: it would be too large.
    """
    shape = (len(listed.files), int(colours), size, size)
    check_readable(listed.table, int(np.prod(shape, dtype=np.int64)) * 4)
    return torch.empty(shape)


def _as_image(pixels: NDArray) -> Tensor:
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


def _colour_note(colours: NDArray) -> list[str]:
    """What the card says where grey pictures and such in colour are mixed."""
    grey = int((colours == 1).sum())
    if grey in (0, len(colours)):
        return []
    return [f"{grey} grey pictures are mixed with {len(colours) - grey} in colour"]


def _dim_note(top: NDArray) -> list[str]:
    """What the card says of pictures that are dark throughout, by each one's brightest pixel."""
    dim = int((top <= DIM).sum())
    if not dim:
        return []
    return [
        f"{dim} picture(s) reach at most a quarter of the range and are dark throughout: if they "
        "use fewer bits than the others, scale them before"
    ]
