"""Images of the reader's own: an ``.npz``, or a folder of pictures.

What a file does not say is decided once for all its pictures, so that they stay comparable, and the
card tells it. Memory: of a folder the pictures at the size that is asked for, and one as it is
stored; of an ``.npz`` also all of them as float32.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import check_readable, npz_names, read_npz, refuse
from medpriv.data.cells import Cells, cells_of, forbid_rows
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
from medpriv.data.own_cohort import OwnRows, own_card, own_cohort
from medpriv.data.own_folder import Listed, find_table, named_files
from medpriv.data.own_roles import names_patients
from medpriv.data.sources import Wanted
from medpriv.data.splitting import row_keys

_DEPTHS: Final = (8, 10, 12, 14, 16)  # bits that cameras and scanners write
_DIM: Final = 1 / 4  # of the range: what two bits fewer than the others reach


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
    notes = [f"images of {full.shape[2]}×{full.shape[3]} pixels, resized to {size}×{size}"]
    if arrays["images"].dtype == np.uint8:
        notes += _scale(full, np.full(len(full), "uint8"), top)
    x = resize(full, size)
    notes += _dim_note(top)
    patient = arrays.get("patient")
    return OwnRows(path, x, arrays["labels"], patient, row_keys(x.numpy()), tuple(notes))


def _read_folder(folder: Path, size: int) -> OwnRows:
    table = find_table(folder)
    frame = read_csv(table, ("label",))
    if "uid" in frame and "file" not in frame:
        files = files_by_uid(table, frame["uid"])
    else:
        frame = read_csv(table, ("file", "label"))
        files = named_files(table, frame["file"])
    listed, columns = Listed(table, files), cells_of(frame, table)
    _refuse_overlooked(table, columns)
    dicom = [is_dicom(file) for file in files]
    if any(dicom) and not all(dicom):
        raise refuse(
            table,
            f"row {dicom.index(True) + 1} names a DICOM file, row {dicom.index(False) + 1} another",
            "their scales differ: name one kind, or save all pictures as PNG",
        )
    patient, told = columns["patient"].text if "patient" in columns else None, []
    if all(dicom):
        heads = [read_head(table, row, file) for row, file in enumerate(files, start=1)]
        uids = columns["uid"].text if "uid" in columns else None
        patient, told = _dicom_patients(table, heads, patient, uids)
        x, notes = _read_dicoms(listed, heads, size)
    else:
        x, notes = _read_pictures(listed, size)
    notes = (*told, *notes, *listed.notes())
    return OwnRows(
        table, x, columns["label"].text, patient, row_keys(x.numpy()), notes,
        digest=listed.digest(),
    )  # fmt: skip


def _refuse_overlooked(table: Path, columns: Mapping[str, Cells]) -> None:
    """Refuse patients under another name: each picture would count as one."""
    others = (one for name, one in columns.items() if name not in ("file", "uid", "label"))
    found = [cells.name for cells in others if names_patients(cells)]
    if found and "patient" not in columns:
        raise refuse(
            table,
            f"the column {found[0]!r} is called like one that names the patients",
            "call it patient if it does, or take it out",
        )


def _stacked(
    listed: Listed, colours: Sequence[int], size: int, read: Callable[[int, Path], Tensor]
) -> tuple[Tensor, NDArray, list[str]]:
    """The pictures of all rows.

    Args:
        listed: the rows.
        colours: of each picture, 1 or 3.
        size: side length in pixels.
        read: gives the picture ``(1, c, h, w)`` of a row, from 1 on, and its file.

    Returns:
        ``(n, c, size, size)``; each one's brightest pixel; and what the card says of their sizes
        and colours.

    Raises:
        DataError: they would be too large.
    """
    shape = (len(listed.files), max(colours), size, size)
    check_readable(listed.table, math.prod(shape) * 4)
    x, top, sizes = torch.empty(shape), np.empty(shape[0]), set()
    for row, file in enumerate(listed.files):
        image = read(row + 1, file)
        sizes.add(image.shape[2:])
        top[row] = image.max()
        x[row] = resize(image, size)[0]
    notes = [f"pictures of {len(sizes)} size(s), each resized to {size}×{size} whatever its shape"]
    grey = sum(number == 1 for number in colours)
    if 0 < grey < len(colours):
        notes.append(f"{grey} grey pictures are mixed with {len(colours) - grey} in colour")
    return x, top, notes


def _read_pictures(listed: Listed, size: int) -> tuple[Tensor, list[str]]:
    """All pictures in [0, 1], and what the card says of them."""
    kinds, remarks = [], Counter[str]()

    def read(_: int, file: Path) -> Tensor:
        picture = read_picture(file)
        kinds.append(picture.pixels.dtype.name)
        remarks.update(picture.remarks)
        return _as_image(picture.pixels)

    colours = [picture_colours(file) for file in listed.files]
    x, top, notes = _stacked(listed, colours, size, read)
    notes += [f"{remarks[key]} {text}" for key, text in REMARKS.items() if remarks[key]]
    notes += _scale(x, np.array(kinds), top)
    if len(set(kinds)) > 1:
        mixed = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(kinds).items()))
        notes.append(f"pictures of several depths are mixed ({mixed})")
    return x, [*notes, *_dim_note(top)]


def _read_dicoms(listed: Listed, heads: Sequence[Head], size: int) -> tuple[Tensor, list[str]]:
    """All DICOM pictures in [0, 1], and what the card says of them."""
    table = listed.table
    ranges = [
        value_range(table, row, file)
        for row, (file, head) in enumerate(zip(listed.files, heads, strict=True), start=1)
        if head.colours == 1 and not head.shown
    ]
    span = (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else (0, 1)
    colours = [head.colours for head in heads]
    x, top, notes = _stacked(
        listed, colours, size, lambda row, file: read_dicom(table, row, file, span)
    )
    if shown := sum(head.shown for head in heads):
        notes.append(f"{shown} picture(s) are as their own window or table shows them")
    if ranges:
        scale = f"one scale, from {span[0]:.6g} to {span[1]:.6g}, the range of them all"
        notes.append(f"{len(ranges)} picture(s) without a window have {scale}")
    return x, [*notes, *_dim_note(top)]


def _dicom_patients(
    table: Path, heads: Sequence[Head], patient: NDArray | None, uids: NDArray | None
) -> tuple[NDArray, list[str]]:
    """The patient of each row: as the table says, or else by PatientID; and notes on it.

    Raises:
        DataError: neither says it, or the files are not those of the column ``uid``.
    """
    if uids is not None:
        other = np.array([head.uid != uid for head, uid in zip(heads, uids, strict=True)])
        wrong = "row(s) have a file and a uid that are two pictures"
        forbid_rows(table, other, wrong, "correct one of them")
    ids = np.array([head.patient for head in heads])
    if patient is not None:
        pairs = {pair for pair in zip(ids, patient, strict=True) if pair[0]}
        several = sum(count > 1 for count in Counter(name for name, _ in pairs).values())
        return patient, [
            f"the patients are those of {table.name}; {several} PatientID(s) of the files are "
            "under several of them"
        ]
    advice = "say who is who in a column patient"
    forbid_rows(table, ids == "", "file(s) name no PatientID", advice)
    if len(set(ids)) == 1:
        raise refuse(table, "all files have the same PatientID", advice)
    return ids, ["the patients are told apart by the files' PatientID"]


def _as_image(pixels: NDArray) -> Tensor:
    """One picture ``(h, w)`` or ``(h, w, 3)`` as ``(1, c, h, w)``, full uint8 and uint16 as 1."""
    image = torch.from_numpy(np.atleast_3d(pixels).astype(np.float32)).movedim(-1, 0)[None]
    return image / {"uint8": 255, "uint16": 65535}.get(pixels.dtype.name, 1)


def _scale(x: Tensor, kinds: NDArray, top: NDArray) -> list[str]:
    """Scale in place what has 16 bits, or only 0 and 1, and say so; one factor for all of a kind.

    Args:
        x: the pictures, full uint8 and uint16 as 1.
        kinds: ``(n,)`` the type of each one's pixels.
        top: ``(n,)`` each one's largest pixel, scaled with it.
    """
    notes = []
    for kind, stored in (("uint16", 65535), ("uint8", 255)):
        these = kinds == kind
        largest = round(top[these].max(initial=0) * stored)
        bits = next(bits for bits in _DEPTHS if largest < 2**bits)
        # So few levels are the classes of a mask, not what a scanner measures.
        white = 1 if largest <= 1 else 2**bits - 1
        if kind == "uint16" and these.any():
            used = f"the largest value of all is {largest}: scaled so that {white} is white"
            notes.append(f"{these.sum()} picture(s) of 16 bits, of which {bits} are used; {used}")
        elif largest == 1:
            notes.append("the pictures hold only 0 and 1: scaled so that 1 is white")
        if largest and white < stored:
            x[torch.from_numpy(these)] *= stored / white
            top[these] *= stored / white
    x.clamp_(0, 1)
    return notes


def _dim_note(top: NDArray) -> list[str]:
    """What the card says of pictures that are dark throughout, by each one's brightest pixel."""
    dim = int((top <= _DIM).sum())
    if not dim:
        return []
    return [
        f"{dim} picture(s) reach at most a quarter of the range and are dark throughout: if they "
        "use fewer bits than the others, scale them before"
    ]
