"""The strict readers: what they read, and what they refuse and how they say it."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medpriv.data import archives as readers
from medpriv.data.archives import read_npz, read_tar
from medpriv.data.cohort import DataError
from medpriv.data.csv_files import class_labels, codes, numbers, read_csv
from medpriv.data.image_files import read_picture, resize, resize_mask, to_images

HTML = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"
HERE = Path("toy.npz")


def tar(path: Path, *members: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def everything(name: str) -> bool:
    return True


# --- .npz -----------------------------------------------------------------------------------------


def test_npz_gives_its_arrays(tmp_path):
    path = tmp_path / "toy.npz"
    np.savez_compressed(path, a=np.arange(3), b=np.array(["x", "yy"]))
    arrays = read_npz(path, ("a",))
    assert arrays["a"].tolist() == [0, 1, 2]
    assert arrays["b"].tolist() == ["x", "yy"]


def test_npz_lacking_an_array(tmp_path):
    path = tmp_path / "toy.npz"
    np.savez(path, images=np.zeros(2))
    with pytest.raises(DataError, match=r"toy\.npz: it lacks labels \(it holds images\)"):
        read_npz(path, ("images", "labels"))


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "the file is empty"),
        (HTML, "this is a web page"),
        (b"<HTML>no</HTML>", "this is a web page"),
        (b"PK\x03\x04 but no more", "no .npz file, or it is cut off"),
        (b"\x93NUMPY", "no .npz file"),
    ],
)
def test_file_that_is_no_npz(tmp_path, content, wrong):
    path = tmp_path / "toy.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=wrong):
        read_npz(path, ("images",))


@given(keep=st.floats(0.01, 0.99))
@settings(max_examples=30, deadline=None)
def test_npz_cut_off_anywhere_is_refused(tmp_path_factory, keep):
    path = tmp_path_factory.mktemp("npz") / "toy.npz"
    np.savez_compressed(path, images=np.random.default_rng(0).integers(0, 255, (9, 9, 9)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match=r"toy\.npz: "):
        read_npz(path, ("images",))


def test_npz_with_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "toy.npz"
    np.savez(path, images=np.zeros((40, 40), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_npz(path, ("images",))


def test_npz_with_python_objects_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (marker,))

    path = tmp_path / "toy.npz"
    np.savez(path, images=np.array([Bomb()], dtype=object), labels=np.zeros(1))
    with pytest.raises(DataError, match="Python objects"):
        read_npz(path, ("images", "labels"))
    assert not marker.exists()


def test_huge_files_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, images=np.zeros((1000, 1000), dtype=np.uint8))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(readers, "MAX_BYTES", 500_000)
    with pytest.raises(DataError, match=r"would be read into memory.*take a sample"):
        read_npz(path, ("images",))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_npz(tmp_path / "no.npz", ("images",))
    with pytest.raises(DataError, match="this is not a file"):
        read_npz(tmp_path, ("images",))


def test_damaged_file_in_the_cache_says_that_it_can_be_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path))
    path = tmp_path / "data" / "toy.npz"
    path.parent.mkdir()
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="delete it, and it will be downloaded again"):
        read_npz(path, ("images",))


# --- .tar.gz --------------------------------------------------------------------------------------


def test_tar_gives_the_wanted_files_and_extracts_none(tmp_path):
    path = tar(tmp_path / "toy.tgz", ("a/1.txt", b"one"), ("a/2.xml", b"two"), ("3.txt", b""))
    found = dict(read_tar(path, lambda name: name.endswith(".txt")))
    assert found == {"a/1.txt": b"one", "3.txt": b""}
    assert [file.name for file in tmp_path.iterdir()] == ["toy.tgz"]


@pytest.mark.parametrize(
    "name", ["../evil.txt", "a/../../evil.txt", "/etc/evil.txt", "..\\evil.txt", "C:\\evil.txt"]
)
def test_tar_with_a_name_that_leads_outside(tmp_path, name):
    (tmp_path / "in").mkdir()
    path = tar(tmp_path / "in" / "toy.tgz", (name, b"x"))
    with pytest.raises(DataError, match="leads outside of the archive"):
        list(read_tar(path, everything))
    assert [file.name for file in tmp_path.rglob("*")] == ["in", "toy.tgz"]


def test_tar_with_a_link_that_leads_outside(tmp_path):
    link = tarfile.TarInfo("inside.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "../../etc/passwd"
    path = tar(tmp_path / "toy.tgz", (link, b""))
    with pytest.raises(DataError, match="leads outside of the archive"):
        list(read_tar(path, everything))


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9, 0.99])
def test_tar_cut_off(tmp_path, keep):
    noise = np.random.default_rng(0).bytes(50_000)
    path = tar(tmp_path / "toy.tgz", ("1.bin", noise), ("2.bin", noise[::-1]))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(DataError, match="damaged or cut off"):
        list(read_tar(path, everything))


@pytest.mark.parametrize("content", [b"nonsense", gzip.compress(b"no tar inside", mtime=0), HTML])
def test_file_that_is_no_tar(tmp_path, content):
    path = tmp_path / "toy.tgz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"toy\.tgz: .*(damaged|web page)"):
        list(read_tar(path, everything))


# --- .csv -----------------------------------------------------------------------------------------


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x y\n 2 ,é\n",
        "\ufeffa,b\r\n1,x y\r\n2,é\r\n",
        "a;b\n1;x y\n2;é\n",
        'a , b\n"1","x y"\n2,é',
    ],
)
def test_csv_gives_stripped_text(tmp_path, text):
    frame = read_csv(write(tmp_path / "toy.csv", text), ("a", "b"))
    assert frame["a"].tolist() == ["1", "2"]
    assert frame["b"].tolist() == ["x y", "é"]
    assert numbers(frame, "a", HERE).tolist() == [1.0, 2.0]


def test_csv_keeps_words_that_look_missing(tmp_path):
    frame = read_csv(write(tmp_path / "toy.csv", "a,b\nNA,1\nnull,2\n,3\n"))
    assert frame["a"].tolist() == ["NA", "null", ""]


@pytest.mark.parametrize(
    ("text", "encoding", "wrong"),
    [
        ("", "utf-8", "the file is empty"),
        ("a,b\n", "utf-8", r"has 0 row\(s\)"),
        ("a,b\n1,2\n", "utf-8", r"has 1 row\(s\)"),
        ("a,c\n1,2\n3,4\n", "utf-8", r"lacks the column\(s\) b \(it has a, c\)"),
        ("a,b,a\n1,2,3\n4,5,6\n", "utf-8", "names a twice"),
        ("a,b\n1,2\n1,2,3\n", "utf-8", "this is no table"),
        ("a,b\n1,2,3\n4,5,6\n", "utf-8", "this is no table"),
        ('a,b\n1,"2\n3,4\n', "utf-8", "this is no table"),
        ("a,b\n1,é\n2,ü\n", "latin-1", "not encoded in UTF-8.*'CSV UTF-8'"),
        ("a,b\n1,2\n3,4\n", "utf-16", "not encoded in UTF-8.*UTF-16"),
        ("a,b\n1,2\n3,4\n", "utf-16-le", "not encoded in UTF-8.*UTF-16"),
        (HTML.decode(), "utf-8", "web page"),
        ("\n\n\n", "utf-8", "this is no table|lacks the column"),
    ],
)
def test_csv_that_is_refused(tmp_path, text, encoding, wrong):
    with pytest.raises(DataError, match=rf"toy\.csv: .*({wrong})"):
        read_csv(write(tmp_path / "toy.csv", text, encoding), ("a", "b"))


@pytest.mark.parametrize("cell", ["", "many", "nan", "inf", "1,5", "12 kg"])
def test_text_in_a_number_column(tmp_path, cell):
    frame = read_csv(write(tmp_path / "toy.csv", f'a,b\n1,2\n3,"{cell}"\n'))
    with pytest.raises(DataError, match=rf"column 'b' has '{cell}' in row 2"):
        numbers(frame, "b", HERE)


def test_codes_are_positions(tmp_path):
    frame = read_csv(write(tmp_path / "toy.csv", "a,b\n3,1\n1.0,1\n2,9\n"))
    assert codes(frame, "a", ("1", "2", "3"), HERE).tolist() == [2, 0, 1]
    with pytest.raises(DataError, match=r"column 'b' has '9' in row 3.*expected one of 1, 2"):
        codes(frame, "b", ("1", "2"), HERE)


@pytest.mark.parametrize(
    ("labels", "coded", "classes"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([0.0, 1.0, 1.0], [0, 1, 1], ("0", "1")),
        (["10", "9", "10"], [1, 0, 1], ("9", "10")),
        ([[3], [1], [3]], [1, 0, 1], ("1", "3")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
    ],
)
def test_labels_of_any_kind(labels, coded, classes):
    values, names = class_labels(np.array(labels), HERE)
    assert values.tolist() == coded
    assert values.dtype == np.int64
    assert names == classes


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        (["a", "", "b"], r"1 label\(s\) are missing, the first in row 2"),
        ([0.0, np.nan, 1.0], "missing"),
        (["a", "NA"], "missing"),
        ([0.5, 1.0], "fractions"),
        ([1, 1, 1], "all labels are 1"),
        (list(range(101)), "101 different labels"),
        (np.zeros((3, 2)), "shape"),
    ],
)
def test_labels_that_are_refused(labels, wrong):
    with pytest.raises(DataError, match=wrong):
        class_labels(np.array(labels), HERE)


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 20, 30), (2, 1, 20, 30), (2, 20, 30, 1)])
def test_grey_images_of_any_layout(shape):
    pixels = np.arange(1200, dtype=np.float32).reshape(shape) / 1200
    images = to_images(pixels, HERE)
    assert images.shape == (2, 1, 20, 30)
    assert images[1, 0, 0, 0] == pytest.approx(0.5)


def test_colour_images_of_both_layouts_agree():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    last, first = to_images(pixels, HERE), to_images(np.moveaxis(pixels, -1, 1), HERE)
    assert torch.equal(last, first)
    assert last.shape == (2, 3, 20, 30)
    assert last.max() <= 1


@pytest.mark.parametrize(
    ("pixels", "wrong"),
    [
        (np.zeros((2, 4)), "has shape"),
        (np.zeros((2, 4, 4, 2)), "has shape"),
        (np.zeros((0, 4, 4)), "has shape"),
        (np.zeros((2, 4, 4), dtype=np.int64), "has type int64"),
        (np.zeros((2, 4, 4), dtype=np.uint16), "has type uint16"),
        (np.full((2, 4, 4), 1.5), "floats from 1.5 to 1.5"),
        (np.full((2, 4, 4), -0.1), "floats from -0.1"),
        (np.array([np.zeros((4, 4)), np.full((4, 4), np.nan)]), "1 of 2 images.*position 1"),
        (np.full((2, 4, 4), np.inf), "not finite"),
    ],
)
def test_images_that_are_refused(pixels, wrong):
    with pytest.raises(DataError, match=wrong):
        to_images(pixels, HERE)


@given(size=st.integers(16, 48), level=st.floats(0, 1, width=32))
@settings(max_examples=25, deadline=None)
def test_resizing_keeps_range_and_constants(size, level):
    flat = resize(torch.full((2, 1, 28, 28), level), size)
    assert flat.shape == (2, 1, size, size)
    assert torch.allclose(flat, torch.tensor(level), atol=1e-6)
    noise = resize(torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0)), size)
    assert noise.min() >= 0
    assert noise.max() <= 1


def test_halving_an_image_averages_blocks_of_a_checkerboard():
    # An antialiased filter turns a fine checkerboard into its mean; a plain one picks a colour.
    board = (torch.arange(64)[:, None] + torch.arange(64)[None]) % 2
    small = resize(board.float()[None, None], 32)
    assert torch.allclose(small[..., 2:-2, 2:-2], torch.tensor(0.5), atol=1e-3)


def test_resized_mask_is_a_mask():
    mask = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    mask[..., :32] = True
    small = resize_mask(mask, 32)
    assert small.dtype == torch.bool
    assert small[..., :16].all()
    assert not small[..., 16:].any()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 51, 0.2),
        ("1", 1, 1.0),
        ("LA", (51, 9), 0.2),
        ("RGB", (51, 102, 255), (0.2, 0.4, 1.0)),
        ("RGBA", (51, 102, 255, 9), (0.2, 0.4, 1.0)),
        ("I;16", 13107, 0.2),
    ],
)
def test_pictures_of_every_mode(tmp_path, mode, colour, expected):
    path = tmp_path / "toy.png"
    Image.new(mode, (5, 4), colour).save(path)
    picture = read_picture(path)
    assert picture.shape[:2] == (4, 5)
    assert np.allclose(picture[0, 0], expected, atol=1e-4)


def test_palette_picture_has_its_colours(tmp_path):
    path = tmp_path / "toy.png"
    Image.new("RGB", (5, 4), (255, 0, 0)).convert("P").save(path)
    assert np.allclose(read_picture(path)[0, 0], (1, 0, 0), atol=0.02)


@pytest.mark.parametrize("content", [b"", b"nonsense", HTML])
def test_picture_that_is_none(tmp_path, content):
    path = tmp_path / "toy.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"toy\.png: this picture cannot be read"):
        read_picture(path)


def test_picture_cut_off(tmp_path):
    path = tmp_path / "toy.png"
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"toy\.png: this picture cannot be read"):
        read_picture(path)
