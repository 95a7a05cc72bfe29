"""The membership advantage and its interval."""

from __future__ import annotations

import numpy as np
import pytest

from medpriv.metrics import Estimate, advantage
from medpriv.runtime import rng


def people(rows: int) -> np.ndarray:
    return np.array([f"p{row:05d}" for row in range(rows)])


def test_it_is_the_difference_of_two_rates() -> None:
    guess = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0], dtype=bool)
    member = np.arange(10) < 4
    assert advantage(guess, member, people(10)).value == pytest.approx(3 / 4 - 1 / 6)


def test_a_perfect_a_useless_and_a_perverse_guess() -> None:
    member = np.arange(20) < 8
    assert advantage(member, member, people(20)) == Estimate(1, 1, 1)
    assert advantage(np.ones(20), member, people(20)) == Estimate(0, 0, 0)
    assert advantage(~member, member, people(20)) == Estimate(-1, -1, -1)


def test_the_interval_is_as_wide_as_the_normal_one() -> None:
    """Var = p(1-p)/n + q(1-q)/m for n members and m non-members."""
    members, others = 400, 2000
    guess = np.concatenate([np.arange(members) < 280, np.arange(others) < 1000])
    member = np.arange(members + others) < members
    found = advantage(guess, member, people(len(guess)), draws=10_000)
    width = 1.96 * np.sqrt(0.7 * 0.3 / members + 0.5 * 0.5 / others)
    assert found.value == pytest.approx(0.2)
    assert found.high - found.value == pytest.approx(width, rel=0.06)
    assert found.value - found.low == pytest.approx(width, rel=0.06)


def test_how_many_there_are_of_each_does_not_move_the_interval() -> None:
    """Drawn apart: with 5 members among 1000 each resample has 5."""
    guess = member = np.arange(1000) < 5
    assert advantage(guess, member, people(1000)) == Estimate(1, 1, 1)


def test_the_interval_covers_the_true_advantage() -> None:
    """200 data sets, a true advantage of 0.2; at a rate of 94 %, fewer than 176 once in 2,000."""
    generator = rng(0, "coverage")
    member = np.arange(300) < 100
    chance = np.where(member, 0.6, 0.4)
    covered = 0
    for _ in range(200):
        found = advantage(generator.random(300) < chance, member, people(300), draws=300)
        covered += found.low <= 0.2 <= found.high
    assert 176 <= covered <= 199


def test_rows_of_one_patient_count_as_one() -> None:
    generator = rng(1, "copies")
    guess, member = generator.random(60) < 0.5, np.arange(60) < 30
    once = advantage(guess, member, people(60))
    thrice = advantage(guess.repeat(3), member.repeat(3), people(60).repeat(3))
    assert thrice == once


@pytest.mark.parametrize(
    ("guess", "member", "rows", "message"),
    [
        ([1, 0], [1], 2, r"got shapes \(2,\) and \(1,\) for 2 rows"),
        ([1, 0], [1, 0], 3, "for 3 rows"),
        ([1, 0], [1, 1], 2, "one of them is missing"),
        ([1, 0], [0, 0], 2, "one of them is missing"),
        ([], [], 0, "one of them is missing"),
    ],
)
def test_errors(guess, member, rows: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        advantage(np.array(guess), np.array(member), people(rows))
