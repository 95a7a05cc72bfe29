"""The branch for Colab and Binder: its notebooks run anywhere, and it replaces the one before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from build_tools import export
from build_tools.book import read_config
from build_tools.export import add_package, export_notebooks
from build_tools.kernel import kernel_manager
from build_tools.myst import Numbers, number_pages
from build_tools.notebooks import BRANCH, plain_notebook
from tiny import MEASURES, ROOT, Tiny


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return number_pages(ROOT)


@pytest.fixture
def one(numbers: Numbers) -> NotebookNode:
    """Any one notebook: the first cell of all is the same but for an address."""
    return plain_notebook("06-model-inversion", ROOT, numbers, None)


# --- The first cell -------------------------------------------------------------------------------

# Runs when Python starts, after installed packages were found: takes medpriv from their sight.
HIDE = """
import sys
from pathlib import Path

sys.path[:] = [entry for entry in sys.path if not (Path(entry) / "medpriv").is_dir()]
sys.meta_path[:] = [
    finder for finder in sys.meta_path if "editable" not in getattr(finder, "__name__", "").lower()
]
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which medpriv is not installed."""
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(HIDE)
    monkeypatch.delenv("MEDPRIV_CHAPTERS", raising=False)
    environment = {"PYTHONPATH": str(tmp_path / "hide"), "MEDPRIV_PROGRESS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", "import medpriv"],
        cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "ModuleNotFoundError" in done.stderr, done.stderr
    return environment


def git(folder: Path, *arguments: str) -> str:
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
           "GIT_COMMITTER_EMAIL": "a@b"}  # fmt: skip
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=os.environ | who, check=True, capture_output=True,
        text=True,
    ).stdout.strip()  # fmt: skip


def publish(exported: Path, folder: Path) -> Path:
    """Push an exported folder with the script that CI uses; return the repository it went to."""
    work, remote = folder / "work", folder / "remote.git"
    shutil.copytree(exported, work / "_build" / "notebooks")
    (work / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "publish-notebooks", work / ".ci")
    (work / ".gitignore").write_text("_build/\n")
    git(folder, "init", "--quiet", "--bare", str(remote))
    git(work, "init", "--quiet")
    git(work, "add", ".gitignore")
    git(work, "commit", "--quiet", "--message", "main")
    git(work, "remote", "add", "origin", str(remote))
    subprocess.run([work / ".ci" / "publish-notebooks"], check=True, capture_output=True)
    assert git(work, "status", "--porcelain") == "?? .ci/"  # the index is as it was
    return remote


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_notebook_runs_in_an_empty_folder(
    one: NotebookNode, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    exported, empty = tmp_path / "exported", tmp_path / "empty"
    add_package(ROOT, exported)
    empty.mkdir()
    remote = publish(exported, tmp_path)
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{remote}.insteadOf",
        "GIT_CONFIG_VALUE_0": read_config(ROOT).repository,
    }
    parameters = next(cell for cell in one.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = parameters.source.replace('"quick"', '"smoke"')
    NotebookClient(
        one,
        kernel_manager_class=kernel_manager(elsewhere | instead, []),
        resources={"metadata": {"path": str(empty)}},
    ).execute()
    assert [path.name for path in empty.iterdir()] == ["medpriv-book"]
    assert not one.cells[0].outputs  # quietly
    outputs = [output for cell in one.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert re.search(r"^auc = 0\.\d\d, auc-low = ", printed, re.MULTILINE)
    assert printed.count("Not solved yet") == printed.count("Right.") == 3


def run_setup(
    notebook: NotebookNode, folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", notebook.cells[0].source],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_first_cell_says_what_went_wrong(
    one: NotebookNode, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    nowhere = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{tmp_path / 'none'}.insteadOf",
               "GIT_CONFIG_VALUE_0": read_config(ROOT).repository}  # fmt: skip
    done = run_setup(one, tmp_path, elsewhere | nowhere)
    assert done.returncode == 1
    last = done.stderr.partition("RuntimeError: ")[2]
    assert last.startswith("`git clone ")
    assert "It needs git, pip and a network" in last
    assert "fatal: " in last  # git's own words
    assert "CalledProcessError" not in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "hide"]  # nothing half made
    done = run_setup(one, tmp_path, elsewhere | {"PATH": ""})
    assert "RuntimeError: `git clone " in done.stderr


def test_the_first_cell_takes_the_package_beside_it(
    one: NotebookNode, elsewhere: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "medpriv").mkdir()
    (tmp_path / "medpriv" / "__init__.py").write_text("")
    (tmp_path / "requirements-run.txt").write_text("pip\n")
    (tmp_path / "chapters").mkdir()
    one.cells[0].source += "\nimport medpriv\nprint(medpriv.__file__)"
    done = run_setup(one, tmp_path / "chapters", elsewhere)
    assert done.stdout.strip() == str(tmp_path / "medpriv" / "__init__.py"), done.stderr


def test_the_first_cell_leaves_an_installed_package_alone(
    one: NotebookNode, tmp_path: Path
) -> None:
    done = run_setup(one, tmp_path, {"PATH": "", "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


# --- The branch -----------------------------------------------------------------------------------


@pytest.fixture
def whole(tiny: Tiny) -> Tiny:
    """A tiny book with all that goes along with its notebooks."""
    for name in export.ALONGSIDE:
        target = tiny.root / name
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target)
        else:
            shutil.copy(ROOT / name, target)
    tiny.write(MEASURES)
    return tiny


def test_the_export_holds_what_the_first_cell_and_binder_need(whole: Tiny) -> None:
    stale = whole.root / "_build" / "notebooks" / "chapters" / "98-gone.ipynb"
    stale.parent.mkdir(parents=True)
    stale.touch()
    out = export_notebooks()
    assert out == whole.root / "_build" / "notebooks"
    assert not stale.exists()
    for name in ("medpriv/course/quizzes/06-model-inversion.json", "requirements-run.txt",
                 "LICENSE", "LICENSE-TEXT", "chapters/recorded/costs.csv",
                 "binder/environment.yml"):  # fmt: skip
        assert (out / name).read_bytes() == (ROOT / name).read_bytes()
    assert os.access(out / "binder" / "postBuild", os.X_OK)
    assert not list(out.rglob("__pycache__"))
    assert read_config(ROOT).repository in (out / "README.md").read_text()
    notebook = nbformat.read(out / "chapters" / "99-tiny.ipynb", as_version=4)
    assert "The gain is *0.42*." in [cell.source for cell in notebook.cells]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_publishing_replaces_the_branch(tmp_path: Path) -> None:
    exported = tmp_path / "exported"
    (exported / "chapters").mkdir(parents=True)
    (exported / "binder").mkdir()
    (exported / "binder" / "postBuild").write_text("#!/bin/sh\n")  # the bit is lost on the way
    (exported / "chapters" / "a.ipynb").write_text("{}")
    remote = publish(exported, tmp_path)
    listed = git(remote, "ls-tree", "-r", BRANCH).split("\n")
    assert [line.split()[0] + line.split()[3] for line in listed] == [
        "100755binder/postBuild",
        "100644chapters/a.ipynb",
    ]
    assert git(remote, "rev-list", "--count", BRANCH) == "1"
    work = tmp_path / "work"
    (work / "_build" / "notebooks" / "chapters" / "a.ipynb").rename(
        work / "_build" / "notebooks" / "chapters" / "b.ipynb"
    )
    subprocess.run([work / ".ci" / "publish-notebooks"], check=True, capture_output=True)
    assert "a.ipynb" not in git(remote, "ls-tree", "-r", BRANCH)
    assert git(remote, "rev-list", "--count", BRANCH) == "1"
