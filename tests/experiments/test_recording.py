"""Making a table: in the order of its settings, kept cell by cell, and keyed by its code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments import recording
from experiments.recording import Table, record
from medpriv.course import recorded

GRID = {"dataset": ["toy"], "seed": [0, 1, 2]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDPRIV_CHAPTERS", str(tmp_path))
    return tmp_path / "recorded"


class Cell:
    """Counts how often it is computed, and stops when told to."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.seeds: list[int] = []
        self.stop_at = stop_at

    def __call__(self, dataset: str, seed: int) -> dict[str, Any]:
        if seed == self.stop_at:
            raise KeyboardInterrupt
        self.seeds.append(seed)
        return {"ssim": seed / 7}


def test_a_table_is_made_in_the_order_of_its_settings(folder: Path) -> None:
    cell = Cell()
    table = record("toy", Table(cell, GRID))
    assert cell.seeds == [0, 1, 2]
    assert table.columns.tolist() == ["dataset", "seed", "ssim", "key"]
    assert table.ssim.tolist() == [0.0, 0.142857, 0.285714]
    assert recorded("toy").equals(table)
    assert [file.name for file in folder.iterdir()] == ["toy.csv"]


def test_an_interrupted_grid_goes_on_where_it_was(folder: Path) -> None:
    first = Cell(stop_at=1)
    with pytest.raises(KeyboardInterrupt):
        record("toy", Table(first, GRID))
    assert recorded("toy").seed.tolist() == [0]
    second = Cell()
    assert record("toy", Table(second, GRID)).seed.tolist() == [0, 1, 2]
    assert second.seeds == [1, 2]
    third = Cell()
    record("toy", Table(third, GRID))
    assert third.seeds == []


def test_another_setting_is_computed_and_an_old_one_dropped(folder: Path) -> None:
    record("toy", Table(Cell(), GRID))
    cell = Cell()
    table = record("toy", Table(cell, {"dataset": ["toy"], "seed": [1, 2, 9]}))
    assert cell.seeds == [9]
    assert table.seed.tolist() == [1, 2, 9]


def test_changed_code_is_computed_again(folder: Path) -> None:
    record("toy", Table(Cell(), GRID))
    cell = Cell()
    record("toy", Table(cell, GRID, lambda setting: [recording.record]))
    assert cell.seeds == [0, 1, 2]


def test_a_table_that_was_never_made(folder: Path) -> None:
    with pytest.raises(ValueError, match="no recorded table 'toy' at .*run `make grids`"):
        recorded("toy")
