"""Recorded cells and chapters are keyed by the source that they use: by that, and by no other."""

from __future__ import annotations

import ast
import functools
import inspect
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from build_tools.execute import chapter_code
from experiments.recording import code_of
from experiments.tables import TABLES
from medpriv.course import recorded
from medpriv.course.catalog import CHAPTERS
from medpriv.runtime.code import Name, plain_code
from tiny import ROOT

HOUSES = ("medpriv", "experiments", "build_tools")
REPORTS = "medpriv.attacks.reports."
OTHERS = (
    "02-texture",
    "04-auxiliary",
    "06-seeds",
    "07-attacks",
    "09-flips",
    "10-noise",
    "11-images",
)


@pytest.mark.parametrize("name", TABLES)
def test_keys_and_code_agree(name: str) -> None:
    """Where this fails, a cell's code has changed since it was recorded: run `make grids`."""
    assert list(recorded(name)["key"]) == list(TABLES[name].settings())


# --- What an edit moves ---------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for house in HOUSES:
        shutil.copytree(ROOT / house, tmp_path / house, ignore=shutil.ignore_patterns("*.pyc"))
    return tmp_path


def keys(source: Path) -> dict[str, Any]:
    """What each chapter, and one cell of each table, uses of a source."""
    firsts = {name: next(iter(table.settings().values())) for name, table in TABLES.items()}
    cells = {
        name: code_of(source).used(TABLES[name].roots(setting)) for name, setting in firsts.items()
    }
    return cells | {name: chapter_code(name, ROOT, source) for name in CHAPTERS}


@functools.cache
def now() -> dict[str, Any]:
    return keys(ROOT)


def moved(source: Path) -> set[str]:
    after = keys(source)
    return {name for name, before in now().items() if after[name] != before}


def reaches(module: str) -> set[str]:
    return {name for name, used in now().items() if any(of == module for of, _ in used)}


def test_a_comment_in_every_module_moves_no_key(copy: Path) -> None:
    for file in (file for house in HOUSES for file in (copy / house).rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        file.write_text(text + "\n# A comment.\n", encoding="utf-8")
    assert moved(copy) == set()


@pytest.mark.parametrize("name", ["report_reconstruction", "attribute_inference", "slot_reader"])
def test_an_edit_of_an_attack_on_reports_moves_who_reaches_it(name: str, copy: Path) -> None:
    module = REPORTS + name
    file = copy.joinpath(*module.split(".")).with_suffix(".py")
    file.write_text(file.read_text(encoding="utf-8") + "\nprint('edited')\n", encoding="utf-8")
    assert moved(copy) == reaches(module) != set()


def test_attacks_on_reports_are_reached_by_the_chapters_on_reports_alone() -> None:
    modules = {of for used in now().values() for of, _ in used if of.startswith(REPORTS)}
    chapters = set().union(*map(reaches, modules)) & set(CHAPTERS)
    assert chapters == {"05-report-attributes", "08-report-reconstruction", "12-comparison"}


def test_no_cell_on_images_or_records_uses_an_attack_on_reports() -> None:
    of_images = [
        setting
        for setting in TABLES["12-matrix"].settings().values()
        if setting["dataset"] == "phantom" and setting["seed"] == 0
    ]
    used = [code_of(ROOT).used(TABLES["12-matrix"].roots(setting)) for setting in of_images]
    used += [now()[name] for name in OTHERS]
    assert not any(of.startswith(REPORTS) for one in used for of, _ in one)


def test_plain_code_of_every_module_is_the_same_with_a_comment() -> None:
    for file in (ROOT / "medpriv" / "metrics").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert plain_code(text) == plain_code("# First.\n" + text)


# --- What runs is in the key ----------------------------------------------------------------------


@contextmanager
def traced() -> Iterator[set[Name]]:
    """The definitions of the package whose functions run in the block."""
    places: set[tuple[str, int]] = set()
    found: set[Name] = set()

    def watch(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED:  # no module and no class body
            places.add((code.co_filename, code.co_firstlineno))

    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(None)
        for file, line in places:
            if Path(file).is_relative_to(ROOT / "medpriv"):
                found.add((dotted(file), definition_at(file, line)))


def dotted(file: str) -> str:
    parts = Path(file).relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def definition_at(file: str, line: int) -> str:
    for statement in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(one.lineno for one in decorators)])
        if first <= line <= (statement.end_lineno or 0) and hasattr(statement, "name"):
            return statement.name
    return ""


CELLS = {
    "02-texture": {},
    "04-auxiliary": {"records": 50},
    "09-flips": {"flips": 0.1},
    "12-matrix": {"dataset": "phantom", "attack": "inverse network, conv4", "profile": "smoke"},
}


@pytest.mark.parametrize("name", CELLS)
def test_what_a_cell_runs_is_in_its_key(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDPRIV_CACHE", str(tmp_path))  # nothing is made beforehand
    table, wanted = TABLES[name], CELLS[name]
    setting = next(
        one
        for one in table.settings().values()
        if all(one.get(key, value) == value for key, value in wanted.items())
    )
    with traced() as ran:
        table.cell(**setting | {key: value for key, value in wanted.items() if key == "profile"})
    assert len(ran) > 20
    used = code_of(ROOT).used(table.roots(setting), table.cell if table.uses else None)
    assert ran - used.keys() == set()
