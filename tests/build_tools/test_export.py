"""Notebooks for readers outside the book: what they say, what they keep, and that they run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbformat import NotebookNode

from build_tools import cli, export
from build_tools.chapter_text import read_chapter
from build_tools.execute import execute
from build_tools.export import (
    BRANCH,
    Numbers,
    export_notebooks,
    measured,
    number_pages,
    plain_notebook,
    read_config,
    reader_notebooks,
)
from build_tools.run import _kernel_manager
from medpriv.course.catalog import CHAPTERS, ChapterError
from tiny import ROOT, Tiny, code

HTML = ROOT / "_build" / "html"
needs_pages = pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="run make book first")
# What must not reach a reader: directives, roles, fences, breaks, targets.
RAW = re.compile(
    r"^ *(?::::|```\{|\+\+\+|\([\w-]+\)=)|\{[a-z][\w:.+-]*\}`|\{[.#]\w+\}", re.MULTILINE
)
CODE = re.compile(r"^ *(```+)[^`{\n]*\n.*?^ *\1 *$|(`+)[^`].*?\2", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return number_pages(ROOT)


@pytest.fixture(scope="module", params=CHAPTERS)
def chapter(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def notebook(chapter: str, numbers: Numbers) -> NotebookNode:
    return plain_notebook(chapter, ROOT, numbers, None)


@pytest.fixture
def one(numbers: Numbers) -> NotebookNode:
    """Any one notebook: the first cell of all is the same but for an address."""
    return plain_notebook("06-model-inversion", ROOT, numbers, None)


def sources(notebook: NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


# --- Every chapter --------------------------------------------------------------------------------


def test_no_directive_or_role_remains(notebook: NotebookNode) -> None:
    text = "\n\n".join(CODE.sub("", source) for source in sources(notebook, "markdown"))
    assert RAW.findall(text) == []
    assert len(text) > 5000


def test_the_code_is_the_chapters_own(chapter: str, notebook: NotebookNode) -> None:
    setup, *rest = sources(notebook, "code")
    assert notebook.cells[0].source == setup
    assert rest == sources(read_chapter(chapter), "code")
    parameters = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(parameters) == 1


def test_the_text_says_all_that_the_chapter_says(chapter: str, notebook: NotebookNode) -> None:
    def words(cells: list[str]) -> Counter[str]:
        text = re.sub(r"\{[a-z:]+\}`[^`]*`|\]\([^)]*\)", " ", "\n".join(cells))
        return Counter(re.findall(r"[a-z]{4,}", text.lower()))

    lost = words(sources(read_chapter(chapter), "markdown")) - words(sources(notebook, "markdown"))
    markup = {"admonition", "class", "label", "threat", "model", "important", "dropdown", "start",
              "exercise", "solution", "definition", "bibliography", "filter", "docname",
              "docnames", "blank"}  # fmt: skip
    labels = {
        word
        for source in sources(read_chapter(chapter), "markdown")
        for label in re.findall(r"(?::label: |solution-start\} |\$\$ \()([\w-]+)", source)
        for word in label.split("-")
    }
    assert set(lost) - markup - labels == set()


def test_solutions_are_folded_and_end_where_they_end(notebook: NotebookNode) -> None:
    heads = [
        number
        for number, cell in enumerate(notebook.cells)
        if cell.metadata.get("jp-MarkdownHeadingCollapsed")
    ]
    assert len(heads) == 3
    for head in heads:
        assert notebook.cells[head].source.startswith("#### ")
        inside = iter(notebook.cells[head + 1 :])
        folded = next(inside)
        assert "insist=True" in folded.source
        assert folded.metadata["cellView"] == "form"
        # The section ends before the next heading of its level or above.
        after = next(c for c in inside if c.cell_type == "markdown" and c.source.startswith("#"))
        assert re.match(r"#{2,3} ", after.source)
    ids = [notebook.cells[head]["id"] for head in heads]
    assert notebook.metadata["colab"]["collapsed_sections"] == ids


def test_each_figure_has_its_caption_under_it(chapter: str, notebook: NotebookNode) -> None:
    captioned = [
        cell.source
        for cell in read_chapter(chapter).cells
        if "caption" in cell.metadata.get("mystnb", {}).get("figure", {})
    ]
    below = {
        cell.source: notebook.cells[number + 1].source
        for number, cell in enumerate(notebook.cells[:-1])
        if cell.source in captioned
    }
    assert len(below) == len(captioned)
    assert all(re.match(r"\*\*Fig\. \d+\.\*\* \w", caption) for caption in below.values())


def test_it_is_a_valid_notebook_that_pairs_with_nothing(
    chapter: str, notebook: NotebookNode
) -> None:
    nbformat.validate(notebook)
    assert "jupytext" not in notebook.metadata  # or JupyterLab would write a text beside it
    assert notebook.metadata["kernelspec"]["name"] == "python3"
    assert notebook.metadata["medpriv"]["chapter"] == chapter
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_figures_of_the_books_run_are_marked(chapter: str, numbers: Numbers) -> None:
    used = set(re.findall(r"\{glue:text\}`(.+?)`", "\n".join(
        sources(read_chapter(chapter), "markdown"))))  # fmt: skip
    shown = plain_notebook(chapter, ROOT, numbers, dict.fromkeys(used, "0.4321"))
    text = "\n".join(sources(shown, "markdown"))
    plain_text = "\n".join(sources(plain_notebook(chapter, ROOT, numbers, None), "markdown"))
    assert text.count("*0.4321*") >= len(used)
    assert text.count("0.4321") == text.count("*0.4321*")
    assert "italics" in text.partition("\n\n> *")[0]
    assert all(f"`{name}`" in plain_text for name in used)
    with pytest.raises(ChapterError, match=rf"{chapter}\.md cannot be read outside .* no cell"):
        plain_notebook(chapter, ROOT, numbers, {})


@needs_pages
def test_the_numbers_are_those_of_the_pages(numbers: Numbers) -> None:
    shown = {}
    for page in HTML.glob("chapters/*.html"):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        for found in soup.select(".caption-number"):
            owner = found.find_parent(id=True)
            shown[owner["id"]] = found.get_text(strip=True)
        for found in soup.select(".eqno"):
            owner = found.find_parent(id=True)
            shown[owner["id"].removeprefix("equation-")] = found.get_text().rstrip("#")
    assert {label: shown.get(label) for label in numbers.labels} == dict(numbers.labels)


@needs_pages
def test_links_to_the_book_lead_to_its_pages(notebook: NotebookNode) -> None:
    site = read_config(ROOT).site
    text = "\n".join(sources(notebook, "markdown"))
    links = set(re.findall(rf"\]\({re.escape(site)}/(.+?)\)", text))
    assert links
    for link in links:
        page, _, anchor = link.partition("#")
        assert (HTML / page).is_file(), link
        if anchor:
            assert f'id="{anchor}"' in (HTML / page).read_text(encoding="utf-8"), link


# --- One notebook ---------------------------------------------------------------------------------

MEASURES = """
Before, see {numref}`plot`.

