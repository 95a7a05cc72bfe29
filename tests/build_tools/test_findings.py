"""An executed chapter takes back what its run does not show, and no other one is touched."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode, v4

from build_tools.chapter_text import read_chapter
from build_tools.findings import with_findings
from build_tools.run import run_chapter
from medpriv.course.catalog import CHAPTERS
from tiny import SPEC, Tiny

TEXT = """\
It gains ({glue:text}`claim-gains`), by {glue:text}`gain` [{glue:text}`gain-low`].

| what | why |
|---|---|
| it | costs little ({glue:text}`claim-costs`; {glue:text}`claim-gains`) |

Elsewhere it is {glue:text}`other` ({glue:text}`claim-other`)."""
CLAIMS = [
    {"text": "it gains", "value": 0.0312, "bound": ">= 0.2", "holds": False, "name": "gains"},
    {"text": "it costs", "value": 0.01, "bound": "<= 0.1", "holds": True, "name": "costs"},
    {"text": "its share", "value": None, "bound": ">= 0.5", "holds": False, "name": ""},
]


def told(dataset: str = "own.npz", seed: int = 0, profile: str = "quick") -> NotebookNode:
    results: dict[str, Any] = {
        "parameters": {"profile": profile, "dataset": dataset, "seed": seed},
        "claims": CLAIMS,
        "figures": [{"name": "gain"}],
    }
    return with_findings(notebook(), SPEC, results)


def notebook() -> NotebookNode:
    cells = [v4.new_markdown_cell("# Tiny\n\n> Is it?"), v4.new_code_cell(TEXT)]
    cells.append(v4.new_markdown_cell(TEXT))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return v4.new_notebook(cells=cells)


@pytest.mark.parametrize(("dataset", "seed"), [("phantom", 0), ("phantom", 1), ("mias", 0)])
def test_where_claims_are_promised_nothing_changes(dataset: str, seed: int) -> None:
    assert told(dataset, seed) == notebook()
    assert told(dataset, seed, "smoke") == notebook()


def test_a_sentence_says_that_its_claim_does_not_hold() -> None:
    failed = "**claim 1, which does not hold here: 0.0312, not >= 0.2**"
    cells = told().cells
    assert cells[1].source == TEXT
    assert cells[2].source.splitlines() == [
        f"It gains ({failed}), by {{glue:text}}`gain` [{{glue:text}}`gain-low`].",
        "",
        "| what | why |",
        "|---|---|",
        f"| it | costs little ({{glue:text}}`claim-costs`; {failed}) |",
        "",
        "Elsewhere it is **not measured here** (**a claim that was not checked here**).",
    ]


@pytest.mark.parametrize(("dataset", "seed"), [("own.npz", 0), ("phantom", 2), ("mias", 1)])
def test_the_first_lines_say_for_what_the_text_was_written(dataset: str, seed: int) -> None:
    lines = told(dataset, seed).cells[0].source.splitlines()
    assert lines[0] == "# Tiny"
    assert lines[2].endswith("for phantom with seeds 0, 1; mias with seeds 0.")
    assert lines[4].startswith("> Of its 3 claims 1 hold in this run. Where the text")
    assert lines[-4:] == [
        "> - claim 1, *it gains*: 0.0312, not >= 0.2",
        "> - claim 3, *its share*: not defined, not >= 0.5",
        "",
        "> Is it?",
    ]
    assert "smoke is too small" in told(dataset, seed, "smoke").cells[0].source


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chapter_can_say_it(name: str) -> None:
    """With nothing measured and nothing claimed no role is left that would show nothing."""
    before = read_chapter(name)
    parameters = {"profile": "quick", "dataset": "own.csv", "seed": 0}
    results = {"parameters": parameters, "claims": [], "figures": []}
    after = with_findings(copy.deepcopy(before), CHAPTERS[name], results)
    texts = [cell.source for cell in after.cells if cell.cell_type == "markdown"]
    assert texts[0].startswith(f"# {CHAPTERS[name].title}\n\n> **This text was written for")
    assert not any("{glue:text}" in text for text in texts)
    assert len(after.cells) == len(before.cells)


def test_a_run_leaves_it(tiny: Tiny, tmp_path: Path) -> None:
    tiny.write("\nIt gains ({glue:text}`claim-gains`).\n")
    sources = {}
    for seed in "1", "2":
        run = run_chapter(tiny.name, {"seed": seed}, tmp_path / seed)
        cells = nbformat.read(run.notebook, as_version=4).cells
        sources[seed] = "\n".join(c.source for c in cells if c.cell_type == "markdown")
    assert sources["1"] == "# Tiny\nIt gains ({glue:text}`claim-gains`)."
    assert "It gains (**a claim that was not checked here**)." in sources["2"]
    assert "Of its 0 claims 0 hold in this run." in sources["2"]
