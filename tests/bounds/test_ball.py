"""Features in a ball: the proof's formula against integrals, and against attackers who know all."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, norm

from medpriv.bounds.ball import auc_ceiling, gallery_ceiling, guess_ceiling
from medpriv.bounds.gallery import best_in_gallery
from medpriv.defenses.ball import in_ball

RATIOS = st.floats(0, 10)


def test_figures_of_the_course() -> None:
    assert round(gallery_ceiling(100, 1, 1), 3) == 0.092
    assert round(auc_ceiling(1, 1), 3) == 0.921
    assert round(gallery_ceiling(100, 2, 1), 3) == 0.372


@given(RATIOS, RATIOS, st.integers(1, 1000), st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_ceilings_rise_with_the_ball_and_the_answers_and_fall_with_the_gallery(
    one: float, two: float, gallery: int, answers: int
) -> None:
    low, high = sorted((one, two))
    found = gallery_ceiling(gallery, low, 1, answers)
    assert found <= gallery_ceiling(gallery, high, 1, answers) + 1e-12
    assert found <= gallery_ceiling(gallery, low, 1, answers + 1) + 1e-12
    assert found >= gallery_ceiling(gallery + 1, low, 1, answers) - 1e-12
    assert found >= 1 / gallery - 1e-12
    assert auc_ceiling(low, 1, answers) <= auc_ceiling(high, 1, answers) + 1e-12
    # Only √q C / σ counts; the mean of four answers is one with half the noise.
    assert gallery_ceiling(gallery, low, 1, 4) == pytest.approx(
        gallery_ceiling(gallery, 2 * low, 1)
    )
    assert gallery_ceiling(gallery, 3 * low, 3) == pytest.approx(gallery_ceiling(gallery, low, 1))


def test_limits() -> None:
    assert gallery_ceiling(50, 0, 1) == pytest.approx(1 / 50)
    assert gallery_ceiling(50, 1, 1, 0) == pytest.approx(1 / 50)
    assert gallery_ceiling(50, 1, 0) == 1
    assert gallery_ceiling(50, 50, 1) == pytest.approx(1)
    assert guess_ceiling(0, 1, 1) == 0
    assert guess_ceiling(1, 1, 1) == 1
    assert auc_ceiling(0, 1) == 0.5


@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("answers", [1, 3])
def test_two_points_at_the_border_reach_both_ceilings(ratio: float, answers: int) -> None:
    # Guessing which: right in Φ(√q C / σ), by an integral of the larger density.
    apart = math.sqrt(answers) * ratio
    right = quad(lambda y: max(norm.pdf(y - apart), norm.pdf(y + apart)) / 2, -40, 40, points=[0])
    assert gallery_ceiling(2, ratio, 1, answers) == pytest.approx(right[0], abs=1e-7)
    # The AUC of the answer itself, by an integral over thresholds.
    area = quad(lambda y: norm.pdf(y - apart) * norm.cdf(y + apart), -40, 40, points=[apart])
    assert auc_ceiling(ratio, 1, answers) == pytest.approx(area[0], abs=1e-7)


@pytest.mark.parametrize(("numbers", "ratio", "answers"), [(1, 1.0, 1), (5, 0.7, 4), (64, 2.0, 1)])
def test_the_likeliest_of_two_points_is_found_as_often_as_proved(
    numbers: int, ratio: float, answers: int
) -> None:
    trials = 4000
    way = torch.randn(numbers, generator=torch.Generator().manual_seed(0))
    points = torch.stack([way, -way]) * 7  # outside of the ball: the defense clips them
    who = torch.randint(2, (trials,), generator=torch.Generator().manual_seed(1))
    service = in_ball(ratio, 1.0, seed=2).apply(lambda x: x)
    seen = torch.stack([service(points[who]) for _ in range(answers)]).mean(0)
    hits = int(((seen @ way < 0).long() == who).sum())
    ceiling = gallery_ceiling(2, ratio, 1.0, answers)
    assert beta.ppf(1e-5, hits, trials - hits + 1) <= ceiling
    assert hits / trials >= 0.9 * ceiling


@pytest.mark.parametrize("numbers", [1, 2, 99])
@pytest.mark.parametrize("gallery", [3, 100])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_no_gallery_lets_the_likeliest_candidate_pass_the_ceiling(
    numbers: int, gallery: int, ratio: float
) -> None:
    codes = torch.randn(gallery, numbers, generator=torch.Generator().manual_seed(gallery))
    codes = ratio * codes / codes.norm(dim=1, keepdim=True)  # all on the border
    found = best_in_gallery(codes, 1.0, draws=3000, seed=4)
    hits = round(found.success * found.draws)
    assert beta.ppf(1e-5, hits, found.draws - hits + 1) <= gallery_ceiling(gallery, ratio, 1.0)


def test_a_code_that_is_nearly_ideal_comes_near() -> None:
    # 100 people at the corners of a simplex, which takes 99 numbers.
    corners = torch.eye(100) - 1 / 100
    corners = corners / corners.norm(dim=1, keepdim=True)
    found = best_in_gallery(corners, 1.0, draws=8000)
    assert found.success == pytest.approx(0.081, abs=0.012)  # four standard errors
    assert found.success < gallery_ceiling(100, 1, 1)


def test_no_score_of_anybody_has_a_larger_auc() -> None:
    # Means anywhere in the ball, scores of any kind: 2,000 pairs, four standard errors of 0.011.
    draws = np.random.default_rng(0)
    for ratio in (0.5, 1.0, 2.0):
        means = draws.normal(size=(2, 2000, 3))
        means *= ratio / np.linalg.norm(means, axis=2, keepdims=True)
        means[0, :, 0], means[1, :, 0] = np.abs(means[0, :, 0]), -np.abs(means[1, :, 0])
        seen = means + draws.normal(size=means.shape)
        area = (seen[0][:, None, 0] > seen[1][None, :, 0]).mean()
        assert area <= auc_ceiling(ratio, 1) + 0.044


def test_bad_input() -> None:
    for call, message in (
        (lambda: gallery_ceiling(0, 1, 1), "gallery"),
        (lambda: gallery_ceiling(5, -1, 1), "0 or more"),
        (lambda: gallery_ceiling(5, 1, float("nan")), "0 or more"),
        (lambda: auc_ceiling(1, 1, -1), "answers"),
        (lambda: guess_ceiling(2, 1, 1), "probability"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
