"""How the book counts figures, equations, exercises and definitions.

Sphinx counts them when it writes the pages. Outside the book the text has to call them the same,
so they are counted here, from the text alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_tools.book import toc_pages
from build_tools.chapter_text import read_chapter
from build_tools.myst import LABELLED_MATH, Directive, Text, blocks
from medpriv.course.catalog import CHAPTERS

PROOFS = "prf:"


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
        for kind, label in _on_page(root / f"{page}.md"):
            counts[kind] += 1
            if label:
                labels[label] = in_words(kind, counts[kind])
    return Numbers(labels, before)


def _on_page(page: Path) -> Iterator[tuple[str, str]]:
    if page.stem not in CHAPTERS:
        yield from numbered(page.read_text(encoding="utf-8"))
        return
    for cell in read_chapter(page.stem).cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "caption" in figure:
            yield "figure", figure.get("name", "")
        elif cell.cell_type == "markdown":
            yield from numbered(cell.source)


def numbered(text: str) -> Iterator[tuple[str, str]]:
    """Kind and label of everything in a text that the book numbers, in order.

    The label is empty where there is none.
    """
    for block in blocks(text):
        if isinstance(block, Directive):
            kind = kind_of(block)
            if kind:
                yield kind, block.options.get("label", block.options.get("name", ""))
            yield from numbered(block.body)
        elif isinstance(block, Text):
            for found in LABELLED_MATH.finditer(block.text):
                yield "equation", found["label"]


def kind_of(block: Directive) -> str:
    """What Sphinx counts a directive as, or nothing."""
    if block.name in ("exercise", "exercise-start"):
        return "" if "nonumber" in block.options else "exercise"
    if block.name.startswith(PROOFS):
        return "" if "nonumber" in block.options else block.name.removeprefix(PROOFS)
    if block.name == "math":
        return "equation" if "label" in block.options else ""
    if block.name == "figure":
        return "figure" if block.body else ""
    return "table" if block.name.endswith("table") and block.argument else ""


def in_words(kind: str, number: int) -> str:
    """What the book calls the n-th of a kind: ``Fig. 3``, ``(3)``, ``Exercise 3``."""
    if kind == "equation":
        return f"({number})"
    return f"{'Fig.' if kind == 'figure' else kind.capitalize()} {number}"
