"""A reader's own copies: new text until the reader writes, and never over what was written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest

from build_tools import cli
from build_tools.export import reader_notebooks
from tiny import ROOT, Tiny, code


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
