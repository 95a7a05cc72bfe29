"""Finding a patient in a gallery, against cases whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from medpriv.data.cohort import Part
from medpriv.data.sources.phantoms import make_phantoms
from medpriv.metrics.matchers import Matcher, _box, fit_matcher, matcher_recipe, pixel_matcher
from medpriv.metrics.reidentification import pairs, reidentification
from medpriv.runtime.seeds import rng, torch_rng
from medpriv.statistics import difference
from medpriv.training.loop import Recipe


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch_rng(seed, "images"))


def names(number: int) -> np.ndarray:
    return np.array([f"P{i:03d}" for i in range(number)])


def part(patient: list[str]) -> Part:
    n = len(patient)
    return Part(random(n, 1, 8, 8), torch.zeros(n).long(), np.array(patient), pd.DataFrame())


class Table(nn.Module):
    """Takes the embedding from the pixels: ``(n, 1, 1, w)`` → ``(n, w)``, of length 1."""

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(images.flatten(1), dim=1)


@pytest.fixture(scope="module")
def strangers() -> tuple[Tensor, np.ndarray]:
    made = make_phantoms(1500, seed=11)
    return torch.from_numpy(made.images[:, None]), made.patient


@pytest.fixture(scope="module")
def victims() -> tuple[Tensor, Tensor, np.ndarray]:
    """Left breasts, right breasts and names of patients that no matcher here was trained on."""
    made = make_phantoms(60, seed=12)
    images = torch.from_numpy(made.images[:, None])
    return images[::2], images[1::2], made.patient[::2]


@pytest.fixture(scope="module")
def fitted(strangers: tuple[Tensor, np.ndarray]) -> Matcher:
    return fit_matcher(*strangers, recipe=Recipe(epochs=10, batch_size=100, exact=True))


@pytest.fixture(params=["fitted", "pixels", "pixels without mean"])
def matcher(
    request: pytest.FixtureRequest, fitted: Matcher, strangers: tuple[Tensor, np.ndarray]
) -> Matcher:
    if request.param == "fitted":
        return fitted
    return pixel_matcher(strangers[0] if request.param == "pixels" else None)


# --- Known answers --------------------------------------------------------------------------------


def test_copies_of_the_gallery_are_all_found(matcher: Matcher, victims) -> None:
    left, _, patient = victims
    found = reidentification(matcher, left.clone(), patient, left, patient)
    for estimate in (found.rank1, found.auc):  # all of 60: Clopper and Pearson's interval
        ends = pytest.approx((0.025 ** (1 / 60), 1.0))
        assert (estimate.value, (estimate.low, estimate.high)) == (1.0, ends)
    assert (found.chance, found.gallery) == (1 / 60, 60)


def test_shuffled_copies_are_found_by_chance(matcher: Matcher) -> None:
    """Copies under names that were drawn at random: hits are those of a random permutation.

    Of 200 patients a permutation leaves 1 in place on average, and more than 6 with probability
    1e-4. The AUC of a random name is uniform: its mean over 200 has a standard deviation of
    0.29 / sqrt(200) = 0.020, and is off by 0.08 with probability 1e-4. Six numbers: 6e-4.
    """
    images = random(200, 1, 16, 16)
    given_away = rng(0, "names").permutation(names(200))
    found = reidentification(matcher_of(matcher, images), images, given_away, images, names(200))
    assert found.rank1.value <= 6 / 200
    assert found.auc.value == pytest.approx(0.5, abs=0.08)


def matcher_of(matcher: Matcher, images: Tensor) -> Matcher:
    """The same matcher; where it holds the mean of larger images, that of these."""
    mean = getattr(matcher.network, "mean", None)
    return matcher if mean is None else pixel_matcher(images)


@pytest.mark.parametrize("grey", [0.0, 0.3, 1.0])
def test_a_blank_guess_is_exactly_chance(matcher: Matcher, victims, grey: float) -> None:
    _, right, patient = victims
    found = reidentification(matcher, torch.full_like(right, grey), patient, right, patient)
    assert found.rank1.value == pytest.approx(1 / 60, abs=1e-12)
    assert found.auc.value == pytest.approx(0.5, abs=1e-12)


def test_the_mean_image_is_exactly_chance(matcher: Matcher, strangers, victims) -> None:
    _, right, patient = victims
    guess = strangers[0].mean(0, keepdim=True).expand_as(right)
    found = reidentification(matcher, guess, patient, right, patient)
    assert found.rank1.value == pytest.approx(1 / 60, abs=1e-12)
    assert found.auc.value == pytest.approx(0.5, abs=1e-12)


def test_ties_at_the_top_are_shared() -> None:
    """Own-mean pixels find nothing in a flat guess: all tie, and nobody's order decides."""
    found = reidentification(
        pixel_matcher(), torch.full((2, 1, 4, 4), 0.7), names(2), random(5, 1, 4, 4), names(5)
    )
    np.testing.assert_array_equal(found.victims["hit"], [1 / 5, 1 / 5])
    np.testing.assert_array_equal(found.victims["auc"], [0.5, 0.5])


