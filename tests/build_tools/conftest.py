"""Shared by the tests of the tools: a stand-in for executing a chapter."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from build_tools import execute as executed
from build_tools.chapter_text import read_chapter
from build_tools.run import Run
from medpriv.course.results import versions


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Stands in for executing: writes what a run leaves, and records the parameters."""
    calls: list[dict[str, str]] = []

    def run_here(name: str, given: dict[str, str], out: Path) -> Run:
        calls.append(given)
        out.mkdir(parents=True, exist_ok=True)
        results = {"seconds": 1.0, "peak_mb": 2.0, "run": len(calls), "versions": versions()}
        nbformat.write(read_chapter(name), out / f"{name}.ipynb")
        (out / "results.json").write_text(json.dumps(results))
        return Run(out / f"{name}.ipynb", results)

    monkeypatch.setattr(executed, "run_chapter", run_here)
    return calls
