"""Notebooks where readers find them: on a branch for Colab and Binder, and in ``notebooks/``.

Colab and Binder have no clone: the first cell of a notebook fetches this branch, which is small. A
reader's own copies for JupyterLab get new text, but never over an edit: a notebook says from which
text it was made, and only one whose cells are still that text is written again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from build_tools.book import TEMPLATES, filled, read_config
from build_tools.chapter_text import book_root
from build_tools.execute import execute_all
from build_tools.kernel import CLONE
from build_tools.myst import number_pages
from build_tools.notebooks import BRANCH, digest, measured, plain_notebook, write
from medpriv.course.catalog import CHAPTERS

# Beside the chapters on that branch: what they import, or speak of; what they read; and what Binder
# installs.
PACKAGES = ("medpriv", "experiments")
ALONGSIDE = ("requirements-run.txt", "LICENSE", "LICENSE-TEXT", "binder", "chapters/recorded")


def export_notebooks() -> Path:
    """Write ``_build/notebooks``: all of the branch that Colab and Binder open notebooks from.

    Chapters that changed are executed first, for the numbers in their sentences. Raises as
    :func:`execute_all` and :func:`plain_notebook`.
    """
    root = book_root()
    execute_all(root)
    numbers = number_pages(root)
    notebooks = {
        name: plain_notebook(name, root, numbers, measured(name, root)) for name in CHAPTERS
    }
    out = root / "_build" / BRANCH
    shutil.rmtree(out, ignore_errors=True)  # no chapter of an earlier export may stay behind
    for name, notebook in notebooks.items():
        write(notebook, out / "chapters" / f"{name}.ipynb")
    add_package(root, out)
    return out


def add_package(root: Path, out: Path) -> None:
    """What the first cell and Binder look for beside the notebooks."""
    made = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(CLONE / package, out / package, ignore=made)
    for name in ALONGSIDE:
        origin = root / name
        copy = shutil.copytree if origin.is_dir() else shutil.copyfile
        copy(origin, out / name)
    book = read_config(root)
    places = {"title": book.title, "repository": book.repository, "site": book.site}
    readme = filled("notebooks_readme.md", **places)
    (out / "README.md").write_text(readme, encoding="utf-8")


# --- A reader's own copies ------------------------------------------------------------------------


def reader_notebooks() -> Iterator[tuple[Path, str]]:
    """Bring the reader's notebooks up to date, those that the reader has not edited.

    They lie in ``notebooks/``, which git ignores and ``make clean`` leaves alone. ``_build/lab``
    gets settings under which JupyterLab shows them as they are meant. Yields each notebook, and in
    words what became of it; raises as :func:`plain_notebook`.
    """
    root = book_root()
    # No extension for MyST, which would only get in the way of plain Markdown, and no news.
    settings = root / "_build" / "lab" / "labconfig"
    shutil.copytree(TEMPLATES / "labconfig", settings, dirs_exist_ok=True)
    numbers = number_pages(root)
    for name in CHAPTERS:
        path = root / "notebooks" / f"{name}.ipynb"
        figures = measured(name, root)
        what = _bring_up_to_date(path, plain_notebook(name, root, numbers, figures))
        if figures is None and not what.startswith("kept"):
            what += "; its sentences name figures: `make book`, then this again, puts numbers there"
        yield path, what


def _bring_up_to_date(path: Path, notebook: NotebookNode) -> str:
    new = notebook.metadata["medpriv"]["text"]
    if not path.exists():
        write(notebook, path)
        return "new"
    made_from, now = _state(path)
    if made_from == new:
        return "as it was" if now == new else "kept with your changes"
    if made_from is not None and now == made_from:
        write(notebook, path)
        return "brought up to date: the chapter changed, and you had not edited it"
    return (
        "kept with your changes; the chapter has changed since. For its new text, give yours "
        "another name and call this again"
    )


def _state(path: Path) -> tuple[str | None, str | None]:
    """From which text a notebook was made, and its text now; None where that cannot be told."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        # As JSON, since another program may have saved it: a source is a text or a list of lines.
        cells = [cell | {"source": "".join(cell["source"])} for cell in notebook["cells"]]
        return notebook["metadata"]["medpriv"]["text"], digest(cells)
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
