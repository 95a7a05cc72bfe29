"""MyST taken apart: what is a directive, what is code, and what is text.

A fence may stand inside another one, so regular expressions over a whole page would not do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
