"""The analytic Gaussian mechanism against published values and its own definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from medpriv.defenses import analytic_gaussian
from medpriv.defenses.gaussian import gaussian_delta


@pytest.mark.parametrize(
    ("epsilon", "sigma"), [(0.1, 30.75), (0.5, 7.03), (1, 3.73), (3, 1.39), (8, 0.600)]
)
def test_published_values(epsilon: float, sigma: float) -> None:
    assert analytic_gaussian(epsilon, 1e-5) == pytest.approx(sigma, rel=0.01)


@given(st.floats(0.01, 50), st.floats(1e-12, 0.3), st.floats(0.01, 100))
def test_delta_is_met_and_scales_with_sensitivity(
    epsilon: float, delta: float, sensitivity: float
) -> None:
    sigma = analytic_gaussian(epsilon, delta, sensitivity=sensitivity)
    assert gaussian_delta(epsilon, sigma / sensitivity) == pytest.approx(delta, rel=1e-5)
    assert sigma == pytest.approx(sensitivity * analytic_gaussian(epsilon, delta), rel=1e-9)


@pytest.mark.parametrize(("epsilon", "sigma"), [(0.5, 1.0), (2.0, 0.7), (0.0, 2.0)])
def test_delta_is_the_hockey_stick_divergence(epsilon: float, sigma: float) -> None:
    # The definition, integrated: how much likelier one release is than e^epsilon times the other.
    def excess(x: float) -> float:
        there, beside = stats.norm.pdf(x, 1, sigma), stats.norm.pdf(x, 0, sigma)
        return max(0.0, there - math.exp(epsilon) * beside)

    kink = 0.5 + epsilon * sigma**2
    area, _ = integrate.quad(excess, kink, kink + 12 * sigma + 5)
    assert gaussian_delta(epsilon, sigma) == pytest.approx(area, abs=1e-9)


@given(st.floats(0.01, 1.0), st.floats(1e-10, 1e-2))
def test_the_classical_formula_never_needs_less(epsilon: float, delta: float) -> None:
    classical = math.sqrt(2 * math.log(1.25 / delta)) / epsilon  # Dwork & Roth 2014, A.1
    assert classical >= analytic_gaussian(epsilon, delta)


def test_bad_input() -> None:
    for call, message in (
        (lambda: analytic_gaussian(0, 1e-5), "above 0"),
        (lambda: analytic_gaussian(1, 0), "delta between 0 and 1"),
        (lambda: analytic_gaussian(1, 1e-5, sensitivity=0), "above 0"),
        (lambda: gaussian_delta(-1, 1), "epsilon from 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
