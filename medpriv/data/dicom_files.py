"""DICOM: the pictures of a hospital's archive, as it shows them.

The stored numbers become measured ones by the file's rescale slope and intercept (or its modality
table). Where a file says how it is to be shown, by a VOI table or a window, that runs from 0 to 1;
of several the first counts. The other grey files share one scale, from the smallest to the largest
value of them all, ``MONOCHROME1`` turned about what its bits hold. Padding is 0, and 1 is white.
Colours come as RGB, of which 1 is full.

Errors name rows of the table, and neither files nor what is in them: both can name patients.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cohort import DataError
from medpriv.data.image_files import check_picture_size
from medpriv.data.own_folder import files_in

if TYPE_CHECKING:  # pydicom is imported where it is used: few readers have such files
    from pydicom import Dataset

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_AGAIN = "export it again, or save all pictures as PNG"


@dataclass(frozen=True)
class Head:
    """What a file says of its picture.

    ``span`` is from the smallest to the largest measured value, without padding, of a grey file
    that does not say how it is to be shown; ``None`` of others.
    """

    patient: str
    uid: str
    colours: int
    span: tuple[float, float] | None


class UnfitError(ValueError):
    """A file cannot be used; the text follows "the file of row 3", and quotes nothing of it."""

    def __init__(self, wrong: str, advice: str = _AGAIN):
        super().__init__(wrong)
        self.advice = advice


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its name or by its mark: archives write names without suffix."""
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
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
    found: dict[str, list[Path]] = {}
    for path in filter(is_dicom, files_in(table.parent)):
        try:
            with _reading(table, 0, path, stop_before_pixels=True) as head:
                found.setdefault(str(head.get("SOPInstanceUID", "")), []).append(path)
        except DataError:  # whatever is wrong with it: if a row means it, that is told below
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
    """Read and check the ``row``-th file, its size before its pixels.

    Raises:
        DataError: it is no DICOM picture, or one that this course would not show rightly.
    """
    with _reading(table, row, path, stop_before_pixels=True) as file:
        _check_head(file)
        grey = file.PhotometricInterpretation in GREY
        shape = (file.Rows, file.Columns, 1 if grey else 3)
        check_picture_size(table, f"the file of row {row}", shape)
        patient, uid = str(file.get("PatientID") or ""), str(file.get("SOPInstanceUID") or "")
        if not grey or _says_how_shown(file):
            return Head(patient.strip(), uid, shape[2], None)
    with _reading(table, row, path) as file:
        values, padding = _on_shared_scale(file)
        kept = values[~padding]
        span = (float(kept.min()), float(kept.max())) if kept.size else (np.inf, -np.inf)
        return Head(patient.strip(), uid, 1, span)


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
    with _reading(table, row, path) as file:
        if file.PhotometricInterpretation not in GREY:
            pixels = _stored_pixels(file) / (2.0**file.BitsStored - 1)
            return torch.from_numpy(pixels.astype(np.float32)).movedim(-1, 0)[None]
        if _says_how_shown(file):
            values, padding = _measured_values(file)
            through = _through_table if file.get("VOILUTSequence") else _through_window
            grey = through(values, file).clip(0, 1)
            grey = 1 - grey if file.PhotometricInterpretation == "MONOCHROME1" else grey
        else:
            values, padding = _on_shared_scale(file)
            grey = ((values - span[0]) / max(span[1] - span[0], 1e-12)).clip(0, 1)
        return torch.from_numpy(np.where(padding, 0, grey).astype(np.float32))[None, None]


@contextmanager
def _reading(table: Path, row: int, path: Path, **how: Any) -> Iterator[Dataset]:
    """The file; what goes wrong names its row, and nothing of it: pydicom's messages quote it."""
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield dcmread(path, **how)
    except DataError:
        raise
    except UnfitError as error:
        raise refuse(table, f"the file of row {row} {error}", error.advice) from None
    except Exception as error:  # on a damaged file pydicom raises whatever happens to it
        wrong = f"the file of row {row} cannot be read as DICOM ({type(error).__name__})"
        raise refuse(table, wrong, _AGAIN) from None


