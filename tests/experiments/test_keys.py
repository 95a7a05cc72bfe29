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
from medpriv.runtime.code import Name
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
    return cells | {name: chapter_code(name, ROOT, source=source) for name in CHAPTERS}


@functools.cache
def now() -> dict[str, Any]:
    return keys(ROOT)


def moved(source: Path) -> set[str]:
    after = keys(source)
    return {name for name, before in now().items() if after[name] != before}


def test_a_comment_in_every_module_moves_no_key(copy: Path) -> None:
    for file in (file for house in HOUSES for file in (copy / house).rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        file.write_text(text + "\n# A comment.\n", encoding="utf-8")
    assert moved(copy) == set()


# Who uses what, as a reader of the chapters and of the experiments finds it.
REACHED = {
    "report_reconstruction": {
        "08-report-reconstruction", "12-comparison", "08-twins", "08-names", "08-views",
        "13-reports",
    },
    "slot_reader": {"08-report-reconstruction", "08-names", "08-views"},
    "attribute_inference": {
        "05-report-attributes", "12-comparison", "05-auxiliary", "08-views", "11-reports",
        "13-reports",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REACHED)
def test_an_edit_of_an_attack_on_reports_moves_who_uses_it(name: str, copy: Path) -> None:
    edit(copy, REPORTS + name)
    assert moved(copy) == REACHED[name]


def test_an_edit_of_exercises_moves_their_chapter(copy: Path) -> None:
    edit(copy, "medpriv.course.exercises.attribute_inference")
    assert moved(copy) == {"04-attribute-inference"}


def edit(source: Path, module: str) -> None:
    file = source.joinpath(*module.split(".")).with_suffix(".py")
    file.write_text(file.read_text(encoding="utf-8") + "\nprint('edited')\n", encoding="utf-8")


def test_every_file_of_the_package_that_is_no_module_is_in_a_key() -> None:
    """Quizzes, phrases, cards, the boards' script: whatever is shown or computed with."""
    cells = [
        code_of(ROOT).used(table.roots(setting))
        for table in TABLES.values()
        for setting in table.settings().values()
        if setting.get("dataset") != "synthetic" or table.uses is None
    ]
    used = {of for one in [*cells, *now().values()] for of, kind in one if kind == "file"}
    files = [file for file in (ROOT / "medpriv").rglob("*") if file.is_file()]
    there = {
        "/".join(file.parts[-2:]) for file in files if file.suffix not in (".py", ".pyc", ".typed")
    }
    assert there <= used
    assert "quizzes/04-attribute-inference.json" in {
        of for of, _ in now()["04-attribute-inference"]
    }


def test_claims_on_real_data_are_keyed_by_the_module_of_these_data() -> None:
    def modules(dataset: str) -> set[str]:
        return {of for of, _ in chapter_code("06-model-inversion", ROOT, dataset)}

    sources = "medpriv.data.sources."
    assert sources + "mias" in modules("mias")
    assert sources + "mias" not in modules("")


def test_no_cell_on_images_or_records_uses_an_attack_on_reports() -> None:
    of_images = [
        setting
        for setting in TABLES["12-matrix"].settings().values()
        if setting["dataset"] in ("phantom", "warfarin") and setting["seed"] == 0
    ]
    used = [code_of(ROOT).used(TABLES["12-matrix"].roots(setting)) for setting in of_images]
    used += [now()[name] for name in OTHERS]
    assert not any(of.startswith(REPORTS) for one in used for of, _ in one)


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


# What finds the attack and the defense of a cell by their names: an edit there that changes neither
# changes no figure, and what they are is in the key.
FINDS = ("medpriv.evaluation.registry", {"known_attacks", "known_defenses", "named_attack",
         "named_defense", "_inverse", "_record", "_strengths", "_learned"})  # fmt: skip


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
    outside = ran - code_of(ROOT).used(table.roots(setting)).keys()
    assert {name for name in outside if name[0] != FINDS[0] or name[1] not in FINDS[1]} == set()
