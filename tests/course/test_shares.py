"""A share of what was measured, and of what was not there."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpriv.course import share

NUMBERS = st.floats(-1e6, 1e6)


@given(part=NUMBERS, whole=NUMBERS)
def test_a_share_of_what_is_there(part: float, whole: float) -> None:
    found = share(part, whole)
    assert found == part / whole if whole > 0 else math.isnan(found)


@pytest.mark.parametrize("whole", [0, 0.0, -0.2, math.nan, np.float64(0), np.int64(0)])
@pytest.mark.parametrize("part", [0, 0.1, np.float64(0.1)])
@pytest.mark.filterwarnings("error")
def test_of_nothing_there_is_no_share(part: float, whole: float) -> None:
    assert math.isnan(share(part, whole))


@pytest.mark.filterwarnings("error")
def test_columns_are_shared_row_by_row() -> None:
    part = pd.Series([0.1, 0.2, 0.3, 0.4], index=list("abcd"))
    whole = pd.Series([-0.5, 0.4, 0.0, math.nan], index=list("dbca"))
    found = share(part, whole)
    assert found["b"] == 0.2 / 0.4
    assert found.drop("b").isna().all()
    assert share(part, 0.4).equals(part / 0.4)
    assert share(part, 0).isna().all()
    assert share(part.to_frame("x"), whole.to_frame("x"))["x"].equals(found)
