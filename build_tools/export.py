"""The branch that Colab and Binder open notebooks from: chapters, package, and what they need.

Neither has a clone: the first cell of a notebook fetches this branch, which is small, and has the
numbers of the book's own run in its sentences.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from build_tools.about import filled, read_config
from build_tools.chapter_text import book_root
from build_tools.execute import execute_all
from build_tools.kernel import CLONE
from build_tools.notebooks import BRANCH, measured, plain_notebook, write
from build_tools.numbering import number_pages
from medpriv.course.catalog import CHAPTERS

# Beside the chapters on that branch: what they import, or speak of; what they read; and what Binder
# installs.
PACKAGES = ("medpriv", "experiments")
ALONGSIDE = ("requirements-run.txt", "LICENSE", "LICENSE-TEXT", "binder", "chapters/recorded")


def export_notebooks() -> Path:
    """Write ``_build/notebooks``: all of the branch that Colab and Binder open notebooks from.

    Chapters that changed are executed first, for the numbers in their sentences.

    Returns:
        The folder: ``chapters/NAME.ipynb``, the package, and what it needs.

    Raises:
        ChapterError: a chapter holds markup that has no form outside the book.
        RunError: a cell failed.
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
