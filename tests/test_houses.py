"""Three houses: the package stands alone, and the command line finds the tools of its clone."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from setuptools import find_packages

from medpriv import __version__
from tiny import ROOT, Tiny, code, make_tiny

HOUSES = ("medpriv", "experiments", "build_tools")
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def named(file: Path) -> Iterator[str]:
    """The packages that a module imports from, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


# --- Who knows whom -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("house", "others"),
    [("medpriv", {"experiments", "build_tools"}), ("experiments", {"build_tools"})],
)
def test_a_house_knows_none_that_is_built_on_it(house: str, others: set[str]) -> None:
    knowing = {
        file.relative_to(ROOT).as_posix(): found
        for file in sorted((ROOT / house).rglob("*.py"))
        if (found := others & set(named(file)))
    }
    knowing.pop("medpriv/__main__.py", None)  # the command line, which is the clone's
    assert knowing == {}


def test_only_the_package_is_installed_and_all_of_it() -> None:
    packages = set(find_packages(str(ROOT), include=SETUP["packages"]["find"]["include"]))
    folders = {file.parent for file in (ROOT / "medpriv").rglob("*.py")}
    assert packages == {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    patterns = SETUP["package-data"]["medpriv"]
    installed = {file for pattern in patterns for file in (ROOT / "medpriv").glob(pattern)}
    data = {
        file
        for file in (ROOT / "medpriv").rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc")
    }
    assert data <= installed


# --- The command line -----------------------------------------------------------------------------


def medpriv(folder: Path, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """``python -m medpriv`` with the package in ``home``, from another folder."""
    environment = {key: value for key, value in os.environ.items() if key != "MEDPRIV_CHAPTERS"}
    return subprocess.run(
        [sys.executable, "-m", "medpriv", *arguments],
        cwd=folder, env=environment | {"PYTHONPATH": str(home), "CI": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def copy(house: str, home: Path) -> None:
    shutil.copytree(ROOT / house, home / house, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.parametrize("arguments", [["run", "06-model-inversion"], ["list"], ["book"], []])
def test_the_package_alone_says_what_a_command_needs(tmp_path: Path, arguments: list[str]) -> None:
    home, elsewhere = tmp_path / "site-packages", tmp_path / "elsewhere"
    copy("medpriv", home)
    elsewhere.mkdir()
    done = medpriv(elsewhere, *arguments, home=home)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "commands need a clone of the repository" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_package_alone_helps_and_knows_its_version(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "site-packages", tmp_path / "elsewhere"
    copy("medpriv", home)
    elsewhere.mkdir()
    for argument, says in (("--version", f"medpriv {__version__}"), ("--help", "usage: medpriv")):
        done = medpriv(elsewhere, argument, home=home)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(says)
    assert (home / "medpriv" / "py.typed").is_file()


def test_a_room_is_imported_when_it_is_asked_for(tmp_path: Path) -> None:
    script = (
        "import sys, medpriv; before = set(sys.modules); medpriv.statistics.Estimate; "
        "assert 'torch' not in before and 'medpriv.statistics' not in before; "
        "assert not hasattr(medpriv, 'nothing')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True)


@pytest.mark.slow
def test_a_clone_is_found_from_another_folder_whatever_it_is_called(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "Jörgs Kurs (alt)", tmp_path / "else where"
    tiny = Tiny(make_tiny(home).root, "01-threat-models")  # in the place of a chapter that is known
    tiny.write(code("import importlib.util as i\nprint(i.find_spec('medpriv').origin)"))
    for house in HOUSES:
        copy(house, home)
    elsewhere.mkdir()
    done = medpriv(elsewhere, "run", tiny.name, "--out", "öut", home=home)
    assert done.returncode == 0, done.stderr
    notebook = (elsewhere / "öut" / f"{tiny.name}.ipynb").read_text(encoding="utf-8")
    assert f"{home / 'medpriv' / '__init__.py'}\\n" in notebook
