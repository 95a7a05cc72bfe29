"""Chapters as notebooks that read well outside the book: in JupyterLab, on Colab, on Binder.

The text notebooks in ``chapters/`` stay the one source. What is written here is made from them:
plain Markdown instead of MyST, a first cell that gets the package where it is missing, and the
numbers of the book's own run in the sentences.
"""

from __future__ import annotations

import ast
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import yaml
from nbformat import NotebookNode, v4

from build_tools import plain
from build_tools.book import toc_pages
from build_tools.citations import Bibliography
from build_tools.execute import PACKAGE, chapter_key, execute_all
from medpriv.course.catalog import CHAPTERS, ChapterError, chapters_dir, read_chapter
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.hashing import content_hash

BRANCH = "notebooks"  # where CI puts what is exported; the buttons of _config.yml lead there
GLUED = "application/papermill.record/text/plain"
# Beside the chapters on that branch: what they import and read, and what Binder installs.
ALONGSIDE = ("requirements-run.txt", "LICENSE", "LICENSE-TEXT", "binder", "chapters/recorded")

SETUP = '''\
# @title Run this first: it gets the course's package where it is missing
# A chapter of "{title}":
# {page}
# On Colab this takes about a minute. No restart is needed.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

def run(*command):
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise RuntimeError(
            f"`{{' '.join(command)}}` failed. It needs git, pip and a network; "
            f"mend that and run this cell again.\\n{{reason}}"
        ) from None

if importlib.util.find_spec("medpriv") is None:
    beside, clone = Path.cwd().parent, Path.cwd() / "{folder}"
    home = beside if (beside / "medpriv").is_dir() else clone
    if not home.is_dir():
        address = "{repository}"
        run("git", "clone", "--quiet", "--depth=1", "--branch={branch}",
            address, str(home))
    needs = str(home / "requirements-run.txt")
    run(sys.executable, "-m", "pip", "install", "--quiet", "-r", needs)
    sys.path.insert(0, str(home))

# Each figure that the text speaks of is printed where it is measured.
os.environ["MEDPRIV_FIGURES"] = "shown"'''

README = """\
# {title}: the notebooks

This branch is written by the continuous integration of [the repository]({repository}) from its
text notebooks; changes made here are overwritten. The buttons in [the published book]({site}) open
these notebooks on Colab and on Binder. To work on your own machine, take the main branch.
"""


@dataclass(frozen=True)
class Book:
    """What every notebook says about the book: see ``_config.yml``."""

    title: str
    authors: str
    repository: str
    site: str


def read_config(root: Path) -> Book:
    """The book's title and addresses.

    Where GitHub publishes a repository's pages follows from the repository's address.
    """
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    repository = config["repository"]["url"].rstrip("/")
    owner, name = urlsplit(repository).path.strip("/").split("/")
    site = f"https://{owner}.github.io/{name}"
    return Book(config["title"], config["author"], repository, site)


# --- Numbers in the text --------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """How the book counts, over all its pages: what each label is called, and where pages begin."""

    labels: Mapping[str, str]
    before: Mapping[str, Counter[str]]


def number_pages(root: Path) -> Numbers:
    """Count figures, equations, exercises and definitions in the order of the contents."""
    labels: dict[str, str] = {}
    before: dict[str, Counter[str]] = {}
    counts: Counter[str] = Counter()
    for page in toc_pages(root / "_toc.yml"):
        before[page] = counts.copy()
        for kind, label in _numbered(root / f"{page}.md"):
            counts[kind] += 1
            if label:
                labels[label] = plain.in_words(kind, counts[kind])
    return Numbers(labels, before)


def _numbered(page: Path) -> Iterator[tuple[str, str]]:
    if page.stem not in CHAPTERS:
        yield from plain.numbered(page.read_text(encoding="utf-8"))
        return
    for cell in read_chapter(page.stem).cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "caption" in figure:
            yield "figure", figure.get("name", "")
        elif cell.cell_type == "markdown":
            yield from plain.numbered(cell.source)


def measured(name: str, root: Path) -> dict[str, str] | None:
    """The figures of the book's own run of a chapter, as its text shows them.

    Returns:
        Texts by the names that ``{glue:text}`` uses; None where the chapter was not executed
        since it, the package or the requirements changed.
    """
    folder = root / "_build" / "executed" / name
    key = folder / "key.txt"
    if not key.exists() or key.read_text() != chapter_key(name, root):
        return None
    executed = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    outputs = (output for cell in executed.cells for output in cell.get("outputs", ()))
    return {
        output.metadata["scrapbook"]["name"]: ast.literal_eval(output.data[GLUED])
        for output in outputs
        if GLUED in output.get("data", {})
    }


