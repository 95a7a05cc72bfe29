"""The look-up that needs no model."""

from __future__ import annotations

import numpy as np
import pandas as pd

from medpriv.course import look_up


def test_a_copy_is_found_and_nothing_else_is_exact() -> None:
    texts = [f"finding {i} of patient {i}" for i in range(20)] + ["No acute disease."] * 20
    found = look_up(texts, seed=3)
    assert len(found) == 4
    assert found["row"].is_unique
    np.testing.assert_array_equal(found["exact"] == 1, found["twin"])
    np.testing.assert_array_equal(found["twin"], found["row"] >= 20)
    assert (found["f1"] > 0).all()
    pd.testing.assert_frame_equal(found, look_up(texts, seed=3))
    assert not found["row"].equals(look_up(texts, seed=4)["row"])


def test_distinct_texts_have_no_twin() -> None:
    found = look_up([f"a b c{i} d" for i in range(40)])
    assert not found["twin"].any()
    assert not found["exact"].any()
    assert found["f1"].between(0.7, 1).all()
