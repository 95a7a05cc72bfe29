"""A folder of DICOM: pixels against what was written, patients, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, FileMetaDataset
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from medpriv.data import load_images
from medpriv.data.cohort import Cohort, DataError
from medpriv.data.dicom_files import read_dicom, read_head, value_range

SIDE = 16
RNG = np.random.default_rng(0)
TABLE = Path("labels.csv")
NAME = "Doe^Jane"


def written(pixels: np.ndarray, *, bits: int = 12, big: bool = False, **tags) -> Dataset:
    """A data set of these grey or coloured pixels."""
    file = Dataset()
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big else ExplicitVRLittleEndian
    file.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    file.SOPInstanceUID = generate_uid()
    file.PatientName = NAME
    file.Rows, file.Columns = pixels.shape[:2]
    file.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        file.PlanarConfiguration = 0
    file.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = 8 * pixels.itemsize, bits, bits - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    file.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    file["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    for tag, value in tags.items():
        setattr(file, tag, value)
    return file


def save(file: Dataset, path: Path) -> Path:
    file.save_as(path, enforce_file_format=True)
    return path


def random_pixels(bits: int = 12) -> np.ndarray:
    return RNG.integers(0, 2**bits, (SIDE, SIDE)).astype(np.uint16)


def folder(path: Path, files: list[Dataset], table: str | None = None) -> Path:
    path.mkdir(exist_ok=True)
    for number, file in enumerate(files):
        save(file, path / f"{number}.dcm")
    rows = [f"{number}.dcm,{number // 2 % 2}" for number in range(len(files))]
    (path / "labels.csv").write_text(table or "\n".join(["file,label", *rows]))
    return path


def patients(count: int = 12, **tags) -> list[Dataset]:
    return [
        written(random_pixels(), **({"PatientID": f"p{number // 2}"} | tags))
        for number in range(count)
    ]


def pictures(cohort: Cohort) -> dict[bytes, tuple[str, int]]:
    """Patient and label by a picture's bytes."""
    return {
        part.x[row, 0].numpy().tobytes(): (part.patient[row], int(part.y[row]))
        for part in cohort.parts().values()
        for row in range(len(part))
    }


# --- the cohort -----------------------------------------------------------------------------------


