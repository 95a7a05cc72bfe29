"""The strict readers: what they read, and what they refuse and how they say it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpriv.data import archives as readers
from medpriv.data.archives import read_npz, read_tar
from medpriv.data.cohort import DataError

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


@pytest.mark.parametrize("shape", [(2000, 1000, 1000), (2**40, 2**20, 1)])
def test_an_array_that_would_fill_memory_is_refused_by_its_head(tmp_path, shape):
    """As uint8 the first fits, as float32 not; the second is all promise."""
    head = io.BytesIO()
    what = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, what)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("images.npy", head.getvalue() + b"\0" * 1000)
    with pytest.raises(DataError, match=r"it holds .* GiB and would be read into memory"):
        read_npz(tmp_path / "bomb.npz", ("images",))
