"""Claims over promised data sets and seeds: resumed, skipped, broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import requests

import medpriv.data
from build_tools import claims, cli
from build_tools.claims import check_claims
from build_tools.run import Run, RunError
from medpriv.course.catalog import CHAPTERS, ChapterError
from medpriv.data.cohort import DataError
from tiny import SPEC, Tiny

PROMISED = [("phantom", "0"), ("phantom", "1"), ("mias", "0")]


class Runs:
    """Stands in for executing a chapter whose claim has the value ``values[dataset, seed]``."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.values: dict[tuple[str, str], float] = {}
        self.crash: set[tuple[str, str]] = set()

    def __call__(self, name: str, given: dict[str, str], out: Path) -> Run:
        which = given["dataset"], given["seed"]
        self.calls.append(which)
        assert given["profile"] == "quick"
        if which in self.crash:
            raise RunError("the kernel died")
        value = self.values.get(which, 0.3)
        claim = {
            "text": "it gains",
            "name": "gain",
            "value": value,
            "bound": ">= 0.2",
            "holds": value >= 0.2,
        }
        results = {"claims": [claim]}
        if not claim["holds"]:
            raise RunError("gain: not >= 0.2", results=results, broken_claims=True)
        return Run(out / f"{name}.ipynb", results)


@pytest.fixture
def runs(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> Runs:
    stand_in = Runs()
    monkeypatch.setattr(claims, "run_chapter", stand_in)
    present(monkeypatch)
    return stand_in


def present(monkeypatch: pytest.MonkeyPatch, sha256: str = "a" * 64) -> None:
    cohort = SimpleNamespace(card=SimpleNamespace(sha256=sha256))
    monkeypatch.setattr(medpriv.data, "load_images", lambda dataset: cohort)


def absent(monkeypatch: pytest.MonkeyPatch, cause: Exception | None) -> None:
    def fail(dataset: str) -> None:
        raise DataError(f"{dataset} cannot be had") from cause

    monkeypatch.setattr(medpriv.data, "load_images", fail)


def table(tiny: Tiny) -> pd.DataFrame:
    return pd.read_csv(tiny.root / "_build" / "claims" / "99-tiny.csv")


def test_all_that_is_promised_is_run_once(
    tiny: Tiny, runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_claims(["99-tiny"])
    assert runs.calls == PROMISED
    assert list(table(tiny).columns) == list(claims.COLUMNS)
    assert len(table(tiny)) == 3
    assert "3 of 3 claims hold" in capsys.readouterr().out

    assert check_claims(["99-tiny"])
    assert runs.calls == PROMISED
    assert len(table(tiny)) == 3

    present(monkeypatch, "b" * 64)  # another file of real data: only its runs are made again
    assert check_claims(["99-tiny"])
    assert runs.calls[3:] == [("mias", "0")]

    plain = claims.chapter_key
    monkeypatch.setattr(
        claims, "chapter_key", lambda *of: "another code" if of[2] == "mias" else plain(*of)
    )
    assert check_claims(["99-tiny"])
    assert runs.calls[4:] == [("mias", "0")]
    monkeypatch.setattr(claims, "chapter_key", lambda *of: "another code")
    assert check_claims(["99-tiny"])
    assert runs.calls[5:] == [run for run in PROMISED if run[0] != "mias"]


def test_an_interrupted_sweep_goes_on_where_it_was(tiny: Tiny, runs: Runs) -> None:
    runs.crash = {("phantom", "1")}
    assert not check_claims(["99-tiny"])
    assert len(table(tiny)) == 2
    runs.crash = set()
    assert check_claims(["99-tiny"])
    assert runs.calls[3:] == [("phantom", "1")]
    assert len(table(tiny)) == 3


def test_a_broken_claim_is_in_the_table_and_in_the_exit_code(
    tiny: Tiny, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.values = {("phantom", "1"): 0.1}
    for _ in range(2):  # also when the run is taken from the earlier call
        assert cli.main(["claims"]) == 1
        assert "2 of 3 claims hold" in capsys.readouterr().out
    assert runs.calls == PROMISED
    broken = table(tiny).query("not holds")
    assert broken[["dataset", "seed", "value"]].values.tolist() == [["phantom", 1, 0.1]]


def test_absent_data_are_skipped_with_the_reason(
    tiny: Tiny, runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(monkeypatch, requests.ConnectionError())
    assert check_claims(["99-tiny"])
    assert runs.calls == PROMISED[:2]
    assert "99-tiny: mias skipped: mias cannot be had" in capsys.readouterr().out


def test_malformed_data_are_an_error(
    tiny: Tiny, runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent(monkeypatch, ValueError())
    assert cli.main(["claims"]) == 2
    assert "mias cannot be had" in capsys.readouterr().err


def test_claims_that_a_data_set_does_not_cover_are_left_out(
    tiny: Tiny, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = replace(SPEC, in_part={"mias": ("another",), "phantom": ("gain",)})
    monkeypatch.setitem(CHAPTERS, tiny.name, part)
    runs.values = {("mias", "0"): 0.1}
    assert check_claims(["99-tiny"])
    assert runs.calls == PROMISED
    assert table(tiny)["dataset"].tolist() == ["phantom", "phantom"]
    runs.values = {("phantom", "0"): 0.1}
    monkeypatch.setattr(claims, "chapter_key", lambda *of: "another code")
    assert not check_claims(["99-tiny"])


def test_only_some(tiny: Tiny, runs: Runs) -> None:
    assert check_claims(["99-tiny"], datasets=["phantom"], seeds=[1])
    assert runs.calls == [("phantom", "1")]


def test_seeds_that_nobody_promised(tiny: Tiny, runs: Runs) -> None:
    assert check_claims(["99-tiny"], datasets=["phantom"], seeds=[200, 201])
    assert runs.calls == [("phantom", "200"), ("phantom", "201")]
    with pytest.raises(ChapterError, match="promises no claims for data set cardio.*mias, phantom"):
        check_claims(["99-tiny"], datasets=["cardio"])
