"""The spectral exponent: right on noise whose exponent is known, silent where it cannot measure."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from medpriv.metrics import spectral_exponent
from medpriv.runtime.seeds import rng


def power_law(beta: float, images: int = 200, size: int = 128) -> Tensor:
    """Gaussian fields whose power falls as frequency to the -beta."""
    axis = np.fft.fftfreq(size)
    radius = np.hypot(axis[:, None], axis)
    radius[0, 0] = np.inf
    noise = np.fft.fft2(rng(0, "noise").standard_normal((images, size, size)))
    field = np.fft.ifft2(noise * radius ** (-beta / 2)).real
    return torch.from_numpy(field[:, None].astype(np.float32))


# Hann's side lobes and the square's few rings bias it by less than 0.15; 200 fields of spread
# about 0.2 leave a standard error of 0.015.
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("region", [24, 32, 64])
def test_the_measured_exponent_is_the_true_one_of_a_power_law(beta: float, region: int) -> None:
    assert abs(spectral_exponent(power_law(beta), region=region).mean() - beta) < 0.15


def test_brightness_and_contrast_do_not_matter() -> None:
    field = power_law(3.0, images=5)
    plain = spectral_exponent(field)
    np.testing.assert_allclose(spectral_exponent(0.1 * field + 0.5), plain, atol=1e-3)


def test_only_the_inside_of_the_mask_is_measured() -> None:
    field = power_law(3.0, images=3, size=64)
    mask = torch.zeros(3, 1, 64, 64, dtype=torch.bool)
    mask[:, :, 10:42, 5:37] = True
    spoiled = torch.where(mask, field, torch.rand(field.shape, generator=torch.manual_seed(0)))
    assert np.array_equal(spectral_exponent(spoiled, mask), spectral_exponent(field, mask))
    assert np.array_equal(
        spectral_exponent(field[..., 10:42, 5:37]), spectral_exponent(field, mask)
    )


def test_colours_are_averaged() -> None:
    field = power_law(2.0, images=3, size=64)
    coloured = torch.cat([field, 2 * field, 0 * field], dim=1)
    np.testing.assert_allclose(spectral_exponent(coloured), spectral_exponent(field), atol=1e-3)


def test_nothing_is_said_where_nothing_can_be_measured() -> None:
    field = power_law(3.0, images=3, size=64)
    mask = torch.zeros(3, 1, 64, 64, dtype=torch.bool)
    mask[1, :, 10:42, 5:37] = True
    assert np.isnan(spectral_exponent(field, mask)).tolist() == [True, False, True]
    assert np.isnan(spectral_exponent(torch.full((2, 1, 40, 40), 0.5))).all()


@pytest.mark.parametrize(
    ("images", "mask", "region"),
    [
        (torch.zeros(2, 1, 20, 64), None, 32),
        (torch.zeros(2, 1, 64, 64), torch.ones(3, 1, 64, 64, dtype=torch.bool), 32),
        (torch.zeros(2, 1, 64, 64), torch.ones(2, 1, 32, 32, dtype=torch.bool), 32),
        (torch.zeros(2, 1, 64, 64), None, 4),
    ],
)
def test_shapes_that_do_not_fit(images: Tensor, mask: Tensor | None, region: int) -> None:
    with pytest.raises(ValueError, match="pass larger images or a smaller region"):
        spectral_exponent(images, mask, region=region)
