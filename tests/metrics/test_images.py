"""Scores of a reconstructed image, against scikit-image and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from medpriv.metrics import feature_distance, image_scores, nearest_image, ssim
from medpriv.metrics.images import mse, psnr
from medpriv.models.images import ImageCNN
from medpriv.runtime.seeds import seeded, torch_rng

# Wang et al. 2004, section III.B: an 11x11 circular-symmetric Gaussian of standard deviation 1.5.
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch_rng(seed, "images"))


def noisy(images: Tensor, spread: float = 0.1) -> Tensor:
    noise = torch.randn(images.shape, generator=torch_rng(1, "noise"))
    return (images + spread * noise).clamp(0, 1)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two images of one shape, flat, extreme and random ones among them."""
    shape = (1, draw(st.sampled_from([1, 3])), draw(st.integers(11, 16)), draw(st.integers(11, 16)))
    pixel = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1, width=32))
    one, two = (draw(arrays(np.float32, shape, elements=pixel)) for _ in range(2))
    return torch.from_numpy(one), torch.from_numpy(two)


# --- By hand and against another library ----------------------------------------------------------


def test_mse_and_psnr_by_hand() -> None:
    truth = torch.zeros(3, 1, 2, 2)
    guess = torch.zeros(3, 1, 2, 2)
    guess[1] = 0.1  # 0.1² everywhere: 0.01, and 10·log10(1 / 0.01) = 20 dB
    guess[2, 0, 0, 0] = 1.0  # one pixel of four: 1/4, and 10·log10(4) = 6.0206 dB
    np.testing.assert_allclose(mse(truth, guess), [0, 0.01, 0.25], rtol=1e-6)
    np.testing.assert_allclose(psnr(truth, guess), [np.inf, 20, 6.0206], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("spread", [0.01, 0.1, 0.5])
def test_scores_are_those_of_scikit_image(channels: int, spread: float) -> None:
    truth = random(4, channels, 20, 24)
    guess = noisy(truth, spread)
    pairs_of_arrays = [
        (a.double().numpy(), b.double().numpy()) for a, b in zip(truth, guess, strict=True)
    ]
    expected = [structural_similarity(a, b, channel_axis=0, **WANG) for a, b in pairs_of_arrays]
    np.testing.assert_allclose(ssim(truth, guess), expected, atol=1e-6)
    expected = [mean_squared_error(a, b) for a, b in pairs_of_arrays]
    np.testing.assert_allclose(mse(truth, guess), expected, rtol=1e-9)
    expected = [peak_signal_noise_ratio(a, b, data_range=1.0) for a, b in pairs_of_arrays]
    np.testing.assert_allclose(psnr(truth, guess), expected, rtol=1e-9)


def test_ssim_of_smooth_dark_images_is_exact_too() -> None:
    """Where images hardly vary, variances are small differences of large numbers."""
    truth = torch.nn.functional.interpolate(random(3, 1, 3, 3), size=24, mode="bilinear") * 0.05
    truth[1] += 0.9
    guess = noisy(truth, 0.002)
    expected = [
        structural_similarity(a[0].double().numpy(), b[0].double().numpy(), **WANG)
        for a, b in zip(truth, guess, strict=True)
    ]
    np.testing.assert_allclose(ssim(truth, guess), expected, atol=1e-4)


def test_ssim_of_two_flat_images_by_hand() -> None:
    """Without variance Wang's formula is (2ab + C1) / (a² + b² + C1), with C1 = 0.01²."""
    truth, guess = torch.full((1, 1, 16, 16), 0.8), torch.full((1, 1, 16, 16), 0.2)
    expected = (2 * 0.8 * 0.2 + 1e-4) / (0.8**2 + 0.2**2 + 1e-4)
    assert ssim(truth, guess)[0] == pytest.approx(expected, abs=1e-4)


# --- Properties -----------------------------------------------------------------------------------


@given(pairs())
@settings(max_examples=60)
def test_properties_of_ssim(pair: tuple[Tensor, Tensor]) -> None:
    truth, guess = pair
    (score,) = ssim(truth, guess)
    assert -1 - 1e-6 <= score <= 1 + 1e-6
    assert ssim(guess, truth)[0] == pytest.approx(score, abs=1e-6)
    assert ssim(truth, truth)[0] == pytest.approx(1, abs=1e-6)
    inside = torch.ones(1, 1, *truth.shape[2:], dtype=torch.bool)
    assert ssim(truth, guess, inside)[0] == pytest.approx(score, abs=1e-9)


@given(pairs())
@settings(max_examples=60)
def test_properties_of_mse_and_psnr(pair: tuple[Tensor, Tensor]) -> None:
    truth, guess = pair
    (error,) = mse(truth, guess)
    assert 0 <= error <= 1
    assert (error == 0) == torch.equal(truth, guess)
    assert mse(guess, truth)[0] == error
    assert 10 ** (-psnr(truth, guess)[0] / 10) == pytest.approx(error)


@given(st.permutations(range(5)))
def test_each_image_is_scored_by_itself(order: list[int]) -> None:
    truth = random(5, 1, 12, 12)
    guess = noisy(truth)
    whole = image_scores(truth, guess)
    moved = image_scores(truth[order], guess[order])
    assert np.array_equal(moved.to_numpy(), whole.iloc[order].to_numpy())


# --- Inside a mask --------------------------------------------------------------------------------


def test_masked_ssim_is_the_mean_of_the_map_inside() -> None:
    truth = random(2, 3, 20, 20)
    guess = noisy(truth)
    mask = random(2, 1, 20, 20, seed=2) > 0.6
    for row in range(2):
        _, full = structural_similarity(
            truth[row].double().numpy(),
            guess[row].double().numpy(),
            channel_axis=0,
            full=True,
            **WANG,
        )
        inner, inside = full[:, 5:-5, 5:-5], mask[row, 0, 5:-5, 5:-5].numpy()
        expected = np.mean([channel[inside].mean() for channel in inner])
        assert ssim(truth, guess, mask)[row] == pytest.approx(expected, abs=1e-6)


def test_what_is_outside_the_mask_and_its_window_does_not_count() -> None:
    truth = random(1, 1, 40, 40)
    guess = truth.clone()
    guess[..., 28:, :] = 0.0
    mask = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    mask[..., :20, :] = True
    assert ssim(truth, guess, mask)[0] == pytest.approx(1, abs=1e-6)
    assert ssim(truth, guess)[0] < 0.9


def test_an_empty_mask_gives_nan_for_that_image_only() -> None:
    truth = random(2, 1, 16, 16)
    mask = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    mask[1] = True
    scores = ssim(truth, truth, mask)
    assert np.isnan(scores[0])
    assert scores[1] == pytest.approx(1)


def test_a_mask_within_the_border_is_empty() -> None:
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[..., :5, :] = True
    assert np.isnan(ssim(random(1, 1, 16, 16), random(1, 1, 16, 16), mask)[0])


def test_the_table_has_a_row_an_image_and_the_inside_where_there_is_a_mask() -> None:
    truth = random(3, 1, 16, 16)
    guess = noisy(truth)
    plain = image_scores(truth, guess)
    assert list(plain.columns) == ["mse", "psnr", "ssim"]
    masked = image_scores(truth, guess, torch.ones(3, 1, 16, 16, dtype=torch.bool))
    assert list(masked.columns) == ["mse", "psnr", "ssim", "ssim_inside"]
    np.testing.assert_allclose(masked["ssim"], masked["ssim_inside"])
    np.testing.assert_array_equal(plain["psnr"], psnr(truth, guess))


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [mse, psnr, ssim, image_scores])
def test_shapes_must_agree(score) -> None:
    with pytest.raises(ValueError, match=r"same shape \(n, c, h, w\), got \(2, 1, 12, 12\) and"):
        score(random(2, 1, 12, 12), random(2, 1, 12, 13))
    with pytest.raises(ValueError, match="same shape"):
        score(random(12, 12), random(12, 12))


