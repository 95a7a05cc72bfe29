"""Notebooks for readers outside the book: what they say, and how they count."""

from __future__ import annotations

import re
from collections import Counter

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat import NotebookNode

from build_tools import cli
from build_tools.book import read_config
from build_tools.chapter_text import read_chapter
from build_tools.execute import execute
from build_tools.myst import Numbers, number_pages
from build_tools.notebooks import measured, plain_notebook
from medpriv.course.catalog import CHAPTERS, ChapterError
from tiny import MEASURES, ROOT, Tiny, code

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


def test_figures_come_from_a_run_of_this_code_only(tiny: Tiny) -> None:
    tiny.write(MEASURES)
    assert measured(tiny.name, tiny.root) is None
    execute(tiny.name, tiny.root)
    assert measured(tiny.name, tiny.root) == {"gain": "0.42"}
    tiny.write(MEASURES.replace("So.", "Well."))
    assert measured(tiny.name, tiny.root) == {"gain": "0.42"}
    tiny.write(MEASURES.replace("0.42", "0.43"))
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
