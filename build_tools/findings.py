"""What an executed chapter says where the book's text no longer fits: with a reader's own data.

The sentences were written for the data and seeds whose claims are promised, and do not change. So
with any others the notebook says so under its title, and a sentence that names a claim which does
not hold says that it does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nbformat import NotebookNode

from medpriv.course.catalog import ChapterSpec
from medpriv.course.record import in_words

_GLUED = re.compile(r"\{glue:text\}`([^`]+)`")
_CLAIM = "claim-"


def with_findings(
    notebook: NotebookNode, chapter: ChapterSpec, results: Mapping[str, Any]
) -> NotebookNode:
    """An executed chapter whose prose takes back what this run does not show.

    Where the chapter's claims are promised it is returned unchanged.

    Args:
        notebook: the executed chapter.
        chapter: its entry in the catalog.
        results: what its run has left as ``results.json``.
    """
    ran = results["parameters"]
    if chapter.promises(ran["dataset"], ran["seed"]):
        return notebook
    claims = results["claims"]
    instead = {
        f"{_CLAIM}{claim['name']}": "" if claim["holds"] else f"**{_failed(number, claim)}**"
        for number, claim in enumerate(claims, 1)
        if claim["name"]
    }
    known = instead | dict.fromkeys(_parts(results["figures"]), "")
    texts = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell in texts:
        cell.source = _GLUED.sub(lambda role: _read(role, known), cell.source)
    title, _, rest = texts[0].source.partition("\n")
    box = "\n".join(f"> {line}".rstrip() for line in _box(chapter, ran, claims))
    texts[0].source = f"{title}\n\n{box}\n{rest}"
    return notebook


def _parts(figures: list[dict[str, Any]]) -> list[str]:
    """The names under which the prose may speak of the figures."""
    ends = ("low", "high", "baseline")
    return [one["name"] for one in figures] + [
        f"{one['name']}-{e}" for one in figures for e in ends
    ]


def _read(role: re.Match[str], known: Mapping[str, str]) -> str:
    if role[1] in known:
        return known[role[1]] or role[0]
    if role[1].startswith(_CLAIM):
        return "**a claim that was not checked here**"
    return "**not measured here**"


def _failed(number: int, claim: Mapping[str, Any]) -> str:
    return f"claim {number}, which does not hold here: {_value(claim)}, not {claim['bound']}"


def _value(claim: Mapping[str, Any]) -> str:
    """A claim's value; what JSON cannot say, NaN and infinities, is null in it."""
    return in_words(float("nan") if claim["value"] is None else claim["value"], ".3g")


def _box(chapter: ChapterSpec, ran: Mapping[str, Any], claims: list[dict[str, Any]]) -> list[str]:
    failed = [(number, one) for number, one in enumerate(claims, 1) if not one["holds"]]
    small = " Profile smoke is too small to prove any." if ran["profile"] == "smoke" else ""
    lines = [
        "**This text was written for other data than this run's, or for other seeds:** for "
        f"{chapter.promised_in_words()}.",
        "",
        f"Of its {len(claims)} claims {len(claims) - len(failed)} hold in this run.{small} Where "
        "the text names one that does not, it says so. What a sentence, a caption or a quiz says "
        "of a result without naming a claim was seen with the book's data, and may be otherwise "
        "with these: believe the figures and tables of this run.",
    ]
    if failed:
        lines += ["", "These do not hold here:", ""]
        lines += [
            f"- claim {number}, *{one['text']}*: {_value(one)}, not {one['bound']}"
            for number, one in failed
        ]
    return lines
