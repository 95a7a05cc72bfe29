"""The settings of chapter 12's table, and one of its cells."""

from __future__ import annotations

from collections import Counter

import pytest
from sklearn.model_selection import ParameterGrid

from experiments.ch12 import DATASETS, SEEDS, TABLES, matrix_cell


def test_every_setting_is_there_once_and_every_seed_as_often() -> None:
    settings = list(ParameterGrid(TABLES["12-matrix"].grid))
    assert len({tuple(setting.values()) for setting in settings}) == len(settings)
    for dataset in DATASETS:
        seeds = Counter(one["seed"] for one in settings if one["dataset"] == dataset)
        assert set(seeds) == set(SEEDS)
        assert len(set(seeds.values())) == 1
    assert {setting["dataset"] for setting in settings} == set(DATASETS)


def test_each_data_set_is_seen_without_a_defense() -> None:
    plain = [one for one in ParameterGrid(TABLES["12-matrix"].grid) if one["defense"] == "nothing"]
    assert {one["dataset"] for one in plain} == set(DATASETS)


def test_a_cell_is_a_row_of_the_comparison() -> None:
    found = matrix_cell("warfarin", "same scores", "fewer digits", 2, 0, profile="smoke")
    assert found["metric"] == "MCC"
    assert found["low"] <= found["adaptive"] <= found["high"]
    assert found["adaptive"] > found["baseline"]
    assert 0 <= found["utility"] <= 1


def test_a_cell_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from medpriv.evaluation import cell

    def broken(*_: object) -> None:
        raise OSError("no such model")

    monkeypatch.setattr(cell, "_target", broken)
    with pytest.raises(RuntimeError, match="same scores against nothing 0, seed 5: OSError: no su"):
        matrix_cell("warfarin", "same scores", "nothing", 0.0, 5, profile="smoke")
