"""The live explorer, driven in an executed notebook as a reader would drive it."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from build_tools.chapter_text import read_chapter
from tiny import ROOT

SETUP = """
%matplotlib inline
import hashlib, json
import torch
from ipywidgets import interactive
from medpriv.course import Explorer
from medpriv.metrics import ssim

images = {name: torch.rand(3, 1, 16, 16) for name in ("truth", "conv2", "conv4", "nearest")}
guesses = {split: images[split] for split in ("conv2", "conv4")}
explorer = Explorer(images["truth"], guesses, images["nearest"])
"""

DRIVE = """
control = interactive(explorer.show, victim=(1, 3), split=["conv2", "conv4"])
victim, split = control.children[:2]
control
"""

# The widget's output arrives between two cells, so that each look has a cell of its own.
LOOK = """
pictures = [output["data"]["image/png"] for output in control.out.outputs if "data" in output]
print(json.dumps({
    "at": [victim.value, split.value],
    "outputs": len(control.out.outputs),
    "errors": [o for o in control.out.outputs if o["output_type"] == "error"],
    "pictures": [hashlib.sha256(picture.encode()).hexdigest() for picture in pictures],
}))
"""


def looks(notebook: nbformat.NotebookNode) -> list[dict]:
    """What each look printed; a kernel that is in a hurry sends one print in several parts."""
    cells = [cell for cell in notebook.cells if cell.source == LOOK]
    return [json.loads("".join(_printed(cell))) for cell in cells]


def _printed(cell: nbformat.NotebookNode) -> list[str]:
    return [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout"]


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What the widget showed at first, and after each move of a control."""
    moves = ["", "victim.value = 3", "split.value = 'conv4'", "victim.value = 1", "split.index = 0"]
    sources = [SETUP, DRIVE, LOOK] + [source for move in moves[1:] for source in (move, LOOK)]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("MPLCONFIGDIR", str(tmp_path_factory.mktemp("matplotlib")))
        patch.delenv("MPLBACKEND", raising=False)
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return looks(notebook)


def test_every_move_draws_one_picture_and_raises_nothing(driven: list[dict]) -> None:
    assert [look["at"] for look in driven] == [
        [2, "conv2"],
        [3, "conv2"],
        [3, "conv4"],
        [1, "conv4"],
        [1, "conv2"],
    ]
    for look in driven:
        assert look["errors"] == []
        assert look["outputs"] == len(look["pictures"]) == 1


def test_every_move_changes_what_is_shown(driven: list[dict]) -> None:
    shown = [look["pictures"][0] for look in driven]
    assert len(set(shown)) == len(shown)


def test_what_is_driven_here_is_what_chapter_06_shows() -> None:
    cells = read_chapter("06-model-inversion").cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert re.search(r"interact\(\w+\.show, victim=\(1, len\(victims\)\), split=splits\)", code)
