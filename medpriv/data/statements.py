"""What a report states about its patient: diagnoses, the finding, name and age, read from the text.

The same reader is applied to a report and to its reconstruction, so that what was recovered can be
counted fact by fact. On the embedded reports it agrees with what they were written from, and a
test holds it to that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from medpriv.data.cohort import Cohort
from medpriv.data.sources.report_patients import AGE_RANGE, FACTS, FAMILY_NAMES, TABLES
from medpriv.runtime.resources import json_resource

Statement = tuple[str, str]


@dataclass(frozen=True)
class Slot:
    """A place in a report where one of some words stands.

    Attributes:
        kind: what it holds, such as ``"name"``.
        words: the candidates, as they are written.
        place: finds the word; in each match exactly one group takes part, the word itself.
    """

    kind: str
    words: tuple[str, ...]
    place: re.Pattern[str]

    def word(self, text: str) -> str | None:
        """What stands in the first such place of a text, or nothing."""
        found = self.place.search(text)
        return found[found.lastindex or 0] if found else None

    def count(self, text: str) -> int:
        """How many such places a text has."""
        return sum(1 for _ in self.place.finditer(text))

    def filled(self, text: str, word: str) -> str:
        """The text with a word in every such place; one that has none stays as it is."""
        parts, end = [], 0
        for found in self.place.finditer(text):
            start, stop = found.span(found.lastindex or 0)
            parts += [text[end:start], word]
            end = stop
        return "".join([*parts, text[end:]])


def _compiled(patterns: Mapping[str, list[str]]) -> dict[str, re.Pattern[str]]:
    return {name: re.compile("|".join(any_of), re.IGNORECASE) for name, any_of in patterns.items()}


def _read_as(table: Mapping[str, dict]) -> dict[str, re.Pattern[str]]:
    """How each entry of the embedded reports' tables is read, in their order."""
    return _compiled({name: row["read"] for name, row in table.items() if "read" in row})


_DIAGNOSES: Final = _read_as(TABLES["facts"])
_FINDINGS: Final = _read_as(TABLES["findings"])
# Open-i: what its indexers name most often, in the words of its reports.
_NAMED: Final = _compiled(json_resource(__file__, "sources/openi_findings.json"))

# A clause ends at a full stop that is no decimal point and follows no title, or at a semicolon.
_CLAUSE: Final = re.compile(r"(?<!\bMs)(?<!\bMr)\.(?!\d)|;")
_LABEL: Final = re.compile(r"^(?:[A-Z][A-Za-z]+(?: [a-z]+)*|[A-Z]+): ")
_DENIED: Final = re.compile(
    r"\b(?:no|not|never|without|denies|negative|nonsmoker|non-smoker)\b", re.IGNORECASE
)
_DENIED_AFTER: Final = re.compile(r"\bnegative\b|\bnot\b", re.IGNORECASE)
# Said of what was there once, or of what is only asked.
_GONE: Final = re.compile(
    r"no longer|\b(?:resolved|cleared|disappeared|resolution|clearing)\b"
    r"|\b(?:improvement|recovery) after\b",
    re.IGNORECASE,
)
_ASKED: Final = re.compile(r"\b(?:evaluate for|rule out|query|assess for)\b", re.IGNORECASE)

_AGE: Final = re.compile(
    r"\b(\d{1,3})(?:-year-old| years\b)|\baged (\d{1,3})\b|[(,] ?(\d{1,3}), (?:fe)?male\b"
)
_AGES: Final = tuple(str(age) for age in range(AGE_RANGE[0], AGE_RANGE[1] + 1))
_NAME_SLOT: Final = Slot(
    "name", FAMILY_NAMES, re.compile(rf"(?<![^\W\d_])({'|'.join(FAMILY_NAMES)})(?![^\W\d_])")
)
_AGE_SLOT: Final = Slot("age", _AGES, _AGE)
_REAL_CLAUSE: Final = re.compile(r"\.(?!\d)|;|\bbut\b|\bhowever\b")
_REAL_DENIED: Final = re.compile(
    r"\b(?:no|not|without|negative for|free of|absent|clear of|resolved|resolution of)\b"
)


def report_statements(cohort: Cohort, texts: Sequence[str]) -> list[frozenset[Statement]]:
    """What each text states, by the reader that belongs to a cohort.

    Args:
        cohort: of reports; Open-i has the reader of ``named_findings``, all others that of
            ``stated_facts``.
        texts: reports of the cohort, or guesses at them.
    """
    read = named_findings if "Problems" in cohort.auxiliary.attributes else stated_facts
    return [read(text) for text in texts]


def report_slots(texts: Sequence[str]) -> tuple[Slot, ...]:
    """Family name and age, as the embedded reports write them, where one of these texts has it.

    In Open-i nobody has: names and ages are removed there. The candidates are what anybody can
    look up: a telephone book, and the ages of adults.
    """
    slots = (_NAME_SLOT, _AGE_SLOT)
    return tuple(slot for slot in slots if any(slot.word(text) in slot.words for text in texts))


def stated_facts(text: str) -> frozenset[Statement]:
    """What a report in the manner of the embedded ones states of its patient.

    Args:
        text: the report. It may be garbled or empty: what cannot be read is not stated.

    Returns:
        Pairs of a kind and a value: ``("diagnosis", "hiv")`` for each fact that is stated and not
        denied, ``("finding", "effusion")`` where the conclusion has one, ``("name", "okafor")``,
        the family name in lower case, and ``("age", "48")``.
    """
    clauses = [_LABEL.sub("", clause.strip()) for clause in _CLAUSE.split(text)]
    said = [_asserted(clause) for clause in clauses]
    diagnoses = {fact for fact in FACTS if any(_DIAGNOSES[fact].search(clause) for clause in said)}
    found = [finding for clause in clauses if (finding := _finding(clause))]
    name, age = _NAME_SLOT.word(text), _AGE_SLOT.word(text)
    return frozenset(
        [("diagnosis", fact) for fact in diagnoses]
        + [("finding", finding) for finding in found[-1:]]
        + ([("name", name.lower())] if name else [])
        + ([("age", age)] if age else [])
    )


def named_findings(text: str) -> frozenset[Statement]:
    """The findings that a report of a chest film names without denying them.

    A word such as *no* or *without* denies everything after it in its clause (Chapman et al.
    2001, J. Biomed. Inform. 34:301, in its simplest form).

    Returns:
        Pairs ``("finding", name)``.
    """
    clauses = [_REAL_DENIED.split(clause)[0] for clause in _REAL_CLAUSE.split(text.lower())]
    return frozenset(
        ("finding", name)
        for name, pattern in _NAMED.items()
        if any(pattern.search(clause) for clause in clauses)
    )


def _asserted(clause: str) -> str:
    """A clause without what it denies: all after a word such as *no*; all, if it ends so."""
    if _DENIED_AFTER.search(clause):
        return ""
    return _DENIED.split(clause)[0]


def _finding(clause: str) -> str | None:
    if _GONE.search(clause) or _ASKED.search(clause):
        return None
    said = _DENIED.split(clause)[0]
    fitting = (name for name, pattern in _FINDINGS.items() if pattern.search(said))
    return next(fitting, None)
