"""AUC of one fact or of several, and its interval: scikit-learn as oracle, and answers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medpriv.metrics import auc
from medpriv.runtime.seeds import rng


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
@settings(max_examples=50)
def test_it_is_scikit_learns_area(rows) -> None:
    truth, score = (np.array(column) for column in zip(*rows, strict=True))
    found = auc(truth, score, np.arange(len(truth)), draws=20)
    if truth.all() or not truth.any():
        assert np.isnan(found.value)
    else:
        assert found.value == pytest.approx(roc_auc_score(truth, score))
        assert 0 <= found.low <= found.high <= 1


def test_of_several_facts_it_is_the_mean_of_those_that_vary() -> None:
    truth = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]], dtype=bool)
    score = np.array([[4.0, 9, 1], [3, 9, 1], [2, 9, 1], [1, 9, 1]])
    # The first is 3 of 4 pairs, the second nobody has, the third is all ties.
    assert auc(truth, score, np.arange(4)).value == pytest.approx((0.75 + 0.5) / 2)


def test_the_gain_is_paired() -> None:
    draw = rng(0, "facts")
    truth = draw.random((300, 2)) < 0.3
    score = truth + draw.normal(size=(300, 2))
    who = np.arange(300)
    gain = auc(truth, score, who, baseline=score - 1)
    off = 1 - 0.025 ** (1 / truth.sum(0).min())  # of as many pairs none is ranked otherwise
    assert (gain.value, gain.low, gain.high) == (0, pytest.approx(-off), pytest.approx(off))
    guessed = draw.normal(size=(300, 2))
    gain = auc(truth, score, who, baseline=guessed)
    alone = auc(truth, score, who).value - auc(truth, guessed, who).value
    assert gain.value == pytest.approx(alone)
    assert gain.low <= alone <= gain.high


def test_the_interval_covers_the_area_of_the_population() -> None:
    """Two normals one apart have the area Phi(1 / sqrt 2) = 0.760; 95 % of 200 intervals hold it.

    Fewer than 180 would come once in some 2,000 runs.
    """
    draw, held = rng(1, "facts"), 0
    for seed in range(200):
        truth = np.arange(120) < 40
        score = truth + draw.normal(size=120)
        found = auc(truth, score, np.arange(120), draws=200, seed=seed)
        held += found.low <= 0.7602 <= found.high
    assert held >= 180


def test_what_cannot_be_ranked_is_refused() -> None:
    truth, who = np.array([True, False]), np.arange(2)
    with pytest.raises(ValueError, match=r"one shape .* got \(2, 1\) and \(3, 1\)"):
        auc(truth, np.zeros(3), who)
    with pytest.raises(ValueError, match="a score is NaN"):
        auc(truth, np.array([0.1, np.nan]), who)
