"""A reader's own copies of the chapters, in ``notebooks/``: new text, but never over an edit.

A reader works in these, and the course goes on changing. A notebook says from which text it was
made; only one whose cells are still that text is written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from build_tools.chapter_text import book_root
from build_tools.notebooks import digest, measured, plain_notebook, write
from build_tools.numbering import number_pages
from medpriv.course.catalog import CHAPTERS
from medpriv.runtime.cache import atomic_path

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
    root = book_root()
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
