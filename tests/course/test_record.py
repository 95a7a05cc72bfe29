"""What a running chapter reports, driven in this process."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpriv.course import record
from medpriv.course.record import Chapter, ClaimError, in_words, start
from tiny import Tiny

KEYS = {
    "chapter",
    "parameters",
    "versions",
    "device",
    "seconds",
    "peak_mb",
    "tables",
    "figures",
    "claims",
}
FIGURE_KEYS = {"name", "value", "low", "high", "baseline", "unit", "recorded"}
CLAIM_KEYS = {"text", "value", "bound", "holds", "name", "recorded"}


def begin(**changed: Any) -> Chapter:
    values = {"profile": "quick", "dataset": "phantom", "seed": 0, "device": "cpu"}
    return start("99-tiny", **(values | changed))


def strict(text: str) -> Any:
    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture
def results(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "out" / "results.json"
    monkeypatch.setenv("MEDPRIV_RESULTS", str(path))
    return path


# --- Start ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "says"),
    [
        ("profile", "fast", "unknown profile 'fast'; expected one of: smoke, quick, full"),
        ("dataset", "warfarin", "unknown dataset 'warfarin'; expected one of: phantom, mias"),
        ("seed", "3", "seed must be an integer from 0"),
        ("seed", 1.5, "seed must be an integer from 0"),
        ("seed", True, "seed must be an integer from 0"),
        ("device", "tpu", "unknown device 'tpu'; expected one of: auto, cpu"),
    ],
)
def test_values_are_checked_again(tiny: Tiny, parameter: str, value: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        begin(**{parameter: value})


def test_an_unknown_chapter_and_a_missing_parameter(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match="unknown chapter '98-other'; expected one of: 99-tiny"):
        start("98-other", profile="quick", dataset="phantom", seed=0, device="cpu")
    with pytest.raises(TypeError, match="also needs: device, seed"):
        start("99-tiny", profile="quick", dataset="phantom")


# --- Results --------------------------------------------------------------------------------------


def test_results_have_exactly_the_promised_keys(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = begin()
    chapter.figure("gain", torch.tensor(0.25), low=np.float32(0.125), high=0.5, unit="SSIM")
    chapter.figure("rank", 3, baseline=50)
    chapter.claim("the gain is large", 0.25, at_least=0.2, name="large")
    chapter.claim("the rank is small", 3, at_most=10)
    chapter.finish()

    found = strict(results.read_text(encoding="utf-8"))
    assert found.keys() == KEYS
    assert found["chapter"] == "99-tiny"
    assert found["parameters"] == {
        "profile": "quick",
        "dataset": "phantom",
        "seed": 0,
        "device": "cpu",
    }
    assert {"python", "medpriv", "torch", "torchvision", "transformers", "numpy"} <= found[
        "versions"
    ].keys()
    assert found["versions"]["scikit-image"]
    assert found["device"].startswith("cpu (")
    assert found["seconds"] > 0
    assert found["figures"] == [
        {
            "name": "gain",
            "value": 0.25,
            "low": 0.125,
            "high": 0.5,
            "baseline": None,
            "unit": "SSIM",
            "recorded": None,
        },
        {
            "name": "rank",
            "value": 3.0,
            "low": None,
            "high": None,
            "baseline": 50.0,
            "unit": "",
            "recorded": None,
        },
    ]
    assert all(figure.keys() == FIGURE_KEYS for figure in found["figures"])
    of_script = {"holds": True, "recorded": None}
    assert found["claims"] == [
        {"text": "the gain is large", "value": 0.25, "bound": ">= 0.2"}
        | of_script
        | {"name": "large"},
        {"text": "the rank is small", "value": 3.0, "bound": "<= 10"} | of_script | {"name": ""},
    ]
    assert all(claim.keys() == CLAIM_KEYS for claim in found["claims"])
    assert list(results.parent.iterdir()) == [results]
    shown = capsys.readouterr().out
    assert "the gain is large" in shown
    assert str(found["seconds"]) not in shown


def test_without_a_place_for_results_they_are_only_shown(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDPRIV_RESULTS", raising=False)
    begin().finish()
    assert not list(tiny.root.rglob("results.json"))


def test_nan_and_infinities_become_null_and_nan_holds_nothing(results: Path) -> None:
    chapter = begin(profile="smoke")
    chapter.figure("undefined", math.nan, high=math.inf)
    chapter.claim("at least", math.nan, at_least=-1e9)
    chapter.claim("at most", math.nan, at_most=1e9)
    chapter.finish()
    found = strict(results.read_text())
    assert found["figures"][0]["value"] is found["figures"][0]["high"] is None
    assert [claim["holds"] for claim in found["claims"]] == [False, False]


def test_a_cell_that_is_run_again_replaces_what_it_recorded(results: Path) -> None:
    chapter = begin()
    for value in (0.1, 0.3):
        chapter.figure("gain", value)
        chapter.claim("the gain is large", value, at_least=0.2)
    chapter.finish()
    found = strict(results.read_text())
    assert [figure["value"] for figure in found["figures"]] == [0.3]
    assert [claim["value"] for claim in found["claims"]] == [0.3]


def test_figures_are_glued_as_text(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    glued: dict[str, str] = {}
    monkeypatch.setattr(record, "_glue", glued.__setitem__)
    chapter = begin()
    chapter.figure("gain", 0.256, low=0.2, high=0.3, baseline=0)
    chapter.figure("patients", 120, fmt=",.0f")
    assert glued == {
        "gain": "0.26",
        "gain-low": "0.20",
        "gain-high": "0.30",
        "gain-baseline": "0.00",
        "patients": "120",
    }


def test_figures_are_printed_where_the_sentences_cannot_show_them(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDPRIV_FIGURES", "shown")
    monkeypatch.setattr(record, "_glue", lambda *_: pytest.fail("glued"))
    begin().figure("gain", 0.256, low=0.2, high=0.3)
    assert capsys.readouterr().out == "gain = 0.26, gain-low = 0.20, gain-high = 0.30\n"


def test_a_claim_that_fails_is_printed_where_the_sentences_cannot_say_so(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDPRIV_FIGURES", "shown")
    chapter = begin()
    chapter.claim("it gains", 0.3, at_least=0.2, name="gains")
    chapter.claim("it costs", math.nan, at_most=0.1, name="costs")
    assert capsys.readouterr().out.splitlines() == [
        "claim-gains = claim 1: it gains",
        "claim-costs = claim 2: it costs",
        "  DOES NOT HOLD here: not defined, not <= 0.1",
    ]


# --- Claims ---------------------------------------------------------------------------------------


@given(value=st.floats(), bound=st.floats(allow_nan=False, allow_infinity=False))
def test_a_claim_holds_exactly_when_its_value_is_within_its_bound(
    value: float, bound: float
) -> None:
    chapter = Chapter(record.ChapterSpec("x", "X", ("images",), {}), {})
    chapter.claim("least", value, at_least=bound)
    chapter.claim("most", value, at_most=bound)
    least, most = (claim.holds for claim in chapter._claims.values())
    assert least == (not math.isnan(value) and value >= bound)
    assert most == (not math.isnan(value) and value <= bound)


@pytest.mark.parametrize("bounds", [{}, {"at_least": 0, "at_most": 1}])
def test_a_claim_has_exactly_one_bound(tiny: Tiny, bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one of at_least and at_most"):
        begin().claim("gain", 0.5, **bounds)


@pytest.mark.parametrize("profile", ["quick", "full"])
@pytest.mark.parametrize(("dataset", "seed"), [("phantom", 1), ("mias", 0)])
def test_a_broken_promise_is_an_error_and_lists_what_broke(
    results: Path, profile: str, dataset: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = begin(profile=profile, dataset=dataset, seed=seed)
    chapter.claim("the gain is large", 0.123456, at_least=0.2)
    chapter.claim("the cost is small", 0.01, at_most=0.05)
    with pytest.raises(ClaimError, match="the gain is large: 0.123, not >= 0.2") as broken:
        chapter.finish()
    assert "the cost is small" not in str(broken.value)
    assert "NO" in capsys.readouterr().out  # the table comes first
    assert [claim["holds"] for claim in strict(results.read_text())["claims"]] == [False, True]


@pytest.mark.parametrize(("dataset", "seed"), [("phantom", 2), ("mias", 1), ("breastmnist", 0)])
def test_a_readers_own_seed_or_data_goes_on_with_an_explanation(
    results: Path, dataset: str, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = begin(dataset=dataset, seed=seed)
    chapter.claim("the gain is large", 0.1, at_least=0.2)
    chapter.finish()
    shown = capsys.readouterr().out
    assert "promises its claims for phantom with seeds 0, 1; mias with seeds 0." in shown
    assert "not an error" in shown


@pytest.mark.parametrize(("broken", "stops"), [("gain", True), ("cost", False)])
def test_of_data_promised_in_part_only_those_claims_stop_a_run(
    results: Path, broken: str, stops: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    chapter = begin(dataset="mias")
    chapter.spec = replace(chapter.spec, in_part={"mias": ("gain",)})
    for name in ("gain", "cost"):
        chapter.claim(f"the {name}", float(name != broken), at_least=0.5, name=name)
    if stops:
        with pytest.raises(ClaimError, match="the gain: 0"):
            chapter.finish()
    else:
        chapter.finish()
    assert "mias in part with seeds 0. One that is not promised" in capsys.readouterr().out


def test_smoke_only_shows(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chapter = begin(profile="smoke")
    chapter.claim("the gain is large", 0.1, at_least=0.2)
    chapter.finish()
    shown = capsys.readouterr().out
    assert "NO" in shown
    assert "shown only" in shown


def test_two_equal_runs_show_the_same(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for _ in range(2):
        chapter = begin(seed=7)
        chapter.figure("gain", 0.3)
        chapter.claim("a claim whose text is longer than a column of a table " * 2, 1, at_least=0)
        chapter.finish()
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "..." not in shown[0]


@pytest.mark.parametrize(
    ("value", "fmt", "text"),
    [
        (-0.001, ".2f", "0.00"),
        (-0.5, ".2f", "-0.50"),
        (0.0, ".1f", "0.0"),
        (-12.0, ".0f", "-12"),
        (math.nan, ".0%", "not defined"),
    ],
)
def test_a_number_that_rounds_to_zero_has_no_sign(value: float, fmt: str, text: str) -> None:
    assert in_words(value, fmt) == text


# --- One name, one cell ---------------------------------------------------------------------------


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The shell of a notebook; ``execution_count`` says which cell runs."""
    shell = SimpleNamespace(execution_count=1)
    monkeypatch.setattr(record, "get_ipython", lambda: shell)
    monkeypatch.setattr(record, "_glue", lambda key, text: None)
    return shell


def test_a_second_cell_cannot_record_the_same_in_a_whole_run(
    results: Path, cell: SimpleNamespace
) -> None:
    chapter = begin()
    chapter.figure("gain", 0.1)
    chapter.claim("it gains", 0.1, at_least=0, name="gains")
    cell.execution_count = 2
    with pytest.raises(ValueError, match="figure 'gain' was recorded by an earlier cell"):
        chapter.figure("gain", 0.2)
    with pytest.raises(ValueError, match="claim 'it gains' was recorded"):
        chapter.claim("it gains", 0.2, at_least=0)
    with pytest.raises(ValueError, match="claim named 'gains' was recorded"):
        chapter.claim("it gains more", 0.2, at_least=0, name="gains")
    assert chapter.results()["figures"][0]["value"] == 0.1


def test_a_reader_may_run_a_cell_again(tiny: Tiny, cell: SimpleNamespace) -> None:
    chapter = begin()
    for cell.execution_count in (1, 2):
        chapter.figure("gain", cell.execution_count)
    assert chapter.results()["figures"][0]["value"] == 2
