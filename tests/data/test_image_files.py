"""Images from stored pixels and picture files: their range and size, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medpriv.data.cohort import DataError
from medpriv.data.image_files import read_picture, resize, resize_mask, to_images

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