```{code-cell} ipython3
from myst_nb import glue

glue("gain", "0.42", display=False)
```

The gain is {glue:text}`gain`.

```{code-cell} ipython3
---
mystnb:
  figure:
    caption: A line, by {cite:t}`Key`.
    name: plot
---
1 + 1
```

**How to read this.** So.
"""


def test_figures_come_from_a_run_of_this_text_only(tiny: Tiny) -> None:
    tiny.write(MEASURES)
    assert measured(tiny.name, tiny.root) is None
    execute(tiny.name, tiny.root)
    assert measured(tiny.name, tiny.root) == {"gain": "0.42"}
    tiny.write(MEASURES.replace("So.", "Well."))
    assert measured(tiny.name, tiny.root) is None


def test_what_follows_a_solution_needs_a_heading(tiny: Tiny) -> None:
    folded = "\n```{solution-start} a\n```\nA.\n\n```{solution-end}\n```\n"
    for after in ("\nMore.\n", code("1")):
        tiny.write(f"{folded}{after}")
        with pytest.raises(ChapterError, match="folded away with the solution"):
            plain_notebook(tiny.name, tiny.root, number_pages(tiny.root), None)
    tiny.write(f"{folded}\n## More\n\nText.\n")
    plain_notebook(tiny.name, tiny.root, number_pages(tiny.root), None)


def test_unknown_markup_names_the_chapter(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write("\n```{mermaid}\nx\n```\n")
    assert cli.main(["lab"]) == 2
    assert "99-tiny.md cannot be read outside the book" in capsys.readouterr().err


def test_numbers_run_on_over_the_pages_of_the_book(tiny: Tiny) -> None:
    (tiny.root / "chapters" / "welcome.md").write_text(
        "# Hi\n\n```{figure} a.png\n:name: first\nOne\n```\n\n$$\nx\n$$ (eq-x)\n"
    )
    tiny.write(MEASURES + "\n$$\ny\n$$ (eq-y)\n")
    numbers = number_pages(tiny.root)
    assert numbers.labels == {"first": "Fig. 1", "eq-x": "(1)", "plot": "Fig. 2", "eq-y": "(2)"}
    text = sources(plain_notebook(tiny.name, tiny.root, numbers, {"gain": "1"}), "markdown")
    assert any(part.startswith("Before, see Fig. 2.") for part in text)
    assert "**Fig. 2.** A line, by Name (2020)." in text
    assert any("\\tag{2}" in part for part in text)


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
    export._add_package(ROOT, exported)
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
        kernel_manager_class=_kernel_manager(elsewhere | instead, []),
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
    assert "The gain is *0.42*." in sources(notebook, "markdown")


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


# --- A reader's copies ----------------------------------------------------------------------------


def bring(tiny: Tiny) -> str:
    ((path, what),) = reader_notebooks()
    assert path == tiny.root / "notebooks" / "99-tiny.ipynb"
    what, _, advice = what.partition("; its sentences")
    assert what.startswith("kept") or "`make book`" in advice
    return what


def edit(path: Path, **changes: str) -> None:
    """Save a notebook as JupyterLab would, with outputs and one cell changed."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", text="1\n")]
            cell.execution_count = 1
        cell.source = changes.get("to", "x") if cell.source == changes.get("of") else cell.source
    nbformat.write(notebook, path)


