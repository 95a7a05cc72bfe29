"""The reader's own files with something wrong: one clear error, nothing left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpriv.data import load_images, load_records, load_reports
from medpriv.data.cohort import DataError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 20, 20), dtype=np.uint8)
LABELS = np.array([0, 1] * 6)
ROWS = "label,age,sex\n" + "".join(f"{i % 2},{30 + i},{'fm'[i % 2]}\n" for i in range(12))


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, monkeypatch):
    """No file appears beside the bad one, and none in the cache."""
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDPRIV_DATA", raising=False)
    yield
    assert not (tmp_path / "cache").exists()
    assert not list(tmp_path.rglob("*.part*"))


def npz(path: Path, **changed) -> Path:
    arrays = {"images": PIXELS, "labels": LABELS} | changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def csv(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def folder(path: Path, table: str | None, **pictures: Image.Image) -> Path:
    path.mkdir()
    for name, picture in pictures.items():
        picture.save(path / f"{name}.png")
    if table is not None:
        (path / "labels.csv").write_text(table)
    return path


def grey(level: int, size: tuple[int, int] = (20, 20)) -> Image.Image:
    return Image.new("L", size, level)


# --- .npz -----------------------------------------------------------------------------------------

NAN = PIXELS / 255.0
NAN[3, 4, 5] = np.nan


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"labels": None}, "it lacks labels"),
        ({"images": None}, "it lacks images"),
        ({"images": NAN}, "not finite .*row 4"),
        ({"images": PIXELS.astype(float)}, "floats from 0 to 255.*expected 0 to 1"),
        ({"images": PIXELS.astype(np.int32)}, "has type int32"),
        ({"images": PIXELS[:, 0]}, "has shape"),
        ({"labels": np.ones(12, dtype=int)}, "all labels are the same"),
        ({"labels": LABELS[:-1]}, "12 rows but 11 labels"),
        ({"labels": LABELS + 0.5}, "fractions"),
        ({"labels": np.where(LABELS, "ill", "")}, "6 label.*missing"),
        ({"labels": np.array([None, 1] * 6, dtype=object)}, "Python objects"),
        ({"images": PIXELS.astype(object)}, "Python objects"),
        ({"patient": np.arange(11)}, "patient has shape"),
        ({"patient": np.array(["a", ""] * 6)}, "6 patients are not named"),
        ({"patient": np.array(["a", "b", "c"] * 4)}, r"3 patient\(s\) cannot be divided"),
        ({"images": np.repeat(PIXELS[:1], 12, axis=0)}, "rows 1 and 2 hold the same data"),
        (
            {"images": np.repeat(PIXELS[:6], 2, axis=0), "patient": np.arange(12) // 2},
            "rows 1 and 2 hold the same data with different labels",
        ),
    ],
)
def test_bad_npz(tmp_path, changed, wrong):
    with pytest.raises(DataError, match=rf"(mine\.npz|mine).*{wrong}"):
        load_images(npz(tmp_path / "mine.npz", **changed))


def test_web_page_saved_as_npz(tmp_path):
    path = tmp_path / "mine.npz"
    path.write_text("<!DOCTYPE html><title>404</title>")
    with pytest.raises(DataError, match=r"mine\.npz: this is a web page, not data"):
        load_images(path)


@pytest.mark.parametrize("name", ["none.npz", "none.csv", "no/such/folder"])
def test_path_that_does_not_exist(tmp_path, name):
    with pytest.raises(DataError, match="no such file"):
        load_images(tmp_path / name)


def test_one_image(tmp_path):
    with pytest.raises(DataError, match="all labels are the same"):
        load_images(npz(tmp_path / "mine.npz", images=PIXELS[:1], labels=LABELS[:1]))


# --- .csv -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "the file is empty"),
        ("label,age\n", r"has 0 row\(s\)"),
        ("label,age\n1,30\n", r"has 1 row\(s\)"),
        (ROWS.replace("label", "outcome"), r"lacks the column\(s\) label"),
        (ROWS.replace("35", "many"), "column .age. has a word in row 6"),
        (ROWS.replace("35", ""), "column .age. has an empty cell in row 6"),
        (ROWS.replace("35", "inf"), "column .age. has no finite number in row 6"),
        (
            ROWS.replace("35,m", "35,"),
            "column 'sex' has an empty cell in row 6.*missing='category'",
        ),
        (ROWS.replace("1,35", ",35"), r"1 label\(s\) are missing, the first in row 6"),
        (ROWS.replace("\n0,", "\n1,"), "all labels are the same"),
        ("label,patient\n0,a\n1,b\n", "no column besides"),
        ("label,text\n0,a\n1,b\n", "use load_reports"),
        ("label,age\n0,30\n1,40\n0,50\n", r"3 patient\(s\) cannot be divided"),
        (
            "label,note\n" + "".join(f"{i % 2},note {i} on this\n" for i in range(200)),
            "200 different words",
        ),
        (
            "patient,label,age\na,0,30\na,1,30\nb,1,30\nc,0,40\nd,1,50\n",
            "rows 1 and 2 hold the same data with different labels",
        ),
    ],
)
def test_bad_csv(tmp_path, text, wrong):
    with pytest.raises(DataError, match=rf"mine.*{wrong}"):
        load_records(csv(tmp_path / "mine.csv", text))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_csv_in_another_encoding(tmp_path, encoding):
    text = ROWS.replace("sex", "müdigkeit")
    with pytest.raises(DataError, match=r"mine\.csv: it is not encoded in UTF-8"):
        load_records(csv(tmp_path / "mine.csv", text, encoding))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("label,age\n0,3\n1,4\n", "use load_records"),
        ("label,text\n0,fine\n1,\n", r"1 text\(s\) are empty, the first in row 2"),
        ("text\nfine\nill\n", r"lacks the column\(s\) label"),
        ("label,text\n0,All clear.\n1,all  CLEAR\n", "rows 1 and 2 hold the same data"),
    ],
)
def test_bad_reports(tmp_path, text, wrong):
    with pytest.raises(DataError, match=rf"mine\.csv: .*{wrong}"):
        load_reports(csv(tmp_path / "mine.csv", text))


def test_each_call_names_the_one_that_fits(tmp_path):
    table, arrays = csv(tmp_path / "mine.csv", ROWS), npz(tmp_path / "mine.npz")
    with pytest.raises(DataError, match="or use load_records"):
        load_images(table)
    with pytest.raises(DataError, match="or use load_images"):
        load_records(arrays)
    with pytest.raises(DataError, match="or use load_images"):
        load_reports(arrays)


# --- a folder of pictures -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "wrong"),
    [
        (None, "the folder has no labels.csv"),
        ("", "the file is empty"),
        ("file,label\n", r"has 0 row\(s\)"),
        ("name,label\na.png,0\nb.png,1\n", r"lacks the column\(s\) file"),
        ("file,label\na.png,0\nc.png,1\n", r"c\.png: there is no such file"),
        ("file,label\na.png,0\n../b.png,1\n", "row 2 names a file elsewhere"),
        ("file,label\na.png,0\n/etc/passwd,1\n", "row 2 names a file elsewhere"),
        ("file,label\na.png,0\n,1\n", "row 2 names a file elsewhere"),
        ("file,label\na.png,0\nlabels.csv,1\n", r"labels\.csv: this picture cannot be read"),
        ("file,label\na.png,0\na.png,1\n", "rows 1 and 2 name the same picture"),
        ("file,label\na.png,0\nb.png,1\n", r"2 patient\(s\) cannot be divided"),
    ],
)
def test_bad_folder(tmp_path, table, wrong):
    path = folder(tmp_path / "mine", table, a=grey(1), b=grey(2))
    with pytest.raises(DataError, match=rf"mine.*{wrong}"):
        load_images(path)


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"mine: the folder has no labels\.csv"):
        load_images(folder(tmp_path / "mine", None))


# --- parameters -----------------------------------------------------------------------------------

CALLS = pytest.mark.parametrize("load", [load_images, load_records, load_reports])


@CALLS
@pytest.mark.parametrize("dataset", ["nonsense", "", "mnist", None, 3])
def test_unknown_dataset(load, dataset):
    with pytest.raises(
        ValueError, match=r"unknown \w+ data set .*expected one of: \w+, "
    ) as caught:
        load(dataset)
    assert not isinstance(caught.value, DataError)


@CALLS
@pytest.mark.parametrize("profile", ["fast", "", None, "QUICK"])
def test_unknown_profile(load, profile):
    with pytest.raises(ValueError, match="unknown profile .*expected one of: smoke, quick, full"):
        load(profile=profile)


@CALLS
@pytest.mark.parametrize("seed", [1.0, "1", True, -1, 2**31, None])
def test_seed_that_is_no_whole_number(load, seed):
    with pytest.raises(ValueError, match="seed must be an integer"):
        load(profile="smoke", seed=seed)


@CALLS
@pytest.mark.parametrize("patients", [0, 3, -5, 10.0, "10", True])
def test_number_of_patients_that_is_none(load, patients):
    with pytest.raises(ValueError, match="patients must be an integer of at least 4"):
        load(profile="smoke", patients=patients)


@pytest.mark.parametrize("size", [0, 8, 15, 1025, 64.0, "64", True, None])
def test_image_size_that_is_none(size):
    with pytest.raises(ValueError, match="size must be an integer of at least 16 and at most 1024"):
        load_images(profile="smoke", size=size)


def test_volumes_are_not_images():
    with pytest.raises(ValueError, match="organmnist3d holds volumes.*expected one of: pathmnist"):
        load_images("organmnist3d")


def test_only_phantoms_have_burned_in_identifiers():
    with pytest.raises(ValueError, match="burned_in=True works for dataset='phantom' only"):
        load_images("mias", burned_in=True)
