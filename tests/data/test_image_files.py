"""Images from stored pixels and picture files: their range and size, and what is refused."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medpriv.data.cohort import DataError
from medpriv.data.image_files import (
    picture_colours,
    read_picture,
    resize,
    resize_mask,
    to_images,
)

HTML = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"
HERE = Path("toy.npz")


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
        (np.array([np.zeros((4, 4)), np.full((4, 4), np.nan)]), "1 image.*not finite.*in row 2"),
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
    assert picture.pixels.shape[:2] == (4, 5)
    full = 65535 if picture.pixels.dtype == np.uint16 else 255
    assert np.allclose(picture.pixels[0, 0] / full, expected, atol=1e-4)
    assert picture.remarks == ({"transparent"} if mode.endswith("A") else set())


def test_palette_picture_has_its_colours(tmp_path):
    path = tmp_path / "toy.png"
    Image.new("RGB", (5, 4), (255, 0, 0)).convert("P").save(path)
    assert np.allclose(read_picture(path).pixels[0, 0], (255, 0, 0), atol=5)


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


# --- random pictures ------------------------------------------------------------------------------

# How each of the eight orientations shows stored pixels upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "YCbCr", "LAB")
SAVED = {"png": "PNG", "tif": "TIFF", "bmp": "BMP", "gif": "GIF", "jpg": "JPEG", "webp": "WEBP"}


def drawn(mode: str, draw: np.random.Generator, top: int) -> tuple[Image.Image, np.ndarray, bool]:
    """A random picture, what its pixels mean, and whether some are transparent."""
    shape = (int(draw.integers(2, 9)), int(draw.integers(2, 9)))
    if mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        pixels = (draw.random(shape) * (1 if mode == "F" else top)).astype(kind)
        return Image.fromarray(pixels), pixels, False
    if mode == "P":
        index = draw.integers(0, 4, shape).astype(np.uint8)
        palette = draw.integers(0, 256, (4, 3)).astype(np.uint8)
        picture = Image.frombytes("P", shape[::-1], index.tobytes())
        picture.putpalette(palette.tobytes())
        return picture, palette[index], False
    if mode == "1":
        inside = draw.random(shape) < 0.5
        return Image.fromarray(inside), inside.astype(np.uint8) * 255, False
    bands = {"L": 1, "LA": 2, "RGBA": 4, "CMYK": 4}.get(mode, 3)
    pixels = draw.integers(0, 256, (*shape, bands)).astype(np.uint8)
    picture = Image.frombytes(mode, shape[::-1], pixels.tobytes())
    clear = mode in ("LA", "RGBA") and bool((pixels[..., -1] < 255).any())
    return picture, pixels[..., 0] if bands < 3 else pixels[..., :3], clear


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_picture_is_read_as_it_was_written_or_refused(tmp_path_factory, data):
    mode, suffix = data.draw(st.sampled_from(MODES)), data.draw(st.sampled_from(sorted(SAVED)))
    top = data.draw(st.sampled_from([2, 256, 4096, 65536, 2**31 - 1]))
    turn = data.draw(st.integers(1, 8))
    key = data.draw(st.booleans())
    draw = np.random.default_rng(data.draw(st.integers(0, 2**20)))
    picture, truth, clear = drawn(mode, draw, min(top, 65536) if mode == "I;16" else top)
    more, exif = {}, Image.Exif()
    exif[0x0112] = turn
    if suffix in ("png", "tif", "jpg"):
        more["exif"] = exif
    if suffix == "png" and key and mode in ("L", "RGB", "P", "1", "I;16"):
        first = 2 if mode == "P" else truth[0, 0]
        more["transparency"] = tuple(map(int, first)) if mode == "RGB" else int(first)
        hit = (
            np.frombuffer(picture.tobytes(), np.uint8) == 2
            if mode == "P"
            else (truth == first).all(-1)
            if mode == "RGB"
            else truth == first
        )
        clear = bool(hit.any())
    clear = clear and suffix != "bmp"  # whose fourth byte is spare
    path = tmp_path_factory.mktemp("pictures") / f"toy.{suffix}"
    try:
        picture.save(path, SAVED[suffix], **more)
    except (OSError, ValueError, KeyError):
        return  # this format has no such pictures
    try:
        read = read_picture(path)
    except DataError as error:
        told = str(error)
        unread = mode in ("CMYK", "YCbCr", "LAB") or suffix in ("gif", "webp")
        assert unread or (mode == "I" and top > 65536), told
        return
    assert suffix in ("png", "tif", "bmp", "jpg")
    assert picture_colours(path) == (3 if read.pixels.ndim == 3 else 1)
    if suffix == "jpg":  # whose pixels are not those that were written
        return
    shown = UPRIGHT[turn](truth) if "exif" in more else truth
    assert read.pixels.shape == shown.shape
    assert np.array_equal(read.pixels, shown)
    assert ("turned" in read.remarks) == (turn > 1 and "exif" in more)
    assert ("transparent" in read.remarks) == clear


def test_a_turned_jpeg(tmp_path):
    for turn, upright in UPRIGHT.items():
        pixels = np.zeros((32, 48), dtype=np.uint8)
        pixels[:16, :16] = 255
        exif = Image.Exif()
        exif[0x0112] = turn
        path = tmp_path / f"{turn}.jpg"
        Image.fromarray(pixels).save(path, exif=exif, quality=95)
        assert np.allclose(read_picture(path).pixels, upright(pixels), atol=5)


# --- what would be misread ------------------------------------------------------------------------


def test_postscript_in_the_place_of_a_picture_starts_no_program(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", None)  # fails if it is called
    path = tmp_path / "toy.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with pytest.raises(DataError, match=r"cannot be read \(it is no PNG, JPEG, TIFF or BMP"):
        read_picture(path)


def png_of_16_bits(path: Path, bands: int) -> None:
    """A PNG that Pillow cannot write: 16 bits for each of several bands."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", 4, 4, 16, {2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    line = b"\0" + np.full(4 * bands, 4095, dtype=">u2").tobytes()
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(line * 4))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("bands", [2, 3, 4])
def test_colours_of_16_bits_lose_no_half_in_silence(tmp_path, bands):
    png_of_16_bits(tmp_path / "toy.png", bands)
    with pytest.raises(DataError, match="16 bits for each colour or with transparency"):
        read_picture(tmp_path / "toy.png")