# --- One notebook ---------------------------------------------------------------------------------


def plain_notebook(
    name: str, root: Path, numbers: Numbers, figures: Mapping[str, str] | None
) -> NotebookNode:
    """A chapter without outputs and in plain Markdown, with a cell in front that sets it up.

    Args:
        name: the chapter.
        root: the repository.
        numbers: from :func:`number_pages`.
        figures: what the sentences show for a figure, from :func:`measured`; without them they
            show its name, under which the cell that measures it prints it.

    Raises:
        ChapterError: the chapter holds markup that has no form outside the book.
    """
    book = read_config(root)
    around = plain.Surroundings(
        site=book.site,
        page=name,
        bibliography=Bibliography(root / "references.bib"),
        numbers=numbers.labels,
        counts=numbers.before[f"chapters/{name}"].copy(),
        value=lambda figure: _shown(figure, figures),
    )
    try:
        cells = [_setup(name, book), *_cells(read_chapter(name), around)]
    except plain.MarkupError as error:
        raise ChapterError(f"{name}.md cannot be read outside the book: {error}") from error
    cells[1].source = _with_note(cells[1].source, name, book, figures is not None)
    return _assembled(name, cells)


def _shown(figure: str, figures: Mapping[str, str] | None) -> str:
    if figures is None:
        return f"`{figure}`"
    if figure not in figures:
        raise plain.MarkupError(f"no cell measures a figure called {figure!r}")
    return f"*{figures[figure]}*"


def _setup(name: str, book: Book) -> NotebookNode:
    source = SETUP.format(
        title=book.title,
        page=f"{book.site}/chapters/{name}.html",
        repository=book.repository,
        folder=book.repository.rpartition("/")[2],
        branch=BRANCH,
    )
    return v4.new_code_cell(source, metadata=_HIDDEN)


def _with_note(text: str, name: str, book: Book, with_figures: bool) -> str:
    """The first cell of text, with a note under its title."""
    spec = CHAPTERS[name]
    title, _, rest = text.partition("\n")
    numbers = (
        "Numbers in *italics* were measured in the book's own run (profile `quick`, data set "
        f"`{spec.default_dataset}`, seed 0). Your run prints its own under the cells that measure "
        "them."
        if with_figures
        else "In its sentences, a name such as `auc` stands for a number that a cell above prints "
        "under this name."
    )
    note = (
        f"> A chapter of [{book.title}]({book.site}/chapters/{name}.html), by {book.authors}. "
        f"Text: CC BY 4.0, code: BSD-3-Clause. {numbers}"
    )
    return f"{title}\n\n{note}\n{rest}"


def _cells(chapter: NotebookNode, around: plain.Surroundings) -> Iterator[NotebookNode]:
    folded = closed = False
    for cell in chapter.cells:
        if cell.cell_type == "code":
            if closed:
                raise plain.MarkupError(f"{_UNFOLDED} (a code cell)")
            yield _code(cell, folded)
            yield from _caption(cell, around)
            continue
        for piece in plain.pieces(cell.source, around):
            if closed and not piece.text.startswith("#"):
                raise plain.MarkupError(f"{_UNFOLDED} ({piece.text[:40]!r})")
            folded, closed = piece.folded or (folded and not piece.closed), piece.closed
            if piece.text:
                yield _heading(piece.text) if piece.folded else v4.new_markdown_cell(piece.text)


_UNFOLDED = (
    "what follows the end of a solution must begin with a heading or an exercise, or it would be "
    "folded away with the solution"
)


# A source that is shown on demand: JupyterLab's words for it, and Colab's.
_HIDDEN = {"jupyter": {"source_hidden": True}, "cellView": "form"}


def _heading(text: str) -> NotebookNode:
    """A heading whose section JupyterLab keeps folded until the reader unfolds it."""
    return v4.new_markdown_cell(text, metadata={"jp-MarkdownHeadingCollapsed": True})