def test_patients_are_those_of_the_files_and_all_share_one_scale(tmp_path):
    files = patients()
    cohort = load_images(folder(tmp_path / "mine", files), size=SIDE)
    stored = [file.pixel_array for file in files]
    low, high = min(p.min() for p in stored), max(p.max() for p in stored)
    seen = pictures(cohort)
    assert len(seen) == 12
    for number, pixels in enumerate(stored):
        expected = ((pixels - float(low)) / (high - low)).astype(np.float32)
        assert seen[expected.tobytes()] == (f"patient {number // 2 + 1}", number // 2 % 2)
    notes = " ".join(cohort.card.notes)
    assert f"12 picture(s) without a window have one scale, from {low} to {high}" in notes
    assert "told apart by the files' PatientID" in notes
    assert NAME not in str(cohort.card)
    assert cohort.card.patient_identity


def test_nothing_in_a_cohort_names_a_patient(tmp_path):
    files = patients()
    for number, file in enumerate(files):
        file.PatientID = f"{NAME}-{number // 2}"
    cohort = load_images(folder(tmp_path / "mine", files), size=SIDE)
    assert NAME not in repr(cohort)
    named = [name for part in cohort.parts().values() for name in part.patient]
    assert set(named) == {f"patient {number}" for number in range(1, 7)}


def test_rows_by_uid_and_names_without_suffix(tmp_path):
    files = patients()
    path = folder(tmp_path / "mine", files)
    by_file = load_images(path, size=SIDE)
    for number in range(12):
        (path / f"{number}.dcm").rename(path / f"IM{number}")
    rows = [f"{file.SOPInstanceUID},{number // 2 % 2}" for number, file in enumerate(files)]
    (path / "labels.csv").write_text("\n".join(["uid,label", *rows]))
    by_uid = load_images(path, size=SIDE)
    assert pictures(by_uid) == pictures(by_file)
    (path / "labels.csv").write_text("\n".join(["uid,label", *rows, "1.2.3,0"]))
    with pytest.raises(DataError, match="SOPInstanceUID of row 13 is that of 0 files"):
        load_images(path, size=SIDE)
    shutil.copy(path / "IM0", path / "twin")
    with pytest.raises(DataError, match="SOPInstanceUID of row 1 is that of 2 files"):
        load_images(path, size=SIDE)
    (path / "labels.csv").write_text("file,uid,label\nIM0,1.2.3,0\nIM1,1.2.3,1\n")
    with pytest.raises(DataError, match="a uid that are two pictures, the first in row 1"):
        load_images(path, size=SIDE)


def test_a_column_patient_goes_before_the_files(tmp_path):
    rows = [f"{number}.dcm,{number % 2},w{number}" for number in range(12)]
    table = "\n".join(["file,label,patient", *rows])
    cohort = load_images(folder(tmp_path / "mine", patients(), table), size=SIDE)
    assert {name for name, _ in pictures(cohort).values()} == {f"patient {n}" for n in range(1, 13)}
    assert "6 PatientID(s) of the files are under several" in " ".join(cohort.card.notes)


@pytest.mark.parametrize(
    ("tags", "wrong"),
    [
        ({"PatientID": ""}, r"12 file\(s\) name no PatientID.*row 1; say who is who in a column"),
        ({"PatientID": "ANON"}, "all files have the same PatientID; say who is who"),
    ],
)
def test_patients_that_nobody_can_tell_apart(tmp_path, tags, wrong):
    with pytest.raises(DataError, match=wrong):
        load_images(folder(tmp_path / "mine", patients(**tags)))


def test_dicom_beside_other_pictures_is_refused(tmp_path):
    path = folder(tmp_path / "mine", patients(2), "file,label\n0.dcm,0\nb.png,1\n")
    (path / "b.png").write_bytes(b"no matter what")
    with pytest.raises(DataError, match="row 1 names a DICOM file, row 2 another"):
        load_images(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_does_not_hang(tmp_path):
    path = folder(tmp_path / "mine", patients(2))
    (path / "1.dcm").unlink()
    os.mkfifo(path / "1.dcm")
    with pytest.raises(DataError, match="this is not a file"):
        load_images(path)


# --- one file -------------------------------------------------------------------------------------


def seen(file: Dataset, folder: Path, span: tuple[float, float] = (0, 1)) -> np.ndarray:
    path = save(file, folder / "one.dcm")
    read_head(TABLE, 1, path)
    return read_dicom(TABLE, 1, path, span)[0].numpy().squeeze()


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_pixels_are_those_that_were_measured(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("dicom")
    signed, big = data.draw(st.booleans()), data.draw(st.booleans())
    kind, bits = data.draw(st.sampled_from([("1", 8), ("2", 10), ("2", 12), ("2", 16)]))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    side = data.draw(st.sampled_from([2, 6]))
    draw = np.random.default_rng(data.draw(st.integers(0, 999)))
    pixels = draw.integers(low, high, (side, side)).astype(f"{'i' if signed else 'u'}{kind}")
    tags, measured = {}, pixels.astype(float)
    if data.draw(st.booleans()):
        slope, intercept = data.draw(st.sampled_from([(1, -1024), (0.5, 3), (2, 0)]))
        tags = {"RescaleSlope": slope, "RescaleIntercept": intercept}
        measured = measured * slope + intercept
    form = data.draw(st.sampled_from([None, "", "LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    if form is not None:
        centre, width = data.draw(st.sampled_from([(40, 400), (128, 256), (-600, 1500)]))
        tags |= {"WindowCenter": [centre, 7], "WindowWidth": [width, 3]}
        tags |= {"VOILUTFunction": form} if form else {}
        if form == "SIGMOID":
            expected = 1 / (1 + np.exp(-4 * (measured - centre) / width))
        elif form == "LINEAR_EXACT":
            expected = (measured - (centre - width / 2)) / width
        else:
            expected = (measured - (centre - 0.5 - (width - 1) / 2)) / (width - 1)
    else:
        expected = None
    turned = data.draw(st.booleans())
    if turned:
        tags["PhotometricInterpretation"] = "MONOCHROME1"
    file = written(pixels, bits=bits, big=big and kind == "2", **tags)
    if expected is not None:
        expected = 1 - expected.clip(0, 1) if turned else expected.clip(0, 1)
        assert np.allclose(seen(file, folder), expected, atol=1e-5)
        return
    if turned:  # about the ends of what so many bits hold
        ends = np.array([low, high - 1]) * float(tags.get("RescaleSlope", 1))
        measured = ends.sum() + 2 * float(tags.get("RescaleIntercept", 0)) - measured
    span = (float(measured.min()), float(measured.max()) + 1)
    expected = (measured - span[0]) / (span[1] - span[0])
    assert np.allclose(seen(file, folder, span), expected, atol=1e-5)
    assert value_range(TABLE, 1, folder / "one.dcm") == (measured.min(), measured.max())


def test_black_is_black_whatever_the_bits(tmp_path):
    """12 bits whose 0 is white beside 14 bits whose 0 is black, both without a window."""
    true = np.zeros((8, 8))
    true[2:6, 2:6] = RNG.uniform(0.4, 0.9, (4, 4))
    white = (4095 - np.rint(true * 4095)).astype(np.uint16)
    dark = np.rint(true * 16383).astype(np.uint16)
    span = (0, 16383)
    first = seen(written(white, bits=12, PhotometricInterpretation="MONOCHROME1"), tmp_path, span)
    other = seen(written(dark, bits=14), tmp_path, span)
    assert first[0, 0] == other[0, 0] == 0
    assert np.allclose(first, true * 4095 / 16383, atol=1e-3)
    assert np.allclose(other, true, atol=1e-3)


def test_padding_is_black_and_not_in_the_range(tmp_path):
    pixels = RNG.integers(0, 1000, (4, 4)).astype(np.int16)
    pixels[0] = -2000
    for first in (-2000, 65536 - 2000):
        file = written(pixels, bits=16, PhotometricInterpretation="MONOCHROME1")
        file.add_new("PixelPaddingValue", "SS" if first < 0 else "US", first)
        save(file, tmp_path / "one.dcm")
        span = value_range(TABLE, 1, tmp_path / "one.dcm")
        assert span == (-1 - pixels[1:].max(), -1 - pixels[1:].min())  # turned about its 16 bits
        shown = seen(file, tmp_path, span)
        assert (shown[0] == 0).all()
        below = pixels[1:].max() - pixels[1:]
        assert np.allclose(shown[1:], below / below.max(), atol=1e-6)


@pytest.mark.parametrize("bits", [8, 12])
def test_a_table_says_how_values_are_shown(tmp_path, bits):
    item = Dataset()
    item.LUTDescriptor = [1000, 100, bits]
    table = np.linspace(0, 2**bits - 1, 1000).astype(int) // 2
    item.LUTData = table.tolist()
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    pixels = np.array([[0, 100, 101], [599, 1099, 4095]], dtype=np.uint16)
    shown = seen(written(pixels, VOILUTSequence=[item]), tmp_path)
    expected = table[[[0, 0, 1], [499, 999, 999]]] / (2**bits - 1)
    assert np.allclose(shown, expected, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_colours(tmp_path, bits):
    pixels = RNG.integers(0, 2**bits, (4, 6, 3)).astype(f"u{bits // 8}")
    shown = seen(written(pixels, bits=bits), tmp_path)
    assert np.allclose(np.moveaxis(shown, 0, -1), pixels / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"NumberOfFrames": 2}, "holds 2 frames; export the one"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PhotometricInterpretation that is none"),
        ({"PhotometricInterpretation": "RGB"}, "contradicts its PhotometricInterpretation"),
        ({"Rows": 20_000, "Columns": 20_000}, "20000×20000 pixels.*at most 512 MiB"),
        ({"Rows": 40}, "has pixels that cannot be decoded"),
        ({"BitsStored": 4, "HighBit": 3}, "pixels beyond its 4 bits"),
        ({"HighBit": 15}, "HighBit that contradicts its BitsStored"),
        ({"WindowCenter": 5, "WindowWidth": 0}, "window that the standard does not know"),
        (
            {"WindowCenter": 5, "WindowWidth": 5, "VOILUTFunction": "DOE_JANE"},
            "window that the standard",
        ),
    ],
)
def test_files_that_would_be_misread_are_refused(tmp_path, changed, wrong):
    with pytest.raises(DataError, match=f"the file of row 1 .*{wrong}") as caught:
        seen(written(random_pixels(), **changed), tmp_path)
    assert "jane" not in str(caught.value).lower()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\0" * 128 + b"DICM" + b"\xff" * 40])
def test_a_file_that_is_no_dicom(tmp_path, content):
    (tmp_path / "one.dcm").write_bytes(content)
    with pytest.raises(
        DataError, match="the file of row 1 (cannot be read as DICOM|holds no pict)"
    ):
        read_head(TABLE, 1, tmp_path / "one.dcm")


def shipped(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip("pydicom came without this file")
    return Path(path)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("SC_rgb_rle.dcm", "SC_rgb_gdcm_KY.dcm"),
        ("SC_ybr_full_422_uncompressed.dcm", "SC_rgb_rle.dcm"),
    ],
)
def test_one_picture_in_two_encodings(name, same):
    one, other = (shipped(file) for file in (name, same))
    heads = [read_head(TABLE, 1, path) for path in (one, other)]
    assert heads[0].colours == heads[1].colours
    first, second = (read_dicom(TABLE, 1, path, (0, 1)) for path in (one, other))
    assert first.std() > 0.1
    # Subsampled colours differ at edges.
    assert np.mean(np.abs(first.numpy() - second.numpy())) < (0.02 if "422" in name else 1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "JPEGLSNearLossless_08.dcm", "JPEG-lossy.dcm", "MR_truncated.dcm", "badVR.dcm",
        "rtplan.dcm", "test-SR.dcm", "waveform_ecg.dcm", "examples_palette.dcm", "rtdose.dcm",
        "no_meta.dcm", "examples_ybr_color.dcm",
    ],
)  # fmt: skip
def test_shipped_files_that_are_refused(name):
    path = shipped(name)
    with pytest.raises(DataError, match="the file of row 7 ") as caught:
        read_head(TABLE, 7, path), read_dicom(TABLE, 7, path, (0, 1))
    assert caught.value.__cause__ is None  # whose message could quote the file
    assert name not in str(caught.value)
