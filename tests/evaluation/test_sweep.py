"""The runner of cells, and one attack by each who runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from medpriv.data import load_records
from medpriv.deployment import View, deploy
from medpriv.evaluation.attacks import attackers
from medpriv.evaluation.sweep import CellFiles, Row, sweep
from medpriv.models import build_target

CELLS = {"c": 3, "a": 1, "b": 2}


class Cell:
    """Counts how often it is computed; one may fail or raise."""

    def __init__(self, fails: int = 0, raises: int = 0) -> None:
        self.fails, self.raises = fails, raises
        self.seen: list[int] = []

    def __call__(self, number: int) -> Row:
        self.seen.append(number)
        if number == self.raises:
            raise OSError("no space")
        return {"value": number / 7, "error": "OSError: no space" if number == self.fails else ""}


def test_rows_come_in_the_order_of_the_settings_and_are_kept(tmp_path: Path) -> None:
    cell = Cell()
    found = sweep(cell, CELLS, CellFiles(tmp_path))
    assert {key: row["value"] for key, row in found.items()} == {"c": 3 / 7, "a": 1 / 7, "b": 2 / 7}
    assert list(found) == list(CELLS)
    assert cell.seen == [3, 1, 2]
    again = Cell()
    assert sweep(again, {"b": 2, "c": 3}, CellFiles(tmp_path)) == {k: found[k] for k in ("b", "c")}
    assert again.seen == []


def test_a_failed_cell_is_handed_back_and_tried_again(tmp_path: Path) -> None:
    assert sweep(Cell(fails=1), CELLS, CellFiles(tmp_path))["a"]["error"] == "OSError: no space"
    again = Cell()
    assert sweep(again, CELLS, CellFiles(tmp_path))["a"]["error"] == ""
    assert again.seen == [1]


def test_a_cell_that_raises_ends_the_sweep_where_it_goes_on(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no space"):
        sweep(Cell(raises=1), CELLS, CellFiles(tmp_path))
    again = Cell()
    sweep(again, CELLS, CellFiles(tmp_path))
    assert again.seen == [1, 2]


@pytest.mark.parametrize("damage", ['{"value": 0.1', "[1, 2]", ""])
def test_a_damaged_file_is_no_cell(damage: str, tmp_path: Path) -> None:
    files = CellFiles(tmp_path / "new")
    assert files.find("a") is None
    row = {"value": 1 / 3, "nothing": float("nan"), "inf": float("inf")}
    files.keep("a", row)
    assert str(files.find("a")) == str(row)
    (tmp_path / "new" / "a.json").write_text(damage)
    with pytest.warns(RuntimeWarning, match="a.json in .* is damaged.*computing it again"):
        assert files.find("a") is None


def test_each_attacker_meets_the_views_that_he_can() -> None:
    cohort = load_records("warfarin", profile="smoke")
    model = build_target(cohort)
    plain, often = (deploy(model, expose="label") for _ in range(2))
    deployed: list[View] = []

    def served() -> View:
        deployed.append(deploy(model, expose="label"))
        return deployed[-1]

    def attack(fitted_on: View, used_on: View) -> tuple[View, View]:
        fitted_on(cohort.auxiliary.x[:3])
        return fitted_on, used_on

    found: dict[str, Any] = attackers(attack, served, plain=plain, often=often)
    naive, adaptive = deployed
    assert list(found) == ["naive", "adaptive", "averaged"]
    assert found["naive"] == (plain, naive)
    assert found["adaptive"] == (adaptive, adaptive)
    assert found["averaged"] == (often, often)
    assert [view.queries for view in (plain, naive, adaptive, often)] == [3, 0, 3, 3]
    # Without a defense there is nothing to know of; without another view, nobody who averages.
    alone = attackers(attack, served)
    assert alone["naive"] is alone["adaptive"]
    assert set(alone) == {"naive", "adaptive"}
    assert torch.equal(plain(cohort.test.x), adaptive(cohort.test.x))
