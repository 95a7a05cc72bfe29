"""The pixels of one DICOM file: stored, measured, and as they are to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom import Dataset


class UnfitError(ValueError):
    """A file cannot be used; the text follows "the file of row 3", and quotes nothing of it."""

    def __init__(self, wrong: str, advice: str):
        super().__init__(wrong)
        self.advice = advice


def stored_pixels(file: Dataset) -> NDArray:
    """The stored numbers ``(h, w)``, or ``(h, w, 3)`` as RGB.

    Raises:
        UnfitError: they cannot be decoded, are not finite, or have more bits than the file says.
    """
    from pydicom.pixels import pixel_array

    try:
        pixels = pixel_array(file)
    except Exception as error:
        raise UnfitError(
            f"has pixels that cannot be decoded ({type(error).__name__})",
            "export it again, uncompressed",
        ) from None
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
    signed = bool(file.PixelRepresentation)
    raw = np.frombuffer(file.PixelData, f"{order}{'ui'[signed]}{allocated // 8}")[:count]
    low, high = (-(2 ** (stored - 1)), 2 ** (stored - 1)) if signed else (0, 2**stored)
    if raw.min() < low or raw.max() >= high:
        raise UnfitError(f"has pixels beyond its {stored} bits", "export it again")


def measured_values(file: Dataset) -> tuple[NDArray, NDArray[np.bool_]]:
    """Measured values ``(h, w)`` float64 of a grey file, and where they are padding.

    Raises:
        UnfitError: as :func:`stored_pixels`.
    """
    from pydicom.pixels import apply_modality_lut

    stored = stored_pixels(file)
    padding = np.zeros(stored.shape, dtype=bool)
    first = file.get("PixelPaddingValue")
    if first is not None and stored.dtype.kind in "iu":
        last = file.get("PixelPaddingRangeLimit", first)
        # Written as unsigned where the pixels are signed, and the other way round.
        ends = np.array([first, last]).astype(stored.dtype)
        padding = (stored >= ends.min()) & (stored <= ends.max())
    return apply_modality_lut(stored, file).astype(np.float64), padding


def says_how_shown(file: Dataset) -> bool:
    """Whether a grey file has a VOI table or a window."""
    return bool(file.get("VOILUTSequence")) or all(
        file.get(name) not in (None, "") for name in ("WindowCenter", "WindowWidth")
    )


def as_shown(values: NDArray, file: Dataset) -> NDArray:
    """Measured values as the file wants them shown; what its window lets through is in [0, 1].

    Raises:
        UnfitError: its table or window is not the standard's.
    """
    through = _through_table if file.get("VOILUTSequence") else _through_window
    return through(values, file)


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
        raise UnfitError("has a VOI table that contradicts itself", "save all pictures as PNG")
    return table[np.clip(np.rint(values) - first, 0, entries - 1).astype(np.int64)]


def _through_window(values: NDArray, file: Dataset) -> NDArray:
    """DICOM PS3.3, C.11.2.1.2 and .3: values through the first window, from 0 to 1."""
    centre, width = (
        float(np.ravel(np.asarray(file[name].value, dtype=float))[0])
        for name in ("WindowCenter", "WindowWidth")
    )
    form = str(file.get("VOILUTFunction") or "LINEAR")
    smallest = 1 if form == "LINEAR" else 1e-9
    if form not in ("LINEAR", "LINEAR_EXACT", "SIGMOID") or not width >= smallest:
        raise UnfitError("has a window that the standard does not know", "save all as PNG")
    if form == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if form == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(np.float64)
    return (values - centre) / width + 0.5
