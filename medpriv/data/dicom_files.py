"""DICOM: the pictures of a hospital's archive, as it shows them.

The stored numbers become measured ones by the file's rescale slope and intercept (or its modality
table). Where a file says how it is to be shown, by a VOI table or a window, that runs from 0 to 1;
of several the first counts. The other grey files share one scale, from the smallest to the largest
value of them all. Padding is 0. ``MONOCHROME1`` is inverted, so that 1 is white. Colours come as
RGB, of which 1 is full.

Errors name rows of the table, and neither files nor what is in them: both can name patients.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cohort import DataError
from medpriv.data.dicom_pixels import (
    UnfitError,
    as_shown,
    measured_values,
    says_how_shown,
    stored_pixels,
)
from medpriv.data.image_files import check_picture_size
from medpriv.data.own_folder import files_in

if TYPE_CHECKING:  # pydicom is imported where it is used: few readers have such files
    from pydicom import Dataset

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True)
class Head:
    """What a file says before its pixels: ``shown`` is whether it says how it is to be shown."""

    patient: str
    uid: str
    colours: int
    shown: bool


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its name or by its mark: archives write names without suffix."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    if not path.is_file():  # a pipe would wait
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def files_by_uid(table: Path, uids: Iterable[str]) -> tuple[Path, ...]:
    """The file of each row, by its SOPInstanceUID, among all in the table's folder and below.

    Raises:
        DataError: no file has it, or two have.
    """
    from pydicom import dcmread

    found: dict[str, list[Path]] = {}
    for path in filter(is_dicom, files_in(table.parent)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                head = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
                found.setdefault(str(head.get("SOPInstanceUID", "")), []).append(path)
            except Exception:  # whatever is wrong with it: if a row means it, that is told below
                continue
    files = []
    for row, uid in enumerate(uids, start=1):
        these = found.get(uid, []) if uid else []
        if len(these) != 1:
            raise refuse(
                table,
                f"the SOPInstanceUID of row {row} is that of {len(these)} files",
                "expected one DICOM file in this folder or below: correct uid, or use file",
            )
        files += these
    return tuple(files)


def read_head(table: Path, row: int, path: Path) -> Head:
    """Read and check all of the ``row``-th file but its pixels.

    Raises:
        DataError: it is no DICOM picture, or one that this course would not show rightly.
    """
    from pydicom import dcmread

    with _reading(table, row):
        file = dcmread(path, stop_before_pixels=True)
        photometric = _check_head(table, row, file)
        _check_syntax(file)
        return Head(
            str(file.get("PatientID") or "").strip(),
            str(file.get("SOPInstanceUID") or ""),
            1 if photometric in GREY else 3,
            photometric in GREY and says_how_shown(file),
        )


def value_range(table: Path, row: int, path: Path) -> tuple[float, float]:
    """The smallest and the largest measured value of a grey file, without its padding.

    Raises:
        DataError: its pixels cannot be decoded.
    """
    from pydicom import dcmread

    with _reading(table, row):
        values, padding = measured_values(dcmread(path))
        kept = values[~padding]
        return (float(kept.min()), float(kept.max())) if kept.size else (np.inf, -np.inf)


def read_dicom(table: Path, row: int, path: Path, span: tuple[float, float]) -> Tensor:
    """The picture ``(1, c, h, w)`` in [0, 1].

    Args:
        table: the folder's table, for errors, as is ``row``, from 1 on.
        row: the file's.
        path: the file.
        span: what becomes 0 and 1 of a grey file that does not say how it is to be shown.

    Raises:
        DataError: its pixels cannot be decoded, or contradict its head.
    """
    from pydicom import dcmread

    with _reading(table, row):
        file = dcmread(path)
        if file.PhotometricInterpretation not in GREY:
            pixels = stored_pixels(file) / (2.0**file.BitsStored - 1)
            return torch.from_numpy(pixels.astype(np.float32)).movedim(-1, 0)[None]
        values, padding = measured_values(file)
        if says_how_shown(file):
            grey = as_shown(values, file)
        else:
            grey = (values - span[0]) / max(span[1] - span[0], 1e-12)
        grey = grey.clip(0, 1)
        grey = 1 - grey if file.PhotometricInterpretation == "MONOCHROME1" else grey
        return torch.from_numpy(np.where(padding, 0, grey).astype(np.float32))[None, None]


@contextmanager
def _reading(table: Path, row: int) -> Iterator[None]:
    """Name the row in what goes wrong, and nothing of the file: pydicom's messages quote it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except UnfitError as error:
        raise refuse(table, f"the file of row {row} {error}", error.advice) from None
    except Exception as error:  # on a damaged file pydicom raises whatever happens to it
        raise refuse(
            table,
            f"the file of row {row} cannot be read as DICOM ({type(error).__name__})",
            "export it again, or save all pictures as PNG",
        ) from None


def _check_head(table: Path, row: int, file: Dataset) -> str:
    """Return the PhotometricInterpretation of a file whose picture can be read."""
    if not file.get("Rows") or not file.get("Columns"):
        raise UnfitError("holds no picture", "remove the row")
    frames = int(file.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnfitError(f"holds {frames} frames", "export the one that is meant as a file")
    photometric = str(file.get("PhotometricInterpretation", ""))
    if photometric not in GREY + COLOUR:
        raise UnfitError(
            f"has a PhotometricInterpretation that is none of {', '.join(GREY + COLOUR)}",
            "save all pictures as PNG",
        )
    samples = 1 if photometric in GREY else 3
    if file.get("SamplesPerPixel", 1) != samples:
        raise UnfitError(
            "has a SamplesPerPixel that contradicts its PhotometricInterpretation",
            "export it again, or save all pictures as PNG",
        )
    if file.get("HighBit", 0) != file.get("BitsStored", 0) - 1:
        raise UnfitError("has a HighBit that contradicts its BitsStored", "export it again")
    check_picture_size(table, f"the file of row {row}", (file.Rows, file.Columns, samples))
    return photometric


def _check_syntax(file: Dataset) -> None:
    from pydicom.pixels import get_decoder

    syntax = file.file_meta.TransferSyntaxUID
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        name = syntax.name if syntax.is_transfer_syntax else "something unknown"
        raise UnfitError(
            f"is compressed as {name}, for which no decoder is installed",
            "export it uncompressed, or install pylibjpeg[all]",
        )