@pytest.mark.parametrize("score", [mse, psnr, ssim, image_scores])
@pytest.mark.parametrize("bad", [-0.01, 1.01, float("nan"), float("inf")])
def test_values_must_lie_between_0_and_1(score, bad: float) -> None:
    good = random(1, 1, 12, 12)
    wrong = good.clone()
    wrong[0, 0, 3, 3] = bad
    with pytest.raises(ValueError, match=r"guess must lie in \[0, 1\].*clamp it"):
        score(good, wrong)
    with pytest.raises(ValueError, match="truth must lie"):
        score(wrong, good)


def test_an_image_smaller_than_the_window_has_no_ssim() -> None:
    with pytest.raises(ValueError, match="win_size"):
        ssim(random(1, 1, 10, 20), random(1, 1, 10, 20))


# --- The nearest image ----------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 10), st.integers(0, 1000))
def test_nearest_image_is_the_nearest(number: int, pool: int, chunk: int, seed: int) -> None:
    truth, others = random(number, 1, 6, 6, seed=seed), random(pool, 1, 6, 6, seed=seed + 1)
    found = nearest_image(truth, others, chunk=chunk)
    apart = (truth[:, None].double() - others[None].double()).pow(2).sum((2, 3, 4))
    assert torch.equal(found, others[apart.argmin(dim=1)])