def _check_head(file: Dataset) -> None:
    """Pass if the picture of a file can be read, and would be read rightly."""
    from pydicom.pixels import get_decoder

    if not file.get("Rows") or not file.get("Columns"):
        raise UnfitError("holds no picture", "remove the row")
    frames = int(file.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnfitError(f"holds {frames} frames", "export the one that is meant as a file")
    photometric = str(file.get("PhotometricInterpretation", ""))
    if photometric not in GREY + COLOUR:
        known = ", ".join(GREY + COLOUR)
        raise UnfitError(
            f"has a PhotometricInterpretation that is none of {known}", "save all pictures as PNG"
        )
    if file.get("SamplesPerPixel", 1) != (1 if photometric in GREY else 3):
        raise UnfitError("has a SamplesPerPixel that contradicts its PhotometricInterpretation")
    if file.get("HighBit", 0) != file.get("BitsStored", 0) - 1:
        raise UnfitError("has a HighBit that contradicts its BitsStored")
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


def _stored_pixels(file: Dataset) -> NDArray:
    """The stored numbers ``(h, w)``, or ``(h, w, 3)`` as RGB."""
    from pydicom.pixels import pixel_array

    try:
        pixels = pixel_array(file)
    except Exception as error:
        raise UnfitError(f"has pixels that cannot be decoded ({type(error).__name__})") from None
    if pixels.dtype.kind in "iu":
        _check_bits(file, pixels.size)
    elif not np.isfinite(pixels).all():
        raise UnfitError("has pixels that are not finite", "repair it, or remove the row")
    return pixels


def _check_bits(file: Dataset, count: int) -> None:
    """Refuse pixels that use more bits than the file says: pydicom would cut them off."""
    stored, allocated = int(file.BitsStored), int(file.BitsAllocated)
    overlays = any(
        0x6000 <= one.tag.group <= 0x60FF and one.tag.element == 0x0102 and one.value
        for one in file
    )
    syntax = file.file_meta.TransferSyntaxUID
    if overlays or stored == allocated or allocated == 1 or syntax.is_encapsulated:
        return
    order = "<" if syntax.is_little_endian else ">"
    kind = "i" if file.PixelRepresentation else "u"
    raw = np.frombuffer(file.PixelData, f"{order}{kind}{allocated // 8}")[:count]
    low, high = _ends(file)
    if raw.min() < low or raw.max() > high:
        raise UnfitError(f"has pixels beyond its {stored} bits")


def _ends(file: Dataset) -> NDArray[np.int64]:
    """The smallest and the largest number that a file's bits can hold."""
    half = 2 ** (int(file.BitsStored) - 1)
    return np.array([-half, half - 1] if file.PixelRepresentation else [0, 2 * half - 1])


def _measured_values(file: Dataset) -> tuple[NDArray, NDArray[np.bool_]]:
    """Measured values ``(h, w)`` float64 of a grey file, and where they are padding."""
    from pydicom.pixels import apply_modality_lut

    stored = _stored_pixels(file)
    padding = np.zeros(stored.shape, dtype=bool)
    first = file.get("PixelPaddingValue")
    if first is not None and stored.dtype.kind in "iu":
        last = file.get("PixelPaddingRangeLimit", first)
        # Written as unsigned where the pixels are signed, and the other way round.
        ends = np.array([first, last]).astype(stored.dtype)
        padding = (stored >= ends.min()) & (stored <= ends.max())
    return apply_modality_lut(stored, file).astype(np.float64), padding


def _on_shared_scale(file: Dataset) -> tuple[NDArray, NDArray[np.bool_]]:
    """The same, of which more is whiter: ``MONOCHROME1`` is turned about what its bits can hold."""
    from pydicom.pixels import apply_modality_lut

    values, padding = _measured_values(file)
    if file.PhotometricInterpretation == "MONOCHROME1":
        values = apply_modality_lut(_ends(file), file).astype(np.float64).sum() - values
    return values, padding


def _says_how_shown(file: Dataset) -> bool:
    """Whether a grey file has a VOI table or a window."""
    return bool(file.get("VOILUTSequence")) or all(
        file.get(name) not in (None, "") for name in ("WindowCenter", "WindowWidth")
    )


def _through_table(values: NDArray, file: Dataset) -> NDArray:
    """DICOM PS3.3, C.11.2.1.1: values through the first VOI table, from 0 to 1."""
    item = file.VOILUTSequence[0]
    entries, first, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if file.file_meta.TransferSyntaxUID.is_little_endian else ">"
        data = np.frombuffer(data, dtype="u1" if len(data) < 2 * entries else f"{order}u2")
    table = np.asarray(data, dtype=np.float64)[:entries] / (2.0**bits - 1)
    if len(table) < entries or table.max() > 1:
        raise UnfitError("has a VOI table that contradicts itself")
    return table[np.clip(np.rint(values) - first, 0, entries - 1).astype(np.int64)]


def _through_window(values: NDArray, file: Dataset) -> NDArray:
    """DICOM PS3.3, C.11.2.1.2 and .3: values through the first window, 0 to 1 inside it."""
    centre, width = (
        float(np.ravel(np.asarray(file[name].value, dtype=float))[0])
        for name in ("WindowCenter", "WindowWidth")
    )
    form = str(file.get("VOILUTFunction") or "LINEAR")
    smallest = 1 if form == "LINEAR" else 1e-9
    if form not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not width >= smallest:
        raise UnfitError("has a window that the standard does not know")
    if form == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if form == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(np.float64)
    return (values - centre) / width + 0.5