def tiff(path: Path, pixels: np.ndarray, white_is_0: bool = False) -> Path:
    """A plain TIFF of grey pixels of any type."""
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    height, width = pixels.shape
    tags = [
        (256, width), (257, height), (258, 8 * pixels.itemsize), (259, 1),
        (262, 0 if white_is_0 else 1), (273, 8), (277, 1), (278, height), (279, pixels.nbytes),
        (339, kind),
    ]  # fmt: skip
    body = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    body += b"\0" * (len(body) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    path.write_bytes(start + body + struct.pack("<H", len(tags)) + entries + b"\0" * 4)
    return path


@given(
    kind=st.sampled_from(["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"]),
    white_is_0=st.booleans(),
    top=st.sampled_from([1, 127, 4095, 60000]),
    low=st.sampled_from([0, -5]),
)
@settings(max_examples=100, deadline=None)
def test_a_tiff_of_any_type_is_read_as_it_is_or_refused(
    tmp_path_factory, kind, white_is_0, top, low
):
    pixels = np.linspace(low, top, 12).reshape(3, 4)
    pixels = pixels.astype(kind) if np.iinfo("i4").max > top else pixels
    path = tiff(tmp_path_factory.mktemp("tiff") / "toy.tif", pixels, white_is_0)
    try:
        read = read_picture(path).pixels
    except DataError:
        fits = kind in ("u1", "u2") or (kind == "f4" and (low, top) == (0, 1))
        assert white_is_0 or not fits
        return
    assert read.dtype.name in ("uint8", "uint16", "float32")
    if white_is_0:
        pixels = 255 - pixels
        assert kind == "u1"
    assert np.allclose(read, pixels)


def test_floats_beyond_0_to_1_and_shapes_are_refused(tmp_path):
    for pixels, wrong in [
        (np.array([[0.0, 40.5]]), "floats from 0 to 40.5"),
        (np.array([[0.0, np.nan]]), "not finite"),
        (np.array([[-1, 4]], dtype=np.int32), "whole numbers from -1 to 4"),
    ]:
        kind = np.float32 if pixels.dtype.kind == "f" else pixels.dtype
        with pytest.raises(DataError, match=wrong):
            read_picture(tiff(tmp_path / "toy.tif", pixels.astype(kind)))


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_tiff_is_not_garbled(tmp_path, turn):
    """Of a file that it maps, Pillow takes the turned size for the stored one."""
    pixels, exif = np.arange(42, dtype=np.uint8).reshape(6, 7), Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(pixels).save(tmp_path / "turned.tif", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "turned.tif").pixels, UPRIGHT[turn](pixels))
