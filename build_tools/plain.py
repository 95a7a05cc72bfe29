"""MyST as plain Markdown: what directives and roles say, where nothing understands them.

Colab, JupyterLab and GitHub show Markdown, with mathematics and a little HTML. A directive becomes
a quotation, a heading or a fold, a role becomes its text with a link, and whatever this module
does not know is an error, so that no markup reaches a reader.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from build_tools.citations import Bibliography
from build_tools.myst import (
    LABELLED_MATH,
    PROOFS,
    Directive,
    Text,
    Verbatim,
    blocks,
    in_words,
    kind_of,
)

ADMONITIONS = ("admonition", "attention", "caution", "danger", "error", "hint", "important",
               "note", "seealso", "tip", "warning")  # fmt: skip

# A role; code, in which nothing is a role or a link; or where a link inside the book leads.
_INLINE = re.compile(
    r"\{(?P<name>[a-z][\w:.+-]*)\}(?P<ticks>`+)(?P<content>(?:(?!\n\n).)+?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<code>`+)(?:(?!\n\n).)+?(?<!`)(?P=code)(?!`)"
    r"|(?<=\]\()(?P<page>[\w./-]*)(?P<anchor>(?:#[\w.-]+)?)(?=\))",
    re.DOTALL,
)
_TITLED = re.compile(r"^(?P<title>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
_MATH = re.compile(r"\$\$(?:(?!\$\$).)+\$\$", re.DOTALL)
_DEFINITION = re.compile(r"^(?P<term>[^\s:|>#].*)\n: +", re.M)
# Comments, targets, breaks between cells, and classes for the block that follows.
_INVISIBLE = re.compile(r"^(?:%.*|\([\w-]+\)=|\+\+\+.*|\{[.#][^}]*\})\n?", re.M)


class MarkupError(ValueError):
    """Markup that has no plain form yet."""


@dataclass(frozen=True)
class Piece:
    """Markdown that makes one cell.

    Attributes:
        text: the Markdown; empty only where ``closed``.
        folded: a heading whose section is folded away until the reader asks for it.
        closed: such a section ends behind this piece.
    """

    text: str
    folded: bool = False
    closed: bool = False


@dataclass
class Surroundings:
    """What a page's markup may speak of.

    Attributes:
        site: the address of the published book, without a slash at its end.
        page: the page's name, such as ``06-model-inversion``.
        bibliography: what can be cited.
        numbers: label → what the book calls it, such as ``Fig. 3``.
        counts: how many of each kind are numbered before the place reached so far.
        value: name of a figure → how the text shows it.
        cited: keys cited so far, in order; a list of references takes them from here.
    """

    site: str
    page: str
    bibliography: Bibliography
    numbers: Mapping[str, str]
    counts: Counter[str]
    value: Callable[[str], str]
    cited: list[str] = field(default_factory=list)


# --- Directives -----------------------------------------------------------------------------------


def pieces(text: str, around: Surroundings) -> list[Piece]:
    """A Markdown cell of a chapter as the plain cells that say the same.

    Raises:
        MarkupError: a directive or role has no plain form, or what it names does not exist.
    """
    done: list[Piece] = []
    rest: list[str] = []

    def flush(*, closed: bool = False) -> None:
        joined = "\n\n".join(part for part in rest if part)
        rest.clear()
        if joined or closed:
            done.append(Piece(joined, closed=closed))

    for block in blocks(text):
        name = block.name if isinstance(block, Directive) else ""
        if name == "solution-start":
            flush()
            done.append(Piece("#### Solution (a spoiler: unfold it when you have tried)", True))
        elif name == "solution-end":
            flush(closed=True)
        else:
            rest.append(_plain(block, around))
    flush()
    return done


def plain(text: str, around: Surroundings) -> str:
    """Text in MyST as plain Markdown, in one piece; raises as :func:`pieces`."""
    return "\n\n".join(part for block in blocks(text) if (part := _plain(block, around)))


def _plain(block: Directive | Verbatim | Text, around: Surroundings) -> str:
    if isinstance(block, Verbatim):
        return block.text
    if isinstance(block, Text):
        return _prose(block.text, around)
    if block.name in ADMONITIONS:
        return _admonition(block, around)
    if block.name.startswith(PROOFS):
        return _proof(block, around)
    if block.name not in _DIRECTIVES:
        raise MarkupError(f"the directive {{{block.name}}} has no form outside the book yet")
    return _DIRECTIVES[block.name](block, around)


def _admonition(block: Directive, around: Surroundings) -> str:
    if "dropdown" in block.options.get("class", "").split():
        return _fold(block, around)
    title = block.argument if block.name == "admonition" else block.name.capitalize()
    body = block.body if block.name == "admonition" else f"{block.argument}\n{block.body}"
    return _quote(f"**{inline(title, around)}**", plain(body.strip("\n"), around))


def _fold(block: Directive, around: Surroundings) -> str:
    title = re.sub(r"`(.+?)`", r"<code>\1</code>", html.escape(block.argument, quote=False))
    body = plain(block.body, around)
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _proof(block: Directive, around: Surroundings) -> str:
    kind = block.name.removeprefix(PROOFS)
    name = in_words(kind, _count(kind, around)) if kind_of(block) else kind.capitalize()
    title = f" ({inline(block.argument, around)})" if block.argument else ""
    return _quote(f"**{name}**{title}.", plain(block.body, around))


def _exercise(block: Directive, around: Surroundings) -> str:
    name = in_words("exercise", _count("exercise", around)) if kind_of(block) else "Exercise"
    title = f": {inline(block.argument, around)}" if block.argument else ""
    body = plain(block.body, around)
    return f"### {name}{title}" + (f"\n\n{body}" if body else "")


def _math(block: Directive, around: Surroundings) -> str:
    tag = rf" \tag{{{_count('equation', around)}}}" if "label" in block.options else ""
    return f"$$\n{block.body}{tag}\n$$"


def _table(block: Directive, around: Surroundings) -> str:
    name = f"**{in_words('table', _count('table', around))}.** " if block.argument else ""
    return f"{name}{inline(block.argument, around)}\n\n{plain(block.body, around)}".strip()


def _references(block: Directive, around: Surroundings) -> str:
    cited = dict.fromkeys(around.cited)
    entries = sorted(around.bibliography.entry(key) for key in cited)
    return "**References**\n\n" + "\n".join(f"- {entry}" for entry in entries)


_DIRECTIVES: dict[str, Callable[[Directive, Surroundings], str]] = {
    "bibliography": _references,
    "dropdown": _fold,
    "exercise-end": lambda block, around: "",
    "exercise-start": _exercise,
    "math": _math,
    "table": _table,
}


def _count(kind: str, around: Surroundings) -> int:
    around.counts[kind] += 1
    return around.counts[kind]


def _quote(*parts: str) -> str:
    """Paragraphs as a quotation."""
    text = "\n\n".join(part for part in parts if part)
    # On several lines, mathematics would take the marks of the quotation for its own.
    text = _MATH.sub(lambda found: " ".join(found[0].split()), text)
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


# --- Text -----------------------------------------------------------------------------------------


def _prose(text: str, around: Surroundings) -> str:
    text = _INVISIBLE.sub("", text)
    text = LABELLED_MATH.sub(
        lambda found: f"$${found['math'].rstrip()} \\tag{{{_count('equation', around)}}}\n$$", text
    )
    text = _DEFINITION.sub(r"- **\g<term>**: ", text)
    return inline(text, around).strip("\n")


def inline(text: str, around: Surroundings) -> str:
    """Text without blocks: its roles become text and links, its links lead to the book."""

    def replace(found: re.Match[str]) -> str:
        if found["code"]:
            return found[0]
        if found["name"]:
            return _role(found["name"], found["content"], around)
        return _address(found["page"], found["anchor"], around)

    return _INLINE.sub(replace, text)


def _address(page: str, anchor: str, around: Surroundings) -> str:
    """Where a link inside ``chapters/`` leads from outside the book."""
    if re.search(r"\.(gif|jpe?g|png|svg)$", page):
        return f"{around.site}/_images/{page.rpartition('/')[2]}"
    name = re.sub(r"\.(md|ipynb)$", "", page) or around.page
    return f"{around.site}/chapters/{name}.html{anchor}"


def _role(name: str, content: str, around: Surroundings) -> str:
    if name not in _ROLES:
        raise MarkupError(f"the role {{{name}}} has no form outside the book yet")
    return _ROLES[name](" ".join(content.split()), around)


def _split(content: str) -> tuple[str, str]:
    """Title (empty if there is none) and target of a role's content."""
    titled = _TITLED.match(content)
    return (titled["title"], titled["target"]) if titled else ("", content)


