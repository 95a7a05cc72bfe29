"""The recorded tables of chapter 02, and what they are made of."""

from __future__ import annotations

import pytest

from experiments import ch02 as likeness
from medpriv.course import recorded


def test_closing_lines() -> None:
    assert likeness.closing_line("Indication: cough. Ms. Horvat. Impression: Clear.") == (
        "Impression: Clear"
    )
    assert likeness.closing_line("Clear lungs") == "Clear lungs"
    assert likeness.closing_line("") == ""


# --- What is recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["02-texture", "02-reports"])
def test_every_cell_is_full(name: str) -> None:
    assert recorded(name).notna().all(axis=None)


def test_what_is_recorded_is_possible() -> None:
    texture, reports = recorded("02-texture"), recorded("02-reports")
    assert (texture.low <= texture.exponent).all()
    assert (texture.exponent <= texture.high).all()
    assert (texture.measured <= texture.images).all()
    shares = reports.filter(regex="exact|f1|twins|alone|once|accuracy|majority")
    assert ((shares >= 0) & (shares <= 1)).all(axis=None)
    growth = reports[[f"after_{read}" for read in likeness.READ] + ["vocabulary"]]
    assert (growth.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert (reports.distinct < reports.filed).all()
    assert (reports.exact_once == 0).all()


@pytest.mark.parametrize(
    ("dataset", "seed"),
    [("phantom", 1), pytest.param("mias", 0, marks=pytest.mark.real)],
)
def test_a_sample_of_textures_computed_again_agrees(dataset: str, seed: int) -> None:
    table = recorded("02-texture").set_index(["dataset", "seed", "size"])
    then, again = table.loc[(dataset, seed, 64)], likeness.texture_cell(dataset, seed, 64)
    for name in ("exponent", "low", "high", "measured", "images"):
        assert again[name] == pytest.approx(then[name], abs=1e-3), name


@pytest.mark.parametrize(
    ("dataset", "seed"),
    [("synthetic", 1), pytest.param("openi", 2, marks=pytest.mark.real)],
)
def test_a_sample_of_reports_computed_again_agrees(dataset: str, seed: int) -> None:
    table = recorded("02-reports").set_index(["dataset", "seed"])
    then, again = table.loc[(dataset, seed)], likeness.report_cell(dataset, seed)
    assert set(again) == set(table.columns) - {"key"}
    for name in again:
        assert again[name] == pytest.approx(then[name], rel=1e-4, abs=1e-4), name
