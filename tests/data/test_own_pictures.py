"""A reader's folder of pictures, or arrays of them: read as they are stored, told, or refused."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medpriv.data import archives, image_files, load_images
from medpriv.data.cohort import Cohort, DataError
from medpriv.data.own_folder import find_table, named_files

RNG = np.random.default_rng(0)
SIDE = 16


def bytes_of(count: int, top: int = 256, kind: type = np.uint8) -> list[np.ndarray]:
    return list(RNG.integers(0, top, (count, SIDE, SIDE)).astype(kind))


def folder(path: Path, pixels: list, suffix: str = "png", patient: list | None = None) -> Path:
    path.mkdir(exist_ok=True)
    rows = ["file,label" + (",patient" if patient else "")]
    for number, one in enumerate(pixels):
        picture = one if isinstance(one, Image.Image) else Image.fromarray(one)
        picture.save(path / f"{number}.{suffix}")
        rows.append(f"{number}.{suffix},{number % 2}" + (f",{patient[number]}" if patient else ""))
    (path / "labels.csv").write_text("\n".join(rows))
    return path


def loaded(cohort: Cohort) -> set[bytes]:
    return {image.numpy().tobytes() for part in cohort.parts().values() for image in part.x}


def expected(pixels: list[np.ndarray], full: int) -> set[bytes]:
    return {(one[None] / full).astype(np.float32).tobytes() for one in pixels}


def notes(cohort: Cohort) -> str:
    return " | ".join(cohort.card.notes)


# --- what a file does not say ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("largest", "bits"), [(255, 8), (1000, 10), (4095, 12), (4096, 14), (16384, 16), (65535, 16)]
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_bits_that_are_used_in_16(tmp_path, largest, bits, suffix):
    pixels = bytes_of(8, top=largest // 3, kind=np.uint16)
    pixels[3][0, 0] = largest
    cohort = load_images(folder(tmp_path / "mine", pixels, suffix), size=SIDE)
    images = np.stack([image[0].numpy() for part in cohort.parts().values() for image in part.x])
    truth = np.stack(pixels) / (2**bits - 1)
    assert np.allclose(np.sort(images.ravel()), np.sort(truth.ravel()), atol=1e-6)
    assert f"8 picture(s) of 16 bits, of which {bits} are used" in notes(cohort)
    assert f"scaled so that {2**bits - 1} is white" in notes(cohort)


@pytest.mark.parametrize("how", ["folder", "folder of 16 bits", "npz"])
def test_masks_of_0_and_1_become_black_and_white(tmp_path, how):
    pixels = bytes_of(8, top=2, kind=np.uint16 if "16" in how else np.uint8)
    path = tmp_path / "mine.npz"
    if how == "npz":
        np.savez(path, images=np.stack(pixels), labels=np.arange(8) % 2)
    else:
        path = folder(tmp_path / "mine", pixels)
    cohort = load_images(path, size=SIDE)
    assert np.allclose(cohort.members.x.unique(), [0, 1])
    assert "1 is white" in notes(cohort)


@pytest.mark.parametrize("how", ["folder", "npz", "float npz"])
def test_pictures_that_are_dark_throughout_are_told(tmp_path, how):
    pixels = bytes_of(8)
    pixels[2] //= 16
    if how == "folder":
        path = folder(tmp_path / "mine", pixels)
    else:
        path, stored = tmp_path / "mine.npz", np.stack(pixels)
        stored = stored / 255 if "float" in how else stored
        np.savez(path, images=stored, labels=np.arange(8) % 2)
    assert "1 picture(s) reach at most a quarter" in notes(load_images(path, size=SIDE))


def test_depths_and_colours_that_are_mixed_are_told(tmp_path):
    pixels = [*bytes_of(4), *bytes_of(3, top=4096, kind=np.uint16)]
    pixels.append(RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
    cohort = load_images(folder(tmp_path / "mine", pixels), size=SIDE)
    assert cohort.members.x.shape[1] == 3
    assert "several depths are mixed (3 uint16, 5 uint8)" in notes(cohort)
    assert "7 grey pictures are mixed with 1 in colour" in notes(cohort)


def test_transparency_turns_and_frames_are_told_where_they_are(tmp_path):
    plain = bytes_of(8)
    path = folder(tmp_path / "mine", plain)
    for word in ("transparen", "EXIF", "frames"):
        assert word not in notes(load_images(path, size=SIDE))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(plain[0]).save(path / "0.png", exif=exif)
    seen_through = Image.fromarray(plain[1])
    seen_through.putalpha(Image.fromarray(plain[2]))
    seen_through.save(path / "1.png")
    frames = [Image.fromarray(one) for one in plain[2:4]]
    frames[0].save(path / "2.png", save_all=True, append_images=frames[1:])
    cohort = load_images(path, size=SIDE)
    for told in ("1 picture(s) were turned", "1 picture(s) have transp", "1 picture(s) have sev"):
        assert told in notes(cohort)
    upright = [np.rot90(plain[0], -1), *plain[1:]]
    assert loaded(cohort) == expected(upright, 255)


# --- names ----------------------------------------------------------------------------------------


def test_paths_of_windows_and_capitals(tmp_path):
    pixels = bytes_of(8)
    plain = load_images(folder(tmp_path / "a", pixels), size=SIDE)
    path = folder(tmp_path / "b", pixels)
    (path / "left").mkdir()
    for number in range(8):
        (path / f"{number}.png").rename(path / "left" / f"{number}.PNG")
    text = "\r\n".join(["file,label", *(f"left\\{n}.PNG,{n % 2}" for n in range(8))])
    (path / "labels.csv").unlink()
    (path / "LABELS.CSV").write_text(text)
    cohort = load_images(path, size=SIDE)
    assert loaded(cohort) == loaded(plain)
    assert cohort.card.name == "b/labels.csv"
    Image.fromarray(pixels[0]).save(path / "left" / "spare.JPG")
    assert "1 picture(s) that labels.csv does not name" in notes(load_images(path, size=SIDE))


def test_a_backslash_in_a_name_itself(tmp_path):
    if os.name == "nt":
        pytest.skip("no such names there")
    (tmp_path / "left\\0.png").write_bytes(b"")
    assert named_files(tmp_path / "labels.csv", ["left\\0.png"]) == (tmp_path / "left\\0.png",)


@pytest.mark.parametrize(
    "name", ["C:\\scans\\0.png", "\\\\server\\0.png", "a\\..\\..\\0.png", "../0.png", "/0.png", ""]
)
def test_names_that_lead_elsewhere(tmp_path, name):
    with pytest.raises(DataError, match="row 1 names a file elsewhere"):
        named_files(tmp_path / "labels.csv", [name])


def test_names_that_nearly_fit(tmp_path):
    names = {"Zoe.PNG": "zoe.png", unicodedata.normalize("NFD", "zoé.png"): "zoé.png"}
    for there, asked in names.items():
        (tmp_path / there).write_bytes(b"")
        if (tmp_path / asked).exists():
            pytest.skip("names are not told apart here")
    for asked, told in zip(names.values(), ("only in capitals", "NFC or NFD"), strict=True):
        with pytest.raises(DataError, match=f"no such file .row 1 of labels.csv.*{told}"):
            named_files(tmp_path / "labels.csv", [asked])


def test_two_tables_of_which_none_is_meant(tmp_path):
    for name in ("Labels.csv", "LABELS.csv"):
        (tmp_path / name).write_text("file,label\n")
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("names are not told apart here")
    with pytest.raises(DataError, match="has no labels.csv"):
        find_table(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\n")
    assert find_table(tmp_path).name == "labels.csv"


def test_a_picture_that_is_listed_twice(tmp_path):
    path = folder(tmp_path / "mine", bytes_of(4))
    (path / "labels.csv").write_text("file,label\n0.png,0\n1.png,1\n./0.png,0\n")
    with pytest.raises(DataError, match="rows 1 and 3 name the same picture; remove one"):
        load_images(path)


@pytest.mark.parametrize("how", ["folder", "npz"])
def test_one_image_under_two_patients(tmp_path, how):
    pixels = bytes_of(8)
    pixels[6] = pixels[1]
    who = [f"p{number}" for number in range(8)]
    path = tmp_path / "mine.npz"
    if how == "folder":
        path = folder(tmp_path / "mine", pixels, patient=who)
    else:
        np.savez(path, images=np.stack(pixels), labels=np.arange(8) % 2, patient=np.array(who))
    with pytest.raises(DataError, match="rows 2 and 7 hold the same picture under two patients"):
        load_images(path, size=SIDE)


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_refused_and_does_not_hang(tmp_path, what):
    path = folder(tmp_path / "mine", bytes_of(4))
    (path / "1.png").unlink()
    if what == "pipe" and not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes")
    (os.mkfifo if what == "pipe" else os.mkdir)(path / "1.png")
    with pytest.raises(DataError, match=r"1\.png: this is not a file .row 2"):
        load_images(path)


# --- sizes ----------------------------------------------------------------------------------------


def test_a_bomb_among_the_pictures(tmp_path, monkeypatch):
    path = folder(tmp_path / "mine", bytes_of(4))
    Image.new("1", (13_000, 13_000)).save(path / "2.png")
    assert (path / "2.png").stat().st_size < 100_000
    monkeypatch.setattr(image_files, "read_picture", None)  # refused before any is read
    with pytest.raises(DataError, match=r"13000×13000 pixels, 645 MiB.*at most 512.*save it sma"):
        load_images(path)


def test_more_pictures_than_memory(tmp_path, monkeypatch):
    path = folder(tmp_path / "mine", bytes_of(8))
    monkeypatch.setattr(archives, "MAX_BYTES", 8 * 64 * 64 * 4 - 1)
    with pytest.raises(DataError, match=r"labels\.csv: it holds .* take a sample"):
        load_images(path, size=64)
    load_images(path, size=32)


# --- MedMNIST's layout ----------------------------------------------------------------------------


def official(path: Path, labels: int = 2) -> dict[str, np.ndarray]:
    arrays = {}
    for split, count in (("train", 20), ("val", 6), ("test", 8)):
        arrays[f"{split}_images"] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % labels).astype(np.uint8)[:, None]
    np.savez(path, **arrays)
    return arrays


def test_a_medmnist_file_by_its_path_is_read_as_by_its_name(tmp_path, monkeypatch):
    official(tmp_path / "pneumoniamnist.npz")
    monkeypatch.setenv("MEDPRIV_DATA", str(tmp_path))
    named = load_images("pneumoniamnist", patients=20, size=28)
    own = load_images(tmp_path / "pneumoniamnist.npz", patients=20, size=28)
    assert loaded(own) == loaded(named)
    assert own.classes == named.classes == ("normal", "pneumonia")
    assert own.card.name == "pneumoniamnist.npz"
    assert "not the publisher's" in notes(own)
    assert own.card.licence.startswith("yours")
    shutil.copy(tmp_path / "pneumoniamnist.npz", tmp_path / "pneumoniamnist_64.npz")
    assert load_images(tmp_path / "pneumoniamnist_64.npz").classes == named.classes


def test_another_file_of_that_layout_keeps_its_split(tmp_path):
    arrays = official(tmp_path / "mine.npz", labels=4)
    cohort = load_images(tmp_path / "mine.npz", profile="smoke", size=28)
    assert [len(part) for part in cohort.parts().values()] == [10, 10, 6, 8]
    assert cohort.classes == ("0", "1", "2", "3")
    stored = expected(list(arrays["test_images"]), 255)
    assert {image.numpy().tobytes() for image in cohort.test.x} == stored
    assert not cohort.card.patient_identity


@pytest.mark.parametrize("name", ["patient_id", "PatientID", "subject"])
def test_patients_under_another_name_are_not_overlooked(tmp_path, name):
    path = folder(tmp_path / "mine", bytes_of(8), patient=[f"p{n // 2}" for n in range(8)])
    table = path / "labels.csv"
    table.write_text(table.read_text().replace("patient", name))
    with pytest.raises(DataError, match=f"'{name}' is called like one that names the patients"):
        load_images(path, size=SIDE)