def test_a_reader_gets_new_text_until_the_reader_writes(tiny: Tiny) -> None:
    path = tiny.root / "notebooks" / "99-tiny.ipynb"
    tiny.write(code("answer = ..."))
    assert bring(tiny) == "new"
    assert bring(tiny) == "as it was"
    edit(path)  # run, and not changed
    ran = path.read_bytes()
    assert bring(tiny) == "as it was"
    assert path.read_bytes() == ran
    tiny.write(code("answer = ...") + "\nMore text.\n")
    assert bring(tiny).startswith("brought up to date")
    assert "More text." in path.read_text()
    edit(path, of="answer = ...", to="answer = 42")
    mine = path.read_bytes()
    assert bring(tiny) == "kept with your changes"
    tiny.write(code("answer = ...") + "\nStill more.\n")
    assert bring(tiny).startswith("kept with your changes; the chapter has changed since")
    assert path.read_bytes() == mine
    path.rename(path.with_name("mine.ipynb"))
    assert bring(tiny) == "new"
    assert path.with_name("mine.ipynb").read_bytes() == mine


@pytest.mark.parametrize(
    "content", ["", "no json", "[]", "{}", '{"cells": [], "metadata": {}, "nbformat": 4}']
)
def test_a_file_of_the_readers_own_is_left_alone(tiny: Tiny, content: str) -> None:
    path = tiny.root / "notebooks" / "99-tiny.ipynb"
    path.parent.mkdir()
    path.write_text(content)
    assert bring(tiny).startswith("kept with your changes")
    assert path.read_text() == content


def test_the_lab_for_readers_shows_plain_markdown(tiny: Tiny) -> None:
    assert cli.main(["lab"]) == 0
    settings = tiny.root / "_build" / "lab" / "labconfig"
    config = json.loads((settings / "page_config.json").read_text())
    assert config == {"disabledExtensions": {"jupyterlab-myst": True}}
    overrides = json.loads((settings / "default_setting_overrides.json").read_text())
    assert "fetchNews" in str(overrides)
    assert "$(CURDIR)/_build/lab" in (ROOT / "Makefile").read_text()
    assert "/notebooks/" in (ROOT / ".gitignore").read_text().split("\n")
    clean = re.search(r"^clean:.*\n\t(.+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert clean
    assert "notebooks" not in clean[1]
