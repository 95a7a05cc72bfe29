"""Drawing patients again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medpriv.data.resampling import patient_bootstrap

rows = st.lists(st.integers(0, 9), min_size=1, max_size=40)


@given(rows, st.integers(1, 20), st.integers(0, 2**31 - 1))
def test_whole_patients_are_drawn_as_many_as_there_are(rows, draws: int, seed: int) -> None:
    patient = np.array([f"p{row}" for row in rows])
    counts = patient_bootstrap(patient, draws=draws, seed=seed)
    assert counts.shape == (draws, len(rows))
    assert counts.dtype == np.int64
    assert (counts >= 0).all()
    names, first = np.unique(patient, return_index=True)
    for name in names:  # all rows of a patient count alike
        of_one = counts[:, patient == name]
        assert (of_one == of_one[:, :1]).all()
    assert (counts[:, first].sum(axis=1) == len(names)).all()


@given(rows, st.data())
def test_the_order_of_rows_does_not_matter(rows, data) -> None:
    patient = np.array(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    counts = patient_bootstrap(patient, draws=5)
    assert np.array_equal(patient_bootstrap(patient[order], draws=5), counts[:, order])


def test_seeds_and_lists() -> None:
    patient = list("aabbcd")
    same = patient_bootstrap(patient, seed=1)
    assert np.array_equal(same, patient_bootstrap(np.array(patient), seed=1))
    assert not np.array_equal(same, patient_bootstrap(patient, seed=2))


def test_how_often_a_patient_is_drawn_is_binomial() -> None:
    """There are n draws with chance 1/n. A chi-square test of 20,000 fixed draws: alpha = 0.001."""
    counts = patient_bootstrap(np.arange(20), draws=20_000, seed=0)[:, 7]
    expected = stats.binom(20, 1 / 20).pmf(np.arange(5))
    expected = np.append(expected, 1 - expected.sum()) * len(counts)
    found = np.bincount(np.minimum(counts, 5), minlength=6)
    assert stats.chisquare(found, expected).pvalue > 0.001
    assert counts.mean() == pytest.approx(1, abs=0.03)  # four standard errors
