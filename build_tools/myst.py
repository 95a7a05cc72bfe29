"""MyST taken apart: what is a directive, code or text, and what of it the book numbers.

A fence may stand inside another one, so regular expressions over a whole page would not do. Sphinx
counts when it writes the pages; outside the book the text has to call things the same, so they are
counted here, from the text alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from build_tools.book import toc_pages
from build_tools.chapter_text import read_chapter
from medpriv.course.catalog import CHAPTERS

PROOFS = "prf:"

# A fence, its indentation, and what stands behind it; behind ``` no more backticks.
_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,}(?=[^`]*$)|~{3,}|:{3,})(?P<info>.*)$")
_DIRECTIVE = re.compile(r"^\{(?P<name>[\w:.+-]+)\} *(?P<argument>.*)$")
_OPTION = re.compile(r"^:(?P<key>[\w-]+): *(?P<value>.*)$")
LABELLED_MATH = re.compile(
    r"^\$\$(?P<math>(?:(?!\$\$).)+)\$\$ *\((?P<label>[\w:.-]+)\) *$", re.M | re.S
)


@dataclass(frozen=True)
class Directive:
    """One directive: ``:::{admonition} Title`` is called ``admonition``, its argument the title."""

    name: str
    argument: str
    options: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Verbatim:
    """A code block, fences included."""

    text: str


@dataclass(frozen=True)
class Text:
    """Anything else."""

    text: str


def blocks(text: str) -> Iterator[Directive | Verbatim | Text]:
    """Take a text apart at its fences; nested ones stay in their directive's body."""
    lines = text.split("\n")
    plain: list[str] = []
    while lines:
        line = lines.pop(0)
        fence = _FENCE.match(line)
        if fence is None:
            plain.append(line)
            continue
        if plain:
            yield Text("\n".join(plain))
            plain = []
        inside = _inside(lines, fence["indent"], fence["marks"])
        named = _DIRECTIVE.match(fence["info"].strip())
        if named is None:
            yield Verbatim("\n".join([line, *inside, fence["indent"] + fence["marks"]]))
        else:
            options, body = _options([row.removeprefix(fence["indent"]) for row in inside])
            yield Directive(named["name"], named["argument"].strip(), options, body)
    if plain:
        yield Text("\n".join(plain))


def _inside(lines: list[str], indent: str, marks: str) -> list[str]:
    """Take the lines up to the closing fence off ``lines``, and the fence with them."""
    closing = re.compile(rf"^ *{re.escape(marks)}{re.escape(marks[0])}* *$")
    inside: list[str] = []
    while lines:
        line = lines.pop(0)
        if closing.match(line):
            break
        inside.append(line)
    return inside


def _options(lines: list[str]) -> tuple[dict[str, str], str]:
    options = {}
    while lines and (found := _OPTION.match(lines[0])):
        options[found["key"]] = found["value"]
        lines = lines[1:]
    return options, "\n".join(lines).strip("\n")


# --- Numbers --------------------------------------------------------------------------------------


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
