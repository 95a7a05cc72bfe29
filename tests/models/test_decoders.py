"""The decoder, and its linear path in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.nn import functional as F

from medpriv.models import PixelShuffleDecoder, solve_linear_path
from medpriv.runtime.seeds import seeded, torch_rng


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch_rng(seed, "features"))


def decoder(features: Tensor, **options) -> PixelShuffleDecoder:
    with seeded(0, "test"):
        return PixelShuffleDecoder(features, **options).eval()


def neighbourhoods(model: PixelShuffleDecoder, features: Tensor) -> np.ndarray:
    """The design matrix by explicit slicing: channel, row and column of the 3x3 window."""
    x = model.normalise(features).double().numpy()
    n, c, h, w = x.shape
    padded = np.zeros((n, c, h + 2, w + 2))
    padded[:, :, 1:-1, 1:-1] = x
    rows = [
        padded[i, :, y : y + 3, z : z + 3].ravel()
        for i in range(n)
        for y in range(h)
        for z in range(w)
    ]
    return np.array(rows)


def blocks(images: Tensor, factor: int) -> np.ndarray:
    """The block of pixels that belongs to each feature, channel by channel."""
    n, _, size, _ = images.shape
    places = range(size // factor)
    f = factor
    rows = [
        images[i, :, y * f : (y + 1) * f, z * f : (z + 1) * f].numpy().ravel()
        for i in range(n)
        for y in places
        for z in places
    ]
    return np.array(rows, dtype=float)


# --- Shapes ---------------------------------------------------------------------------------------


@given(
    own=st.integers(1, 12),
    factor=st.integers(1, 5),
    width=st.integers(1, 3),
    channels=st.sampled_from([1, 3]),
)
@settings(max_examples=50)
def test_any_multiple_of_the_features_size_is_possible(
    own: int, factor: int, width: int, channels: int
) -> None:
    features, size = normal(2, width, own, own), own * factor
    model = decoder(features, channels=channels, size=size, width=4, depth=1)
    assert model(features).shape == (2, channels, size, size)


@given(size=st.integers(1, 40), channels=st.sampled_from([1, 3]))
@settings(max_examples=40)
def test_any_size_from_dense_features(size: int, channels: int) -> None:
    features = normal(2, 5)
    model = decoder(features, channels=channels, size=size, width=4, depth=1)
    assert model(features).shape == (2, channels, size, size)


def test_a_size_that_is_no_multiple() -> None:
    with pytest.raises(ValueError, match="image size 30 is no multiple of the features' size 8"):
        decoder(normal(2, 3, 8, 8), channels=1, size=30)


# --- Normalisation --------------------------------------------------------------------------------


def test_each_channel_is_centred_and_scaled() -> None:
    features = normal(20, 3, 4, 4) * torch.tensor([1.0, 50.0, 1e-2])[:, None, None] + 7
    x = decoder(features, channels=1, size=8).normalise(features)
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(x.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_a_silent_channel_stays_finite() -> None:
    features = normal(5, 2, 4, 4)
    features[:, 1] = 3.0
    model = decoder(features, channels=1, size=8)
    assert not model.normalise(features)[:, 1].any()
    assert torch.isfinite(model(features)).all()


# --- The linear path ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (3, 6)])
def test_a_new_decoder_is_its_linear_path(shape: tuple[int, ...]) -> None:
    features = normal(*shape)
    model = decoder(features, channels=1, size=16)
    linear = model.linear_shuffle(model.linear(model.normalise(features)))
    assert torch.equal(model(features), linear)


@pytest.mark.parametrize("penalty", [1e-3, 0.5])
@pytest.mark.parametrize(("own", "factor", "channels"), [(4, 2, 1), (6, 1, 1), (3, 4, 3)])
def test_it_is_the_ridge_of_sklearn(penalty: float, own: int, factor: int, channels: int) -> None:
    features = normal(12, 2, own, own)
    images = torch.rand(12, channels, own * factor, own * factor, generator=torch_rng(1, "x"))
    model = decoder(features, channels=channels, size=own * factor)
    solve_linear_path(model, features, images, penalty=penalty)
    design = neighbourhoods(model, features)
    # Our penalty is relative to the mean squared feature; sklearn's is absolute.
    alpha = penalty * (design**2).sum(axis=0).mean()
    ridge = Ridge(alpha=alpha, solver="cholesky", fit_intercept=False)
    # The bias is a column of ones that is not penalised: centre by hand.
    middle, target = design.mean(0), blocks(images, factor)
    ridge.fit(design - middle, target - target.mean(0))
    coefficients = np.atleast_2d(ridge.coef_)
    expected = (design - middle) @ coefficients.T + target.mean(0)
    found = blocks(model(features).detach(), factor)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    weight = model.linear.weight.detach().flatten(1).numpy()
    np.testing.assert_allclose(weight, coefficients, atol=1e-4)


@pytest.mark.parametrize(("own", "factor"), [(6, 1), (4, 2)])
def test_a_known_convolution_is_recovered(own: int, factor: int) -> None:
    """Images made by a linear map of the features: least squares finds that map."""
    features = normal(60, 3, own, own)
    model = decoder(features, channels=1, size=own * factor)
    kernel = 0.1 * normal(factor**2, 3, 3, 3, seed=1)
    bias = 0.5 + 0.1 * normal(factor**2, seed=2)
    images = F.pixel_shuffle(F.conv2d(model.normalise(features), kernel, bias, padding=1), factor)
    solve_linear_path(model, features, images, penalty=1e-9)
    torch.testing.assert_close(model.linear.weight.detach(), kernel, rtol=0, atol=1e-4)
    torch.testing.assert_close(model.linear.bias.detach(), bias, rtol=0, atol=1e-4)
    torch.testing.assert_close(model(features).detach(), images, rtol=0, atol=1e-3)


def test_a_known_map_of_dense_features_is_recovered() -> None:
    features, kernel = normal(80, 5), normal(64, 5, seed=1)
    model = decoder(features, channels=1, size=8)
    flat = model.normalise(features).flatten(1) @ kernel.T + 0.5
    images = F.pixel_shuffle(flat[..., None, None], 8)
    solve_linear_path(model, features, images, penalty=1e-9)
    torch.testing.assert_close(model(features).detach(), images, rtol=0, atol=1e-3)


@given(chunk=st.integers(1, 30))
@settings(max_examples=15)
def test_chunks_do_not_change_the_solution(chunk: int) -> None:
    features, images = normal(20, 3, 4, 4), normal(20, 1, 8, 8, seed=1)
    whole, parts = (decoder(features, channels=1, size=8) for _ in range(2))
    solve_linear_path(whole, features, images, chunk=1000)
    solve_linear_path(parts, features, images, chunk=chunk)
    torch.testing.assert_close(parts.linear.weight, whole.linear.weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(parts.linear.bias, whole.linear.bias, rtol=0, atol=1e-5)


def test_a_smaller_penalty_fits_closer_and_a_larger_one_shrinks() -> None:
    features, images = normal(8, 4, 4, 4), normal(8, 1, 8, 8, seed=1)
    errors, sizes = [], []
    for penalty in (1e-6, 1e-2, 1.0, 100.0):
        model = decoder(features, channels=1, size=8)
        solve_linear_path(model, features, images, penalty=penalty)
        errors.append((model(features) - images).pow(2).mean().item())
        sizes.append(model.linear.weight.norm().item())
    assert errors == sorted(errors)
    assert sizes == sorted(sizes, reverse=True)


def test_features_that_never_vary_leave_the_mean_block() -> None:
    features, images = torch.full((10, 2, 4, 4), 3.0), normal(10, 1, 8, 8)
    model = decoder(features, channels=1, size=8)
    solve_linear_path(model, features, images)
    expected = torch.from_numpy(blocks(images, 2).mean(0)).float()
    torch.testing.assert_close(model.linear.bias.detach(), expected, rtol=0, atol=1e-5)
    assert not model.linear.weight.any()


def test_only_the_linear_path_is_changed() -> None:
    features = normal(5, 2, 4, 4)
    model, before = (decoder(features, channels=1, size=8) for _ in range(2))
    solve_linear_path(model, features, normal(5, 1, 8, 8, seed=1))
    for (name, mine), old in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, old) != name.startswith("linear.")
        assert mine.requires_grad


def test_each_device_gives_the_same_solution(device: str) -> None:
    features, images = normal(20, 3, 4, 4), normal(20, 1, 8, 8, seed=1)
    here, there = (decoder(features, channels=1, size=8) for _ in range(2))
    solve_linear_path(here, features, images)
    solve_linear_path(there.to(device), features, images)
    torch.testing.assert_close(there.cpu().linear.weight, here.linear.weight, rtol=0, atol=1e-4)


@pytest.mark.parametrize("front", [0, 1])
def test_tokens_of_patches_are_a_grid_of_features(front: int) -> None:
    """The same as of the grid that they were, whether a token for the whole stands before them."""
    grid = torch.rand(60, 6, 4, 4, generator=torch_rng(0, "tokens"))
    tokens = torch.cat([torch.ones(60, front, 6), grid.flatten(2).transpose(1, 2)], dim=1)
    images = torch.rand(60, 1, 16, 16, generator=torch_rng(1, "tokens"))
    guesses = []
    for features in (grid, tokens):
        with seeded(0, "test"):
            decoder = PixelShuffleDecoder(features, channels=1, size=16)
        solve_linear_path(decoder, features, images)
        guesses.append(decoder(features))
    torch.testing.assert_close(*guesses)


def test_tokens_that_fill_no_square_are_one_vector() -> None:
    tokens = torch.rand(5, 7, 3, generator=torch_rng(0, "tokens"))
    with seeded(0, "test"):
        decoder = PixelShuffleDecoder(tokens, channels=1, size=16)
    assert decoder(tokens).shape == (5, 1, 16, 16)
    assert decoder.linear.in_channels == 21