def test_two_patients_with_the_same_picture_share_the_hit() -> None:
    image = random(1, 1, 8, 8)
    gallery = torch.cat([image, image, random(2, 1, 8, 8, seed=1)])
    found = reidentification(pixel_matcher(), image, names(1), gallery, names(4))
    assert found.rank1.value == 0.5
    assert found.auc.value == pytest.approx((2 + 0.5) / 3)


def test_by_hand_and_against_scikit_learn() -> None:
    """Three patients, the second with two images of which the better counts."""
    gallery = torch.tensor([[4.0, 1, 0, 0], [0, 0, 0, 9], [2, 4, 0, 0], [3, 0, 3, 0]])
    guesses = torch.tensor([[5.0, 2, 0, 0], [6, 1, 1, 0]])
    owner, patient = np.array(["a", "b", "b", "c"]), np.array(["a", "c"])
    found = reidentification(
        Matcher(Table()), guesses[:, None, None], patient, gallery[:, None, None], owner
    )

    def cosine(x: Tensor, y: Tensor) -> float:
        both = (x, y), (x.flip(0), y)
        return max(float(p @ q / p.norm() / q.norm()) for p, q in both)

    expected = []
    for guess, own in zip(guesses, patient, strict=True):
        best = {
            name: max(cosine(guess, gallery[row]) for row in np.flatnonzero(owner == name))
            for name in "abc"
        }
        auc = roc_auc_score([name == own for name in best], list(best.values()))
        expected.append((max(best, key=best.get) == own, auc))
    np.testing.assert_allclose(found.victims["hit"], [hit for hit, _ in expected])
    np.testing.assert_allclose(found.victims["auc"], [auc for _, auc in expected])
    assert found.rank1.value == np.mean([hit for hit, _ in expected])


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(0, 3))
@settings(max_examples=30)
def test_auc_is_that_of_scikit_learn(seed: int, patients: int, levels: int) -> None:
    """With few levels of grey there are ties, which count half in both."""
    gallery = (random(patients, 1, 2, 4, seed=seed) * (levels + 1)).round()
    guesses = (random(patients, 1, 2, 4, seed=seed + 1) * (levels + 1)).round()
    plain, who = pixel_matcher(), names(patients)
    found = reidentification(plain, guesses, who, gallery, who)
    scores = plain.scores(guesses, gallery)
    expected = [roc_auc_score(who == name, scores[row]) for row, name in enumerate(who)]
    np.testing.assert_allclose(found.victims["auc"], expected)


