"""The losses for training: they agree with the judges, and their slopes point the right way."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from medpriv.metrics import ssim
from medpriv.models import distance_correlation, total_variation
from medpriv.models.losses import structural_loss
from medpriv.runtime.seeds import torch_rng


def images(number: int, *, channels: int = 1, high: int = 24, wide: int = 24, seed: int = 0):
    coarse = torch.rand(number, channels, 6, 6, generator=torch_rng(seed, "losses"))
    return F.interpolate(coarse, size=(high, wide), mode="bilinear")


@pytest.mark.parametrize(("channels", "high", "wide"), [(1, 24, 24), (3, 16, 40), (1, 11, 11)])
def test_the_structural_loss_is_one_minus_scikit_images_ssim(channels, high, wide) -> None:
    a = images(5, channels=channels, high=high, wide=wide)
    b = images(5, channels=channels, high=high, wide=wide, seed=1)
    ours = 1 - float(structural_loss(a, b))
    assert ours == pytest.approx(ssim(a, b).mean(), abs=1e-5)


def test_equal_images_lose_nothing_and_descent_finds_the_other_image() -> None:
    truth = images(2)
    assert float(structural_loss(truth, truth)) == pytest.approx(0, abs=1e-6)
    guess = torch.full_like(truth, 0.5).requires_grad_()
    optimizer = torch.optim.Adam([guess], lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        structural_loss(guess, truth).backward()
        optimizer.step()
    assert ssim(truth, guess.detach().clamp(0, 1)).min() > 0.95


@pytest.mark.parametrize("shapes", [((2, 1, 24, 24), (1, 1, 24, 24)), ((2, 1, 10, 24),) * 2])
def test_shapes_that_cannot_be_compared_are_refused(shapes) -> None:
    with pytest.raises(ValueError, match="at least 11 pixels wide and high, got"):
        structural_loss(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    assert total_variation(image).tolist() == [(1.0 + 0.0 + 0.5 + 0.5) / 4]


def test_total_variation_of_constant_and_of_single_pixels_is_0() -> None:
    assert total_variation(torch.full((1, 1, 2, 3), 0.4)).tolist() == [0]
    assert total_variation(torch.rand(2, 1, 1, 1)).tolist() == [0, 0]


@given(shift=st.floats(-3, 3), factor=st.floats(-4, 4))
def test_total_variation_ignores_brightness_and_scales_with_contrast(shift, factor) -> None:
    x = images(2, channels=2)
    base = total_variation(x)
    assert torch.allclose(total_variation(x + shift), base, rtol=1e-3, atol=1e-3)
    assert torch.allclose(total_variation(factor * x), abs(factor) * base, rtol=1e-3, atol=1e-4)


# --- Distance correlation -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_distance_correlation_is_dcors(seed: int) -> None:
    import dcor  # here, since it compiles when it is imported, and only this test needs it

    draw = torch_rng(seed, "pairs")
    x = torch.randn(40, 6, generator=draw, dtype=torch.float64)
    y = x[:, :3].square() + torch.randn(40, 3, generator=draw, dtype=torch.float64)
    plain = dcor.distance_correlation(x.numpy(), y.numpy())
    unbiased = dcor.u_distance_correlation_sqr(x.numpy(), y.numpy())
    assert distance_correlation(x, y, unbiased=False).item() == pytest.approx(plain, abs=1e-9)
    assert distance_correlation(x, y).item() == pytest.approx(unbiased, abs=1e-9)


def test_the_plain_estimate_misleads_in_many_dimensions() -> None:
    draw = torch_rng(0, "independent")
    x, y = torch.randn(64, 784, generator=draw), torch.randn(64, 128, generator=draw)
    assert distance_correlation(x, y, unbiased=False).item() == pytest.approx(0.966, abs=0.01)
    assert distance_correlation(x, y).abs().item() < 0.1


def test_it_sees_what_squared_distances_do_not() -> None:
    x = torch.linspace(-1, 1, 200, dtype=torch.float64)[:, None]
    assert distance_correlation(x, x.square(), unbiased=False).item() > 0.4
    assert distance_correlation(x, x).item() == pytest.approx(1)


def test_it_has_a_gradient_and_wants_rows() -> None:
    x = torch.randn(10, 3, generator=torch_rng(0, "x"), requires_grad=True)
    distance_correlation(x, torch.ones(10, 2) * torch.arange(10)[:, None]).backward()
    assert x.grad.isfinite().all()
    x.grad = None
    distance_correlation(x, torch.ones(10, 2)).backward()  # nothing varies, nothing goes with it
    assert x.grad.isfinite().all()
    with pytest.raises(ValueError, match="four or more"):
        distance_correlation(torch.zeros(3, 1), torch.zeros(3, 1))