def _term(content: str, around: Surroundings) -> str:
    title, term = _split(content)
    anchor = re.sub(r"[^A-Za-z0-9]+", "-", term).strip("-")  # as docutils makes it
    return f"[{title or term}]({around.site}/chapters/glossary.html#term-{anchor})"


def _python(content: str, around: Surroundings) -> str:
    title, target = _split(content)
    short = target.rpartition(".")[2] if target.startswith("~") else target
    return f"[`{title or short}`]({around.site}/chapters/api.html#{target.lstrip('~')})"


def _numbered(content: str, around: Surroundings) -> str:
    title, label = _split(content)
    if label not in around.numbers:
        raise MarkupError(f"nothing that is numbered has the label {label!r}")
    number = around.numbers[label]
    bare = number.split()[-1]
    return title.replace("%s", bare).replace("{number}", bare) if title else number


def _cite(content: str, around: Surroundings, *, in_text: bool) -> str:
    keys = [key.strip() for key in content.split(",")]
    around.cited.extend(keys)
    try:
        shown = [around.bibliography.short(key, in_text=in_text) for key in keys]
    except KeyError as unknown:
        raise MarkupError(f"references.bib has no {unknown}") from unknown
    return ", ".join(shown) if in_text else f"({'; '.join(shown)})"


_in_text, _in_brackets = partial(_cite, in_text=True), partial(_cite, in_text=False)
_ROLES: dict[str, Callable[[str, Surroundings], str]] = {
    "cite": _in_brackets,
    "cite:p": _in_brackets,
    "cite:t": _in_text,
    "eq": _numbered,
    "glue:text": lambda content, around: around.value(content),
    "numref": _numbered,
    "prf:ref": _numbered,
    "ref": _numbered,
    "term": _term,
} | dict.fromkeys(("attr", "class", "data", "exc", "func", "meth", "mod"), _python)
