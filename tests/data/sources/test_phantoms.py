"""The mammogram phantoms: what they promise to every chapter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medpriv.data.sources.phantoms import BLOCK, Phantoms, make_phantoms
from medpriv.metrics import spectral_exponent
from real import real_file


@pytest.fixture(scope="module")
def cohort() -> Phantoms:
    return make_phantoms(400, seed=0)


def test_shapes_types_and_ranges(cohort):
    assert cohort.images.shape == cohort.breast.shape == (800, 64, 64)
    assert cohort.images.dtype == np.float32
    assert cohort.breast.dtype == bool
    assert cohort.labels.dtype == np.int64
    assert cohort.images.min() >= 0
    assert cohort.images.max() <= 1
    assert set(cohort.labels) == {0, 1}
    assert list(cohort.patient[:4]) == ["P00000", "P00000", "P00001", "P00001"]
    assert len(cohort.attributes) == 800
    assert (cohort.images.max((1, 2)) > 0.4).all()
    # A breast fills a part of the film, never none and never all.
    share = cohort.breast.mean((1, 2))
    assert share.min() > 0.1
    assert share.max() < 0.8


def test_attributes_belong_to_the_patient_and_take_known_values(cohort):
    table = cohort.attributes
    left, right = table[::2].reset_index(drop=True), table[1::2].reset_index(drop=True)
    assert (left["laterality"] == "left").all()
    assert (right["laterality"] == "right").all()
    for name in ("density", "age_band", "implant"):
        assert left[name].equals(right[name]), name
    assert set(table["density"]) == set("abcd")
    assert set(table["age_band"]) == {"40-49", "50-59", "60-69", "70-79"}
    # Binomial, 400 patients at 0.08: outside 0.04 to 0.13 with probability below 0.001.
    assert 0.04 < left["implant"].mean() < 0.13


def test_density_follows_the_published_shares_and_falls_with_age(cohort):
    # ACR BI-RADS: about 10, 40, 40, 10 % of women. Margin: over 3.5 standard errors at n = 400.
    shares = cohort.attributes["density"][::2].value_counts(normalize=True)
    for grade, expected in {"a": 0.1, "b": 0.4, "c": 0.4, "d": 0.1}.items():
        assert abs(shares[grade] - expected) < 0.09
    dense = cohort.attributes["density"].isin(["c", "d"])
    by_age = dense.groupby(cohort.attributes["age_band"]).mean()
    assert by_age["40-49"] > by_age["70-79"]


def test_dense_breasts_and_implants_are_brighter(cohort):
    tissue = np.array([i[b].mean() for i, b in zip(cohort.images, cohort.breast, strict=True)])
    table = cohort.attributes.assign(tissue=tissue)
    plain = table[~table["implant"]].groupby("density")["tissue"].mean()
    assert plain["a"] < plain["b"] < plain["c"] < plain["d"]
    assert table.groupby("implant")["tissue"].mean().diff().iloc[-1] > 0.02


def test_enough_masses_for_an_auc(cohort):
    # Expected 0.45; 400 patients leave a standard error of 0.016.
    assert 0.38 < cohort.labels.mean() < 0.52
    both = cohort.labels.reshape(-1, 2).sum(1)
    assert set(both) == {0, 1, 2}
    assert (both == 2).mean() < 0.15


def test_same_seed_same_images_and_another_seed_other_images():
    one, again, other = (make_phantoms(3, seed=seed) for seed in (5, 5, 6))
    _assert_equal(one, again)
    assert not np.allclose(one.images, other.images)


@pytest.mark.parametrize("total", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_a_larger_cohort_contains_the_smaller_one(total):
    _assert_equal(make_phantoms(total, seed=1), make_phantoms(4 * BLOCK, seed=1))


@settings(max_examples=15, deadline=None)
@given(
    patients=st.integers(1, 20),
    more=st.integers(0, 20),
    seed=st.integers(0, 2**64),
    size=st.integers(32, 80),
    burned_in=st.booleans(),
)
def test_promises_hold_for_any_arguments(patients, more, seed, size, burned_in):
    few = make_phantoms(patients, seed=seed, size=size, burned_in=burned_in)
    many = make_phantoms(patients + more, seed=seed, size=size, burned_in=burned_in)
    _assert_equal(few, many)
    assert few.images.shape == (2 * patients, size, size)
    assert np.isfinite(few.images).all()
    assert few.images.min() >= 0
    assert few.images.max() <= 1
    assert few.breast.any((1, 2)).all()


def test_right_is_roughly_the_mirror_of_left(cohort):
    left, right = _unit_vectors(cohort)
    same = (left * right).sum(1)
    different = (left * np.roll(right, 1, axis=0)).sum(1)
    assert same.mean() > different.mean() + 0.1
    assert same.max() < 0.999


def test_the_other_breast_finds_the_patient_sometimes(cohort):
    # Chance is 2 %. Eight galleries of 50: standard error about 2.5 points around 49 %.
    left, right = (part.reshape(8, 50, -1) for part in _unit_vectors(cohort))
    found = (left @ right.transpose(0, 2, 1)).argmax(2) == np.arange(50)
    assert 0.25 < found.mean() < 0.65


def test_chest_wall_is_left_in_left_breasts_and_right_in_right_ones(cohort):
    columns = cohort.breast.sum(1)
    outer = columns[:, :32].sum(1) > columns[:, 32:].sum(1)
    assert outer[0::2].all()
    assert not outer[1::2].any()
    assert (columns[0::2, :10].max(1) > 20).all()


@pytest.mark.parametrize("size", [33, 128])
def test_another_size_shows_the_same_patient(size):
    small = make_phantoms(8, size=64)
    other = make_phantoms(8, size=size)
    assert (small.labels == other.labels).all()
    assert small.attributes.equals(other.attributes)
    zoom = (1, size / 64, size / 64)
    resized = ndimage.zoom(small.images, zoom, order=1, grid_mode=True, mode="nearest")
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(resized, other.images)]  # noqa: B905
    assert min(alike) > 0.9


def test_masses_only_brighten_and_only_inside_the_breast():
    ill, healthy = make_phantoms(40, seed=2), make_phantoms(40, seed=2, masses=False)
    gain = ill.images - healthy.images
    assert not healthy.labels.any()
    assert gain.min() > -1e-6  # float32 rounding
    assert not gain[~ill.breast].any()
    changed = gain.max((1, 2)) > 0
    assert (changed == (ill.labels == 1)).all()
    assert np.median(gain.max((1, 2))[changed]) > 0.1


def test_burned_in_identifiers_change_only_background():
    plain, burned = make_phantoms(20, seed=3), make_phantoms(20, seed=3, burned_in=True)
    changed = plain.images != burned.images
    assert changed.any((1, 2)).all()
    assert not (changed & plain.breast).any()
    # Patients have different numbers, so different pixels change.
    written = changed & (burned.images > 0.8)
    assert (written[0] != written[2]).any()


def test_the_spectrum_falls_as_in_mammograms(cohort):
    # Published exponents lie near 3 (Burgess et al. 2001). A single image spreads by about 0.6,
    # so the mean over 240 has a standard error of 0.04.
    exponent = _exponent(cohort.images, cohort.breast)
    fits = np.isfinite(exponent)
    assert fits.sum() >= 200
    assert 2.6 < exponent[fits].mean() < 3.4


@pytest.mark.real
def test_the_spectrum_of_real_mammograms_beside_it():
    images = _mias()
    breast = np.stack([_largest_part(image > 0.1) for image in images])
    exponent = _exponent(images, breast)
    assert np.isfinite(exponent).sum() >= 20
    assert 2.5 < np.nanmean(exponent) < 3.1


@pytest.mark.real
def test_grey_values_lie_near_those_of_real_mammograms(cohort):
    images = _mias()
    assert abs(cohort.images.mean() - images.mean()) < 0.05
    assert abs(cohort.images.std() - images.std()) < 0.05
    # Few grey values lie between the dark film and the tissue: both sets share the two peaks.
    for low, high in ((0, 0.1), (0.1, 0.4), (0.4, 0.7), (0.7, 1.01)):
        ours, theirs = (((x >= low) & (x < high)).mean() for x in (cohort.images, images))
        assert abs(ours - theirs) < 0.1, (low, high, ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": 0}, "patients must be an integer of at least 1"),
        ({"patients": 2.5}, "patients must be an integer of at least 1 and at most 99999, got 2.5"),
        ({"patients": True}, "got True"),
        ({"patients": 2, "size": 31}, "size must be .* at least 32 and at most 512, got 31"),
        ({"patients": 2, "size": 513}, "got 513"),
        ({"patients": 2, "seed": "one"}, "seed must be .* got 'one'"),
        ({"patients": 2, "seed": None}, "got None"),
        ({"patients": 2, "seed": -1}, "seed must be an integer of at least 0, got -1"),
    ],
)
def test_wrong_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_phantoms(**arguments)


def _assert_equal(few: Phantoms, many: Phantoms) -> None:
    rows = len(few.images)
    for name in ("images", "labels", "patient", "breast"):
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:rows])
    assert few.attributes.equals(many.attributes[:rows])


def _unit_vectors(cohort: Phantoms) -> tuple[np.ndarray, np.ndarray]:
    """Left breasts and mirrored right ones, centred and of length 1."""
    pixels = cohort.images.copy()
    pixels[1::2] = pixels[1::2, :, ::-1]
    flat = pixels.reshape(len(pixels), -1)
    flat -= flat.mean(1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    return flat[0::2], flat[1::2]


def _mias() -> np.ndarray:
    """Real mammograms at 64x64 in [0, 1], or skip."""
    with np.load(real_file("mias_128.npz"), allow_pickle=False) as archive:
        images = archive["images"].astype(np.float32) / 255
    return images.reshape(len(images), 64, 2, 64, 2).mean((2, 4))


def _exponent(images: np.ndarray, breast: np.ndarray) -> np.ndarray:
    return spectral_exponent(torch.from_numpy(images[:, None]), torch.from_numpy(breast[:, None]))


def _largest_part(mask: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts == sizes.argmax()
