"""Chapters as notebooks that read well outside the book: in JupyterLab, on Colab, on Binder.

The text notebooks in ``chapters/`` stay the one source. What is written here is made from them:
plain Markdown instead of MyST, a first cell that gets the package where it is missing, and the
numbers of the book's own run in the sentences.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from build_tools import plain
from build_tools.book import Book, filled, read_config
from build_tools.chapter_text import read_chapter
from build_tools.citations import Bibliography
from build_tools.execute import chapter_key
from build_tools.myst import Numbers, in_words
from medpriv.course.catalog import CHAPTERS, ChapterError
from medpriv.runtime.cache import atomic_path
from medpriv.runtime.hashing import content_hash

BRANCH = "notebooks"  # where CI puts what is exported; the buttons of _config.yml lead there
GLUED = "application/papermill.record/text/plain"
# A source that is shown on demand: JupyterLab's words for it, and Colab's.
_HIDDEN = {"jupyter": {"source_hidden": True}, "cellView": "form"}
_UNFOLDED = (
    "what follows the end of a solution must begin with a heading or an exercise, or it would be "
    "folded away with the solution"
)


def measured(name: str, root: Path) -> dict[str, str] | None:
    """The figures of the book's own run of a chapter, by the names that ``{glue:text}`` uses.

    None where code that the chapter uses has changed since it was executed.
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


def plain_notebook(
    name: str, root: Path, numbers: Numbers, figures: Mapping[str, str] | None
) -> NotebookNode:
    """A chapter without outputs and in plain Markdown, with a cell in front that sets it up.

    Without figures from :func:`measured` the sentences show the name of one, under which the cell
    that measures it prints it. Markup that has no form outside the book is a ``ChapterError``.
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
    source = filled(
        "first_cell.py.txt",
        title=book.title,
        page=f"{book.site}/chapters/{name}.html",
        repository=book.repository,
        folder=book.repository.rpartition("/")[2],
        branch=BRANCH,
    )
    return v4.new_code_cell(source.rstrip("\n"), metadata=_HIDDEN)


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
        f"Text: CC BY 4.0, code: BSD-3-Clause. {numbers} With other data or seeds than "
        f"{spec.promised_in_words()} a sentence about a result may be wrong: where the claim that "
        "it names does not hold, the cell that checks it prints so."
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
            if piece.text:  # a folded section is JupyterLab's until the reader unfolds it
                how = {"jp-MarkdownHeadingCollapsed": True} if piece.folded else {}
                yield v4.new_markdown_cell(piece.text, metadata=how)


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
        label = in_words("figure", around.counts["figure"])
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
            "medpriv": {"chapter": name, "text": digest(cells)},
        },
    )


def digest(cells: Iterable[Mapping[str, Any]]) -> str:
    """A hash of what a reader could edit: not of outputs, nor of what is folded."""
    return content_hash([(cell["cell_type"], cell["source"]) for cell in cells])[:16]


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in one step, so that no reader finds half of one."""
    with atomic_path(path) as part:
        nbformat.write(notebook, part)
