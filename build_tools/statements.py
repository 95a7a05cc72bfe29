"""Sentences of the chapters that state a result with nothing behind them.

A reader believes a sentence as she believes a table. So a sentence that states a result, by a
number, a share, an effect or a comparison, holds a glued figure or a citation, or its paragraph
names a claim (``{glue:text}`claim-…```), which fails when the sentence is false. Each line of a
summary names its claim.

Words are read here, not meanings. A sentence that is not listed may still be wrong, and one that
is listed may state no result: then it is noted in ``no_results/``, as it stands, with the reason.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from build_tools.chapter_text import read_chapter
from build_tools.myst import PROOFS, Directive, Text, blocks
from medpriv.course.catalog import ChapterError, spec

NOTED = Path(__file__).with_name("no_results")
#: Why a sentence that reads like a result states none.
REASONS = {
    "setting": "what is about to be done, or was chosen: a size, a strength, a time",
    "story": "what happens to the patient who carries the chapter",
    "meaning": "what a word or a symbol means, or how a method works",
    "logic": "what follows by itself, without any data",
    "advice": "what to do, or what to ask",
}
SUMMARY = "Summary"
# What a chapter will do, what others wrote, and the claims themselves.
_UNREAD = ("Setting up", "What this chapter claims", "Read on")
_UNREAD_CLASSES = {"tip", "threat-model"}

_CLAIM = re.compile(r"\{glue:text\}`claim-[^`]+`")
_BACKED = re.compile(r"\{glue:text\}`|\{cite:[pt]\}`")
_PARAGRAPH = re.compile(r"\n\s*\n")
_ITEM = re.compile(r"^(?:\d+\.|[-*:]|\|) ", re.M)
_SENTENCE = re.compile(r"(?<=[.!?:])[\"”)*]*\s+(?=[\"“(*{]*[A-Z{$`])")
# Code, mathematics, addresses and what a role shows: numbers and words there state nothing.
_SILENT = re.compile(r"\$[^$]+\$|\{[\w:.+-]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)")
_STATES = re.compile(
    # A number that somebody has measured;
    r"\d+\.\d+|\d+ ?%|\b\d+ (?:of|in) (?:the )?\d+\b|\bper ?cent\b"
    # a share;
    r"|\b(?:half|halved|(?:one|a|two) (?:third|quarter|fifth|tenth)s? of|two thirds|twice"
    r"|double[sd]?|tenfold|times as|most of|(?:take|keep|lose)s? most|nearly|almost|hardly|barely"
    r"|mostly|next to nothing)\b"
    # an effect;
    r"|\b(?:beats?|beaten|helps?|helped|falls?|fell|rises?|rose|gains?|gained|loses?|lost"
    r"|regains?|regained|takes? (?:\w+ ){0,3}(?:from|away|off)|took|leaks|leaked|betrays?|betrayed"
    r"|gives? (?:\w+ )?away|gave|drops?|dropped|grows?|grew|costs? (?:little|much|more|less|nothing"
    r"|use|utility|some)|improves?|improved|protects?|protected|survives?|survived|fails?|failed"
    r"|succeeds?|succeeded|reveals?|revealed|recovers?|recovered|brings? back"
    r"|finds? (?:nothing|more|less|all))\b"
    # or a comparison.
    r"|\b(?:more|less|fewer|better|worse|higher|lower|larger|smaller|stronger|weaker|harder|easier"
    r"|further|nearer|closer|sharper|wider|narrower) than\b|\bas (?:\w+ ){1,2}as\b"
    r"|\b(?:do|does|did|is|are|was|were) (?:\w+ )?(?:better|worse|best|worst|more|less)\b",
    re.I,
)


@dataclass(frozen=True)
class Statement:
    """A sentence of a chapter, the section it stands in, and what is wrong with it."""

    chapter: str
    section: str
    sentence: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.chapter} [{self.section}] {self.wanted}: {self.sentence}"


def uncovered(name: str) -> list[Statement]:
    """The sentences of a chapter that state a result with nothing behind them, in order.

    Raises:
        ChapterError: the chapter is unknown, or its file is not there; or a note gives no known
            reason, or its sentence is not listed any more.
    """
    listed = list(_listed(name))
    noted = _noted(name)
    gone = noted - {one.sentence for one in listed}
    if gone:
        raise ChapterError(
            f"{_notes(name).name} notes what {name} does not say any more, or what is covered; "
            f"take it out: {sorted(gone)}"
        )
    return [one for one in listed if one.sentence not in noted]


def _listed(name: str) -> Iterator[Statement]:
    for section, paragraph in _paragraphs(name):
        for item in filter(None, map(str.strip, _ITEM.split(paragraph))):
            if _CLAIM.search(item):
                continue
            if section == SUMMARY and re.match(r"\d+\. ", paragraph):
                yield Statement(name, section, _one_line(item), "names no claim")
                continue
            for sentence in _SENTENCE.split(item):
                if not _BACKED.search(sentence) and _STATES.search(_SILENT.sub(" ", sentence)):
                    yield Statement(name, section, _one_line(sentence), "nothing behind")


def _paragraphs(name: str) -> Iterator[tuple[str, str]]:
    """Section and text of each paragraph, list or table that a reader takes for the book's word."""
    section, exercise = "", False
    for cell in read_chapter(name).cells:
        for block in blocks(cell.source) if cell.cell_type == "markdown" else ():
            if isinstance(block, Directive):
                exercise = {"exercise-start": True, "exercise-end": False}.get(block.name, exercise)
            if exercise:
                continue
            for paragraph in map(str.strip, _PARAGRAPH.split(_read(block))):
                if paragraph.startswith("#"):
                    section = paragraph.strip("# ")
                elif section not in _UNREAD and not paragraph.startswith(">"):
                    yield section, paragraph


def _read(block: object) -> str:
    if isinstance(block, Text):
        return block.text
    if not isinstance(block, Directive) or block.name.startswith(PROOFS):
        return ""
    hint = block.argument.endswith(" hint")
    unread = hint or _UNREAD_CLASSES & set(block.options.get("class", "").split())
    return "" if unread else block.body


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _notes(name: str) -> Path:
    return NOTED / f"{spec(name).name}.csv"


def _noted(name: str) -> set[str]:
    if not _notes(name).exists():
        return set()
    with _notes(name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["reason"] not in REASONS:
            raise ChapterError(
                f"{_notes(name).name}: expected a reason of {', '.join(REASONS)}, "
                f"got {row['reason']!r}"
            )
    return {row["sentence"] for row in rows}


def list_statements(names: Iterable[str]) -> bool:
    """Print what is uncovered in chapters; return whether nothing is."""
    found = [one for name in names for one in uncovered(name)]
    for one in found:
        print(one)
    if found:
        reasons = "\n".join(f"  {reason}: {what}" for reason, what in REASONS.items())
        print(
            f"{len(found)} sentence(s). Each gets a glued figure, a citation or a named claim, or "
            "goes. One that states no\nresult gets a line `reason,sentence` in "
            f"build_tools/{NOTED.name}/CHAPTER.csv, the sentence as printed above:\n{reasons}"
        )
    return not found
