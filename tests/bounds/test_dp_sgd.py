"""DP-SGD's curve of power: a closed form, two accountants, another library, and drawing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prv_accountant import PRVAccountant
from prv_accountant.privacy_random_variables import PoissonSubsampledGaussianMechanism

from medpriv.bounds import power as curves
from medpriv.bounds.dp_sgd import training_power
from medpriv.defenses.private_training import epsilon_spent

LEVELS = np.array([0.001, 0.01, 0.1, 0.5, 0.9, 0.99])


@pytest.mark.parametrize(("noise", "steps"), [(1.0, 1), (0.5, 1), (3.0, 10), (10.0, 100)])
def test_of_all_rows_in_each_step_it_is_the_normal_curve(noise: float, steps: int) -> None:
    found = training_power(noise, 1.0, steps)
    exact = curves.gaussian(math.sqrt(steps) / noise)
    for curve in (found.found, found.missed):
        assert (curve(LEVELS) >= exact(LEVELS) - 1e-9).all()
        assert curve(LEVELS) == pytest.approx(exact(LEVELS), abs=1e-4)
    assert curves.auc(found.found) == pytest.approx(curves.auc(exact), abs=1e-4)
    # Exchanged: out and in again, twice the distance.
    twice = curves.gaussian(2 * math.sqrt(steps) / noise)
    assert found.exchanged(LEVELS) == pytest.approx(twice(LEVELS), abs=2e-4)


# dp-accounting 0.6.0, grid of 1e-5, a row that is added: its delta at epsilon 0, 0.5, 1 and 2; and
# riskcal 1.5.1 over it: power at levels 0.01 and 0.1, and the advantage.
OTHERS = {
    (1.1, 0.02, 1000): (
        (0.2733844, 0.1248662, 0.0428717, 0.0020812), (0.055203, 0.284965), 0.273385,
    ),
    (0.6, 0.01, 500): (
        (0.2766542, 0.1455097, 0.0690512, 0.0130406), (0.075223, 0.308414), 0.276654,
    ),
    (0.8, 0.1, 100): (
        (0.5600692, 0.4604462, 0.3650300, 0.2059525), (0.267761, 0.622644), 0.560069,
    ),
}  # fmt: skip


@pytest.mark.parametrize("setting", OTHERS)
def test_it_is_what_two_other_libraries_have(setting: tuple[float, float, int]) -> None:
    found = training_power(*setting).found
    deltas, power, advantage = OTHERS[setting]
    level = np.concatenate([[0], np.geomspace(1e-6, 1, 40_000)])
    for epsilon, delta in zip((0, 0.5, 1, 2), deltas, strict=True):
        # δ(ε) is the largest g(a) - e^ε a.
        ours = (found(level) - math.exp(epsilon) * level).max()
        assert ours == pytest.approx(delta, rel=2e-4)
    assert found(LEVELS[1:3]) == pytest.approx(power, rel=2e-3)
    assert curves.advantage(found) == pytest.approx(advantage, rel=1e-4)


@pytest.mark.parametrize(("noise", "rate", "steps"), [(0.8, 0.1, 100)])
def test_it_spends_what_accountants_say(noise: float, rate: float, steps: int) -> None:
    mechanism = PoissonSubsampledGaussianMechanism(
        noise_multiplier=noise, sampling_probability=rate
    )
    other = PRVAccountant(
        prvs=[mechanism], max_self_compositions=[steps], eps_error=0.01, delta_error=1e-10
    )
    level = np.concatenate([[0], np.geomspace(1e-9, 1, 40_000)])
    for delta in (1e-3,):
        low, _, high = other.compute_epsilon(delta=delta, num_self_compositions=[steps])
        found = training_power(noise, rate, steps).found(level)
        # δ(ε) is the largest g(a) - e^ε a; it falls through delta between the accountant's ends.
        assert (found - math.exp(high + 0.01) * level).max() <= delta
        assert (found - math.exp(low - 0.02) * level).max() >= delta
    # And no training of this epsilon does better than (ε, δ) allows.
    allowed = curves.pure(epsilon_spent(noise, rate, steps, 1e-5), 1e-5)
    assert (found <= allowed(level) + 1e-9).all()


@pytest.mark.parametrize(
    ("noise", "rate", "steps"), [(1.0, 0.1, 10), (0.8, 0.1, 100), (5.0, 0.3, 30)]
)
def test_hayes_estimate_by_drawing(noise: float, rate: float, steps: int) -> None:
    # Algorithm 2 of arXiv 2302.07225: likelihood ratios of draws without the row, the mean of the
    # largest share κ of them. Four standard errors.
    draws, many = np.random.default_rng(0), 20_000
    without = draws.normal(0, noise, (many, steps))
    ratio = np.exp(
        np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * without - 1) / (2 * noise**2)).sum(1)
    )
    for prior in (0.1, 0.5):
        top = np.sort(ratio)[-int(prior * many) :]
        error = top.std() * math.sqrt(prior / many) + top.min() * math.sqrt(prior / many)
        assert training_power(noise, rate, steps).found(prior) == pytest.approx(
            prior * top.mean(), abs=4 * error
        )


def test_an_attacker_who_sees_every_step_does_not_pass_it() -> None:
    from scipy.stats import beta

    noise, rate, steps, many = 1.0, 0.2, 20, 4000
    found = training_power(noise, rate, steps).found
    draws = np.random.default_rng(1)

    def scores(member: bool) -> np.ndarray:
        there = (draws.random((many, steps)) < rate) & member
        seen = draws.normal(0, noise, (many, steps)) + there
        return np.logaddexp(
            math.log1p(-rate), math.log(rate) + (2 * seen - 1) / (2 * noise**2)
        ).sum(1)

    with_row, without = scores(True), scores(False)
    for cut in np.quantile(without, [0.5, 0.9, 0.99]):
        hits, alarms = int((with_row >= cut).sum()), int((without >= cut).sum())
        most = beta.ppf(1 - 5e-6, alarms + 1, many - alarms)
        assert beta.ppf(5e-6, hits, many - hits + 1) <= found(most)
        assert hits / many >= 0.9 * found(alarms / many)  # the bound is reached


@given(st.floats(0.5, 5), st.floats(0.01, 1), st.integers(1, 200))
@settings(max_examples=5, deadline=None)
def test_it_rises_with_steps_and_rate_and_falls_with_noise(
    noise: float, rate: float, steps: int
) -> None:
    found = training_power(noise, rate, steps).found(LEVELS)
    for more in (
        (noise, rate, 2 * steps),
        (noise, min(1, 1.5 * rate), steps),
        (noise / 1.3, rate, steps),
    ):
        assert (training_power(*more).found(LEVELS) >= found - 2e-4).all()
    assert (found >= LEVELS).all()
    assert found.max() <= 1


def test_limits() -> None:
    assert training_power(1e4, 0.01, 1).found(LEVELS) == pytest.approx(LEVELS, abs=1e-6)
    assert training_power(0.02, 1.0, 5).found(1e-6) == pytest.approx(1)
    # A row that is drawn so rarely is found only where it was drawn.
    assert training_power(0.02, 0.25, 1).found(1e-3) == pytest.approx(0.25, abs=2e-3)


def test_bad_input() -> None:
    for arguments, message in (
        ((0, 0.1, 5), "noise above 0"),
        ((1, 0, 5), "rate in"),
        ((1, 0.1, 0), "steps"),
    ):
        with pytest.raises(ValueError, match=message):
            training_power(*arguments)
