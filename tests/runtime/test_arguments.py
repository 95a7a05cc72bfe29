"""What a caller may pass, and tables beside a module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medpriv.runtime.arguments import require_integer
from medpriv.runtime.resources import json_resource


@pytest.mark.parametrize("value", [1, 5, 9, np.int64(5), np.uint8(9)])
def test_an_integer_in_its_range_is_given_back_as_an_int(value: int) -> None:
    found = require_integer("n", value, 1, 9)
    assert found == value
    assert type(found) is int


@pytest.mark.parametrize("value", [0, 10, True, np.bool_(True), 2.0, "2", None])
def test_what_is_none_is_refused_with_the_range(value: object) -> None:
    with pytest.raises(ValueError, match="n must be an integer of at least 1 and at most 9, got"):
        require_integer("n", value, 1, 9)
    assert require_integer("n", 10**30, 0) == 10**30  # without an upper end


def test_a_table_is_found_beside_its_module_wherever_the_reader_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "words.json").write_text('{"ü": [1, 2.5]}', encoding="utf-8")
    monkeypatch.chdir(Path(__file__).parent)
    assert json_resource(str(tmp_path / "module.py"), "in/words.json") == {"ü": [1, 2.5]}