# --- Properties -----------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=25)
def test_the_order_of_gallery_and_victims_does_not_matter(data: st.DataObject) -> None:
    images, guesses = random(7, 1, 8, 8), random(5, 1, 8, 8, seed=1)
    owner = np.array(list("aabcdee"))
    patient = np.array(list("eabca"))
    plain = pixel_matcher(random(9, 1, 8, 8, seed=2))
    found = reidentification(plain, guesses, patient, images, owner)
    order = data.draw(st.permutations(range(7)))
    rows = data.draw(st.permutations(range(5)))
    again = reidentification(plain, guesses[rows], patient[rows], images[order], owner[order])
    assert again.gallery == found.gallery == 5
    pd.testing.assert_frame_equal(
        again.victims, found.victims.iloc[rows].reset_index(drop=True), check_exact=True
    )
    assert again.rank1.value == pytest.approx(found.rank1.value)
    assert again.auc.value == pytest.approx(found.auc.value)


def test_it_does_not_matter_which_side_an_image_shows(matcher: Matcher, victims) -> None:
    left, right, _ = victims
    scores = matcher.scores(left, right)
    np.testing.assert_array_equal(matcher.scores(left.flip(-1), right), scores)
    np.testing.assert_array_equal(matcher.scores(left, right.flip(-1)), scores)


def test_scores_are_cosines(matcher: Matcher, victims) -> None:
    left, right, _ = victims
    scores = matcher.scores(left, right)
    assert scores.shape == (60, 60)
    assert scores.dtype == np.float64
    assert ((scores >= -1) & (scores <= 1)).all()
    np.testing.assert_allclose(np.diag(matcher.scores(left, left)), 1, atol=1e-5)


def test_victims_hold_what_the_estimates_average(matcher: Matcher, victims) -> None:
    left, right, patient = victims
    found = reidentification(matcher, left, patient, right, patient)
    assert list(found.victims["patient"]) == list(patient)
    assert found.rank1.value == pytest.approx(found.victims["hit"].mean())
    assert found.auc.value == pytest.approx(found.victims["auc"].mean())
    assert found.rank1.low <= found.rank1.value <= found.rank1.high


# --- The fitted matcher ---------------------------------------------------------------------------


def test_the_fitted_matcher_finds_the_other_breast_better_than_pixels(
    fitted: Matcher, strangers
) -> None:
    """One fixed draw of 200 victims whom neither saw; the paired interval lies above 0.

    With equal matchers it would in one draw of forty.
    """
    made = make_phantoms(200, seed=13)
    images, patient = torch.from_numpy(made.images[:, None]), made.patient[::2]
    plain, found = (
        reidentification(which, images[::2], patient, images[1::2], patient)
        for which in (pixel_matcher(strangers[0]), fitted)
    )
    assert plain.rank1.low > 10 * plain.chance
    assert found.rank1.value > plain.rank1.value + 0.1
    for score in ("hit", "auc"):
        assert difference(found.victims[score], plain.victims[score], patient).low > 0
    assert found.auc.value > 0.95
    assert found.rank1.value < 1


def test_training_lowers_the_loss(fitted: Matcher) -> None:
    assert len(fitted.history) == 10
    assert fitted.history[-1] < 0.8 * fitted.history[0]
    assert fitted.patients == 1500
    assert not fitted.network.training


def test_the_same_seed_gives_the_same_matcher(strangers, device: str) -> None:
    images, patient = strangers[0][:40], strangers[1][:40]
    made = [
        fit_matcher(images, patient, profile="smoke", seed=seed, device=device)
        for seed in (3, 3, 4)
    ]
    one, same, other = (m.scores(images, images) for m in made)
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert made[0].history == made[1].history


def test_global_generators_stay_as_they_are(strangers) -> None:
    before = torch.get_rng_state()
    fit_matcher(strangers[0][:8], strangers[1][:8], profile="smoke")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 50, 70)])
def test_images_of_any_shape(shape: tuple[int, ...]) -> None:
    images = random(24, *shape)
    matcher = fit_matcher(images, np.repeat(names(12), 2), profile="smoke")
    found = reidentification(matcher, images[::2], names(12), images[::2], names(12))
    assert found.rank1.value == 1


def test_patients_with_more_images_and_with_one() -> None:
    """Four images make three pairs; pairs of one patient are no strangers to each other."""
    patient = np.array(list("aaaabbc"))
    images = random(7, 1, 16, 16)
    matcher = fit_matcher(images, patient, profile="smoke")
    assert matcher.patients == 2
    without = fit_matcher(images[:6], patient[:6], profile="smoke")
    np.testing.assert_array_equal(matcher.scores(images, images), without.scores(images, images))


