"""Scores of guessed attributes: scikit-learn and scipy as oracles, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, matthews_corrcoef, recall_score

from medpriv.metrics import attribute_scores, top_precision
from medpriv.statistics import Estimate

WHO = np.arange


@given(st.integers(0, 2**31 - 1), st.integers(2, 4), st.integers(5, 60))
def test_scores_agree_with_scikit_learn(seed: int, values: int, rows: int) -> None:
    source = np.random.default_rng(seed)
    truth, guess = source.integers(values, size=(2, rows))
    found = attribute_scores(truth, guess, WHO(rows), values, draws=20)
    recalls = recall_score(truth, guess, labels=np.unique(truth), average=None, zero_division=0)
    assert found.accuracy.value == pytest.approx(accuracy_score(truth, guess))
    assert found.mcc.value == pytest.approx(matthews_corrcoef(truth, guess), abs=1e-9)
    assert found.g_mean.value == pytest.approx(np.prod(recalls) ** (1 / len(recalls)), abs=1e-9)


def test_the_most_common_value_scores_nothing_but_accuracy() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    found = attribute_scores(truth, np.zeros(100), WHO(100), 2)
    assert (found.accuracy.value, found.g_mean.value, found.mcc.value) == (0.9, 0.0, 0.0)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """MCC of a guess that is right in 70 %: 0.4. 179 of 200: fewer have a chance of 0.1 %."""
    held = 0
    for seed in range(200):
        source = np.random.default_rng(seed)
        truth = source.integers(2, size=300)
        guess = np.where(source.random(300) < 0.7, truth, 1 - truth)
        mcc = attribute_scores(truth, guess, WHO(300), 2, seed=seed).mcc
        held += mcc.low <= 0.4 <= mcc.high
    assert held >= 179


def test_a_gain_is_paired() -> None:
    """Two guesses that are wrong together differ by nothing, but for patients not seen."""
    truth = np.arange(100) % 2
    guess = np.where(np.arange(100) < 80, truth, 1 - truth)
    same = attribute_scores(truth, guess, WHO(100), 2, baseline=guess)
    off = 1 - 0.025 ** (1 / 100)
    assert same.accuracy == Estimate(0, pytest.approx(-off), pytest.approx(off))
    assert same.mcc.low == -same.mcc.high < -off
    better = attribute_scores(truth, truth, WHO(100), 2, baseline=guess)
    assert better.accuracy.value == pytest.approx(0.2)
    assert better.mcc.low > 0.2


def test_the_top_is_of_those_ranked_highest() -> None:
    truth = np.array([1, 1, 0, 1, 0, 0], dtype=bool)
    found = top_precision(truth, np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), top=(2, 4, 100))
    assert [round(found[k].value, 3) for k in (2, 4, 100)] == [1.0, 0.75, 0.5]
    for number, hits in ((2, 2), (4, 3)):
        oracle = binomtest(hits, number).proportion_ci(method="wilson")
        assert (found[number].low, found[number].high) == pytest.approx(tuple(oracle), abs=1e-6)


@pytest.mark.parametrize(
    ("truth", "guess", "message"),
    [
        ([], [], "at least one row"),
        ([0, 1], [0], "one value for each"),
        ([0, 2], [0, 1], "outside 0..1"),
        ([0, 1], [0, 0.5], "outside 0..1"),
    ],
)
def test_what_cannot_be_scored_is_refused(truth: list, guess: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attribute_scores(np.array(truth), np.array(guess), WHO(len(truth)), 2)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="one rank for each"):
        top_precision(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="NaN"):
        top_precision(np.ones(2), np.array([1, np.nan]))