def test_an_image_that_is_in_the_pool_is_its_own_nearest() -> None:
    pool = random(60, 1, 64, 64)
    assert torch.equal(nearest_image(pool[::7], pool), pool[::7])


def test_nearest_tells_images_apart_that_differ_in_one_grey_level() -> None:
    """Distances from inner products lose the small differences of bright images."""
    base = torch.full((1, 1, 64, 64), 0.9)
    pool = base.repeat(40, 1, 1, 1)
    for row in range(40):
        pool[row, 0, 0, :row] += 1 / 255  # row 0 is the image itself
    assert torch.equal(nearest_image(base, pool.flip(0)), base)


# --- Distance of features -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier() -> ImageCNN:
    with seeded(0, "classifier"):
        return ImageCNN(size=16)


def test_feature_distance_of_equal_images_is_0(classifier: ImageCNN) -> None:
    images = random(6, 1, 16, 16)
    distance = feature_distance(classifier, images, images.clone())
    assert distance.dtype == np.float64
    np.testing.assert_array_equal(distance, np.zeros(6))


def test_feature_distance_of_strangers_is_1(classifier: ImageCNN) -> None:
    """Over all ways to hand each victim another one's image the mean is 1 by definition."""
    images = random(6, 1, 16, 16)
    turned = [feature_distance(classifier, images, images.roll(by, 0)) for by in range(1, 6)]
    assert np.mean(turned) == pytest.approx(1, abs=1e-6)
    assert np.mean(turned[0]) == pytest.approx(1, abs=0.3)


def test_feature_distance_by_hand(classifier: ImageCNN) -> None:
    truth, guess = random(3, 1, 16, 16), random(3, 1, 16, 16, seed=1)
    for layer, cut in ((None, 7), ("dense1", 7), ("conv2", 2)):
        net = nn.Sequential(*list(classifier.children())[:cut])
        with torch.no_grad():
            a, b = (net(x - 0.5).flatten(1).double() for x in (truth, guess))
        scale = np.mean([float((a[i] - a[j]).norm()) for i, j in ((0, 1), (0, 2), (1, 2))])
        expected = (a - b).norm(dim=1).numpy() / scale
        found = feature_distance(classifier, truth, guess, layer)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_feature_distance_grows_with_the_error(classifier: ImageCNN) -> None:
    truth, noise = random(6, 1, 16, 16), random(6, 1, 16, 16, seed=1)
    near, far = (feature_distance(classifier, truth, truth.lerp(noise, w)) for w in (0.1, 0.5))
    assert (near < far).all()


def test_another_model_is_cut_before_its_answer() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 2))
    truth, guess = random(3, 1, 4, 4), random(3, 1, 4, 4, seed=1)
    expected = feature_distance(net, truth, guess, "2")
    np.testing.assert_array_equal(feature_distance(net, truth, guess), expected)


def test_errors_of_feature_distance(classifier: ImageCNN) -> None:
    images = random(3, 1, 16, 16)
    with pytest.raises(ValueError, match="at least 2 true images, got 1"):
        feature_distance(classifier, images[:1], images[:1])
    with pytest.raises(ValueError, match="images of the same shape"):
        feature_distance(classifier, images, images[:2])
    with pytest.raises(ValueError, match="unknown split 'conv9'"):
        feature_distance(classifier, images, images, "conv9")
    with pytest.raises(ValueError, match="gives all true images the same features"):
        feature_distance(classifier, images[:1].repeat(2, 1, 1, 1), images[:2])