def test_equal_images_of_a_patient_do_no_harm() -> None:
    images = random(6, 1, 16, 16).repeat_interleave(2, dim=0)
    matcher = fit_matcher(images, np.repeat(names(6), 2), profile="smoke")
    found = reidentification(matcher, images[::2], names(6), images[1::2], names(6))
    assert found.rank1.value == 1


def test_the_recipe_sees_no_pair_too_often() -> None:
    assert matcher_recipe("quick", 4000).epochs == 13
    assert matcher_recipe("quick", 50).epochs == 30
    assert matcher_recipe("quick", 50).batch_size == 50
    assert matcher_recipe("smoke", 100_000).epochs == 1
    with pytest.raises(ValueError, match="unknown profile"):
        matcher_recipe("fast", 10)


# --- Pairs ----------------------------------------------------------------------------------------


def test_pairs_by_hand() -> None:
    two = pairs(part(["c", "a", "b", "a", "c", "a", "d"]))
    np.testing.assert_array_equal(two.first, [1, 0])  # a, c
    np.testing.assert_array_equal(two.second, [3, 4])
    assert two.left_out == 2


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=15))
def test_pairs_are_two_different_images_of_each_patient(patient: list[str]) -> None:
    two = pairs(part(patient))
    who = np.array(patient)
    assert (who[two.first] == who[two.second]).all()
    assert (two.first < two.second).all()
    assert sorted(who[two.first]) == sorted(n for n in set(patient) if patient.count(n) > 1)
    assert two.left_out == sum(patient.count(name) == 1 for name in set(patient))


# --- Errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("patient", [list("abcdef"), list("aabcde"), list("aaabcd")])
def test_a_matcher_needs_two_patients_with_a_pair(patient: list[str]) -> None:
    with pytest.raises(ValueError, match="at least 2 patients with two or more images each, got"):
        fit_matcher(random(6, 1, 16, 16), np.array(patient), profile="smoke")


def test_a_matcher_needs_a_patient_for_each_image() -> None:
    with pytest.raises(ValueError, match="one patient for each of 6 images"):
        fit_matcher(random(6, 1, 16, 16), names(5))
    with pytest.raises(ValueError, match="expected images"):
        fit_matcher(random(6, 16, 16), names(6))


def test_errors_of_reidentification() -> None:
    plain, images = pixel_matcher(), random(4, 1, 8, 8)
    with pytest.raises(ValueError, match="at least 2 patients to choose from, got 1"):
        reidentification(plain, images, np.repeat("a", 4), images, np.repeat("a", 4))
    with pytest.raises(ValueError, match=r"1 victim\(s\) have no image in the gallery; add"):
        reidentification(plain, images, names(4), images[:3], names(3))
    with pytest.raises(ValueError, match="one patient for each image"):
        reidentification(plain, images, names(3), images, names(4))
    with pytest.raises(ValueError, match="images .* of one size"):
        reidentification(plain, random(4, 1, 8, 9), names(4), images, names(4))
    with pytest.raises(ValueError, match="at least one row"):
        reidentification(plain, images[:0], names(0), images, names(4))
    broken = images.clone()
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        reidentification(plain, broken, names(4), images, names(4))


def test_results_are_frozen(victims) -> None:
    left, _, patient = victims
    found = reidentification(pixel_matcher(), left, patient, left, patient)
    with pytest.raises(AttributeError):
        found.chance = 1.0
    assert replace(found, gallery=2).gallery == 2


def test_the_blur_is_a_mean_of_neighbours() -> None:
    images = torch.rand(3, 2, 32, 32, generator=torch_rng(0, "test"))
    pooled = F.avg_pool2d(images, 7, 1, 3, count_include_pad=False)
    box = _box(32)
    assert torch.allclose(box @ images @ box.T, pooled, atol=1e-6)
