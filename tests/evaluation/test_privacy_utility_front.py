"""The privacy-utility front."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpriv.evaluation import on_front

POINT = st.tuples(st.integers(0, 5), st.integers(0, 5))  # few values, so that ties are common


def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one != other and one[0] <= other[0] and one[1] >= other[1]


@given(st.lists(POINT, max_size=12))
def test_who_is_on_it_is_beaten_by_none_and_everyone_else_by_one_who_is(
    points: list[tuple[int, int]],
) -> None:
    leak, utility = np.array(points, dtype=float).reshape(-1, 2).T
    found = on_front(leak, utility)
    front = [point for point, there in zip(points, found, strict=True) if there]
    for point, there in zip(points, found, strict=True):
        assert there == (not any(beats(other, point) for other in points))
        assert there or any(beats(other, point) for other in front)


def test_those_that_are_equal_in_both_stay_together() -> None:
    assert on_front([0.2, 0.2, 0.5], [0.7, 0.7, 0.7]).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("leak", "utility", "said"),
    [
        ([0.1, 0.2], [0.3], r"got shapes \(2,\) and \(1,\)"),
        ([[0.1]], [[0.3]], r"got shapes \(1, 1\)"),
        ([0.1, float("nan")], [0.3, 0.2], "NaN; leave out"),
    ],
)
def test_bad_arguments(leak: list, utility: list, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        on_front(leak, utility)