def _code(cell: NotebookNode, folded: bool) -> NotebookNode:
    metadata: dict[str, Any] = {}
    tags = [tag for tag in cell.metadata.get("tags", ()) if tag == "parameters"]
    if tags:
        metadata["tags"] = tags
    if {"remove-input", "hide-input"} & set(cell.metadata.get("tags", ())):
        metadata |= _HIDDEN
    elif folded:
        metadata |= {"cellView": _HIDDEN["cellView"]}  # in case Colab shows the folded section
    return v4.new_code_cell(cell.source, metadata=metadata)


def _caption(cell: NotebookNode, around: plain.Surroundings) -> Iterator[NotebookNode]:
    caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption")
    if caption:
        around.counts["figure"] += 1
        label = plain.in_words("figure", around.counts["figure"])
        yield v4.new_markdown_cell(f"**{label}.** {plain.inline(caption, around)}")


def _assembled(name: str, cells: list[NotebookNode]) -> NotebookNode:
    for index, cell in enumerate(cells):
        cell["id"] = f"cell-{index:03d}"
    folded = [cell for cell in cells if cell.metadata.get("jp-MarkdownHeadingCollapsed")]
    for cell in folded:
        cell.metadata["id"] = cell["id"]  # by which Colab knows it
    return v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "colab": {"collapsed_sections": [cell["id"] for cell in folded]},
            "medpriv": {"chapter": name, "text": _digest(cells)},
        },
    )


def _digest(cells: Iterable[Mapping[str, Any]]) -> str:
    """A hash of what a reader could edit: not of outputs, nor of what is folded."""
    return content_hash([(cell["cell_type"], cell["source"]) for cell in cells])[:16]


# --- The branch for Colab and Binder --------------------------------------------------------------


def export_notebooks() -> Path:
    """Write ``_build/notebooks``: all of the branch that Colab and Binder open notebooks from.

    Chapters that changed are executed first, for the numbers in their sentences.

    Returns:
        The folder: ``chapters/NAME.ipynb``, the package, and what it needs.

    Raises:
        ChapterError: a chapter holds markup that has no form outside the book.
        RunError: a cell failed.
    """
    root = chapters_dir().resolve().parent
    numbers = number_pages(root)
    notebooks = {}
    execute_all(root)
    for name in CHAPTERS:
        notebooks[name] = plain_notebook(name, root, numbers, measured(name, root))
    out = root / "_build" / BRANCH
    shutil.rmtree(out, ignore_errors=True)  # no chapter of an earlier export may stay behind
    for name, notebook in notebooks.items():
        _write(notebook, out / "chapters" / f"{name}.ipynb")
    _add_package(root, out)
    return out


def _add_package(root: Path, out: Path) -> None:
    """What the first cell and Binder look for beside the notebooks."""
    shutil.copytree(PACKAGE, out / "medpriv", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ALONGSIDE:
        origin = root / name
        copy = shutil.copytree if origin.is_dir() else shutil.copyfile
        copy(origin, out / name)
    book = read_config(root)
    readme = README.format(title=book.title, repository=book.repository, site=book.site)
    (out / "README.md").write_text(readme, encoding="utf-8")


def _write(notebook: NotebookNode, path: Path) -> None:
    with atomic_path(path) as part:
        nbformat.write(notebook, part)


# --- A reader's own copies ------------------------------------------------------------------------

# JupyterLab's settings for them: no extension for MyST, which would only get in the way of plain
# Markdown, and no question whether to fetch news.
LAB_SETTINGS = {
    "page_config.json": {"disabledExtensions": {"jupyterlab-myst": True}},
    "default_setting_overrides.json": {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}
    },
}


def reader_notebooks() -> Iterator[tuple[Path, str]]:
    """Bring the reader's notebooks up to date, those that the reader has not edited.

    They lie in ``notebooks/``, which git ignores and ``make clean`` leaves alone. A notebook whose
    cells the reader edited is never written to. ``_build/lab`` gets settings under which JupyterLab
    shows them as they are meant.

    Yields:
        Each notebook, and in words what became of it.

    Raises:
        ChapterError: a chapter holds markup that has no form outside the book.
    """
    root = chapters_dir().resolve().parent
    for name, settings in LAB_SETTINGS.items():
        with atomic_path(root / "_build" / "lab" / "labconfig" / name) as part:
            part.write_text(json.dumps(settings), encoding="utf-8")
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
        _write(notebook, path)
        return "new"
    made_from, now = _state(path)
    if made_from == new:
        return "as it was" if now == new else "kept with your changes"
    if made_from is not None and now == made_from:
        _write(notebook, path)
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
        return notebook["metadata"]["medpriv"]["text"], _digest(cells)
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
