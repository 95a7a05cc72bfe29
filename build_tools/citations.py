"""Citations and references in plain Markdown, from the book's BibTeX file."""

from __future__ import annotations

from pathlib import Path

from pybtex.backends.markdown import Backend
from pybtex.database import BibliographyData, Entry, Person, parse_file
from pybtex.richtext import Text
from pybtex.style.formatting.plain import Style

ALL_NAMED = 2  # more authors than this are "et al."


class Bibliography:
    """What ``references.bib`` holds."""

    def __init__(self, path: Path) -> None:
        self._data: BibliographyData = parse_file(path)

    def short(self, key: str, *, in_text: bool) -> str:
        """A citation that leads to the work: ``Name et al. (2020)``, or with a comma in brackets.

        Raises:
            KeyError: there is no such work.
        """
        entry = self._data.entries[key]
        year = entry.fields["year"]
        shown = f"{_names(entry)} ({year})" if in_text else f"{_names(entry)}, {year}"
        address = _address(entry)
        return f"[{shown}]({address})" if address else shown

    def entry(self, key: str) -> str:
        """A work in full, on one line of Markdown; raises ``KeyError`` as :meth:`short`."""
        # A database of its own, since the style would sort and label all works for each.
        one = BibliographyData({key: self._data.entries[key]})
        formatted = next(iter(Style().format_bibliography(one)))
        return " ".join(formatted.text.render(Backend()).split())


def _names(entry: Entry) -> str:
    last = [_last_name(person) for person in entry.persons["author"]]
    if len(last) > ALL_NAMED:
        return f"{last[0]} et al."
    return " and ".join(last)


def _last_name(person: Person) -> str:
    parts = (*person.rich_prelast_names, *person.rich_last_names)
    return Text(" ").join(parts).render_as("text")


def _address(entry: Entry) -> str:
    if "doi" in entry.fields:
        return f"https://doi.org/{entry.fields['doi']}"
    return entry.fields.get("url", "")
