"""Curves of power: closed forms, limits, and published bounds that must lie above them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import norm

from medpriv.bounds import power as curves
from medpriv.defenses.gaussian import gaussian_delta

LEVELS = np.concatenate([[0], np.geomspace(1e-9, 1, 60)])
EPSILONS = st.floats(0, 50)
DISTANCES = st.floats(0, 20)


@given(EPSILONS, st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_curve_rises_bends_down_and_is_no_worse_than_a_coin(epsilon: float, delta: float) -> None:
    for curve in (curves.pure(epsilon, delta), curves.gaussian(epsilon)):
        found = curve(LEVELS)
        assert (np.diff(found) >= -1e-12).all()
        assert (found >= LEVELS - 1e-12).all()
        assert found.max() <= 1
        middle = curve((LEVELS[1:] + LEVELS[:-1]) / 2)
        assert (middle >= (found[1:] + found[:-1]) / 2 - 1e-12).all()


@given(EPSILONS, EPSILONS, st.floats(1e-6, 1 - 1e-6))
@settings(max_examples=30, deadline=None)
def test_more_epsilon_and_more_distance_allow_more(one: float, two: float, level: float) -> None:
    low, high = sorted((one, two))
    for curve in (curves.pure, curves.gaussian):
        assert curve(low)(level) <= curve(high)(level) + 1e-12


def test_limits() -> None:
    for curve in (curves.pure(0), curves.gaussian(0)):
        assert curve(LEVELS) == pytest.approx(LEVELS)
        assert curves.advantage(curve) == pytest.approx(0, abs=1e-12)
        assert curves.auc(curve) == pytest.approx(0.5, abs=1e-6)
    for curve in (curves.pure(math.inf), curves.gaussian(math.inf)):
        assert curve(1e-300) == 1
        assert curve(0) == 0
        assert curves.auc(curve) == pytest.approx(1)


@given(st.floats(0.01, 6))
@settings(max_examples=10, deadline=None)
def test_closed_forms_of_advantage_and_auc(size: float) -> None:
    # Two normal distributions: 2 Φ(μ / 2) - 1 and Φ(μ / √2).
    curve = curves.gaussian(size)
    assert curves.advantage(curve) == pytest.approx(2 * ndtr(size / 2) - 1, abs=1e-9)
    assert 0 <= curves.auc(curve) - ndtr(size / math.sqrt(2)) < 1e-4
    # ε alone: tanh(ε / 2), at the level 1 / (1 + e^ε); two lines meet there, so the AUC is a
    # triangle and a square.
    curve, bend = curves.pure(size), 1 / (1 + math.exp(size))
    assert curves.advantage(curve) == pytest.approx(math.tanh(size / 2), abs=1e-9)
    assert curves.auc(curve) == pytest.approx(1 - bend, abs=1e-4)


@pytest.mark.parametrize("distance", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
def test_the_normal_curve_has_the_delta_of_balle_and_wang(distance: float, epsilon: float) -> None:
    # δ(ε) is the largest g(a) - e^ε a (Dong, Roth & Su 2022).
    level = np.linspace(0, 1, 200_001)
    delta = (curves.gaussian(distance)(level) - math.exp(epsilon) * level).max()
    assert delta == pytest.approx(gaussian_delta(epsilon, 1 / distance), abs=1e-6)


@given(st.floats(0.05, 5), st.floats(1e-4, 0.9))
@settings(max_examples=30, deadline=None)
def test_it_is_below_the_bounds_of_balle_cherubin_and_hayes(size: float, prior: float) -> None:
    # arXiv 2201.04845: κ e^ε from pure ε, and (κ e^r)^((a - 1) / a) from Rényi's r at order a,
    # which is a μ² / 2 for normal noise.
    assert curves.pure(size)(prior) <= min(1, prior * math.exp(size)) + 1e-12
    orders = np.linspace(1.01, 20, 500)
    renyi = np.exp((np.log(prior) + orders * size**2 / 2) * (orders - 1) / orders)
    assert curves.gaussian(size)(prior) <= min(1, renyi.min()) + 1e-12


def test_kaissis_closed_form_for_reconstruction_from_normal_noise() -> None:
    # arXiv 2307.03928: γ(κ) = Φ(Δ √N / σ - Φ⁻¹(1 - κ)), by scipy's other normal distribution.
    for prior in (0.1, 0.01, 0.001):
        for steps, sigma in ((1, 1.0), (10, 4.0), (25, 2.5)):
            there = norm.cdf(math.sqrt(steps) / sigma - norm.isf(prior))
            assert curves.gaussian(math.sqrt(steps) / sigma)(prior) == pytest.approx(there)


def test_groups() -> None:
    # Of normal noise k steps are one of k times the distance; of ε alone, k ε.
    three = curves.chained(*[curves.gaussian(0.4)] * 3)
    assert three(LEVELS) == pytest.approx(curves.gaussian(1.2)(LEVELS), abs=1e-9)
    two = curves.chained(curves.pure(0.3), curves.pure(0.7))
    assert (two(LEVELS) <= curves.pure(1.0)(LEVELS) + 1e-12).all()
    assert two(0.01) == pytest.approx(0.01 * math.e)
    # The order counts where neighbours are not alike: first the last one.
    lame = curves.chained(curves.pure(0, 0.5), curves.pure(1.0))
    assert lame(0.1) == pytest.approx(curves.pure(0, 0.5)(curves.pure(1.0)(0.1)))


def test_bad_input() -> None:
    for call, message in (
        (lambda: curves.pure(-1), "0 or more"),
        (lambda: curves.pure(1, 2), "0 to 1"),
        (lambda: curves.gaussian(float("nan")), "0 or more"),
        (lambda: curves.pure(1)(1.5), "probability"),
        (lambda: curves.gaussian(1)(float("nan")), "probability"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
