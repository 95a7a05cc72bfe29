"""The best attacker against named candidates, against integrals and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm

from medpriv.bounds.ball import gallery_ceiling
from medpriv.bounds.gallery import best_in_gallery

DRAWS = 20_000


@pytest.mark.parametrize("answers", [1, 4])
def test_two_candidates(answers: int) -> None:
    codes = torch.tensor([[0.0, 0.0], [1.2, 1.6]])  # two apart
    found = best_in_gallery(codes, 2.0, answers=answers, draws=DRAWS)
    right = ndtr(math.sqrt(answers) / 2)
    assert found.success == pytest.approx(right, abs=4 * 0.5 / math.sqrt(DRAWS))
    assert found.success < found.ceiling < found.success + 0.02
    assert right <= gallery_ceiling(2, 1.0, 2.0, answers) + 1e-12


def test_three_candidates_on_a_line_by_an_integral() -> None:
    places = np.array([-1.0, 0.3, 2.0])
    found = best_in_gallery(torch.tensor(places)[:, None], 1.0, draws=DRAWS)
    right = quad(lambda y: max(norm.pdf(y - places)) / 3, -12, 14, points=[-0.35, 1.15])[0]
    assert found.success == pytest.approx(right, abs=4 * 0.5 / math.sqrt(DRAWS))


def test_the_least_error_of_a_reconstruction_by_an_integral() -> None:
    # Codes ±1 and pictures ±1: the posterior mean is tanh(y / σ²).
    codes = torch.tensor([[-1.0], [1.0]])
    found = best_in_gallery(codes, 1.5, pictures=codes.expand(2, 6), draws=DRAWS)
    least = quad(lambda y: norm.pdf(y, 1, 1.5) * (1 - math.tanh(y / 1.5**2)) ** 2, -15, 17)[0]
    assert found.error == pytest.approx(least, abs=0.03)
    # Far below what an unbiased attacker must have, σ² = 2.25, and below the mean image's 1.
    assert found.error < 1 < 1.5**2


def test_many_numbers_are_no_more_than_there_are_candidates() -> None:
    codes = torch.randn(5, 2000, generator=torch.Generator().manual_seed(0))
    wide = best_in_gallery(codes, 30.0, draws=4000)
    centred = codes - codes.mean(0)
    turned = torch.linalg.svd(centred, full_matrices=False).Vh
    narrow = best_in_gallery(codes @ turned.T, 30.0, draws=4000, seed=1)
    assert wide.success == pytest.approx(narrow.success, abs=0.045)  # four standard errors


def test_limits() -> None:
    same = torch.zeros(8, 3)
    found = best_in_gallery(same, 1.0, draws=4000, pictures=torch.eye(8))
    assert found.success == pytest.approx(1 / 8, abs=0.021)
    assert found.error == pytest.approx((1 / 8) * (7 / 8))
    assert best_in_gallery(torch.eye(8), 0.01, draws=100).success == 1
    assert best_in_gallery(torch.eye(8), 0.01, draws=100).ceiling == 1
    assert math.isnan(best_in_gallery(same, 1.0, draws=10).error)
    assert found == best_in_gallery(same, 1.0, draws=4000, pictures=torch.eye(8))


def test_bad_input() -> None:
    codes = torch.zeros(3, 2)
    for call, message in (
        (lambda: best_in_gallery(codes, 0.0), "above 0"),
        (lambda: best_in_gallery(codes[:0], 1.0), "1 or more|one or more"),
        (lambda: best_in_gallery(codes, 1.0, pictures=torch.zeros(2, 4)), "a picture for each"),
        (lambda: best_in_gallery(codes, 1.0, answers=0), "answers"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_code_or_picture_that_is_not_finite_is_refused() -> None:
    """Comparisons with NaN are false, so that such a gallery would look safe."""
    codes = torch.randn(5, 3)
    ugly = codes.clone()
    ugly[0, 0] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        best_in_gallery(ugly, 1.0)
    with pytest.raises(ValueError, match="not finite"):
        best_in_gallery(codes, 1.0, pictures=ugly)
