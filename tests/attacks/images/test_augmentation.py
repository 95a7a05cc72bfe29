"""Moved copies: images still, of the images given, and the same for the same seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medpriv.attacks.images.augmentation import moved_copies


@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 4),
    number=st.integers(0, 9),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 100),
)
def test_copies_are_images_of_the_same_size(images, number, channels, seed) -> None:
    own = torch.rand(images, channels, 16, 16)
    copies = moved_copies(own, number, seed=seed)
    assert copies.shape == (number, channels, 16, 16)
    assert copies.dtype == torch.float32
    assert bool(((copies >= 0) & (copies <= 1)).all())
    assert torch.equal(copies, moved_copies(own, number, seed=seed))


def test_each_image_is_copied_about_equally_often_and_no_copy_is_like_another() -> None:
    """Images of one grey each, so that a copy tells whose it is: by its brightest place."""
    own = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1, 1).expand(3, 1, 16, 16)
    copies = moved_copies(own, 300)
    brightness = copies.amax(dim=(1, 2, 3))
    order = torch.arange(300) % 3
    means = torch.stack([brightness[order == row].mean() for row in range(3)])
    assert bool((means.diff() > 0.15).all())
    assert len(torch.unique(copies.flatten(1), dim=0)) == 300


def test_half_of_the_copies_are_mirrored() -> None:
    """An image that is bright on the left: 400 fair coins stay within 0.4 to 0.6 but for 1e-4."""
    own = torch.zeros(1, 1, 32, 32)
    own[..., :16] = 1
    copies = moved_copies(own, 400)
    left, right = copies[..., :16].mean(dim=(1, 2, 3)), copies[..., 16:].mean(dim=(1, 2, 3))
    assert 0.4 < (left < right).float().mean() < 0.6


def test_no_image_is_no_copy() -> None:
    with pytest.raises(ValueError, match="no image to copy"):
        moved_copies(torch.zeros(0, 1, 8, 8), 3)
