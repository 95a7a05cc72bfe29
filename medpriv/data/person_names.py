"""Which words of texts are somebody's name: where nobody has said so, by how they are written.

A guess that errs towards names: an ordinary word that is taken for one is a word less to choose
from, a doctor's name that is taken for an ordinary word would be shown on a page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from medpriv.data.text import normalise_text

# In capitals a title needs its full stop and a name in capitals: MR and DR are ways to look inside
# a body. Without any, "mr" and "ms" are those or milliseconds, so only the others count.
_TITLE: Final = re.compile(
    r"\b(?:(?:Dr|Mr|Mrs|Ms|Miss|Prof|Professor|Doctor|Herr|Frau|Mme)\b\.?|(?:dr|prof)\b\.?"
    r"|(?:mr|mrs|ms)\.(?=\s+[a-z])|(?:DR|MR|MRS|MS|PROF)\.(?=\s+[A-Z]{2}))"
)
# What stands behind a title: initials and particles, the first word, and capitalised ones after it.
_CALLED: Final = re.compile(
    r"\s*((?:[A-Z]\.\s*)*(?:(?:van|von|de|der|den|di|la|el|al)\s+)*[^\W\d_][\w'’-]*"
    r"(?:\s+(?:[A-Z]\.\s*)*(?:(?:van|von|de|der|den|di)\s+)*[A-Z][^\W\d_][\w'’-]*){0,3})"
)
_DEGREE: Final = re.compile(r"([A-Z][\w'’-]+),?\s+(?:MD|M\.D\.|PhD|FRCR)(?!\w)")
_WORD: Final = re.compile(r"[^\W\d_]+")
# A word that begins no sentence, line or heading: a word, a comma or an initial stands before it.
_INSIDE: Final = re.compile(r"(?:(?<=[\w,)][ \t])|(?<=\b[A-Z]\.[ \t]))[^\W\d_]+")
# Diseases and signs that are called after somebody are no names of people in these texts.
_EPONYM: Final = re.compile(
    r"([^\W\d_]+)(?:['’]s)?\s+(?:disease|syndrome|lymphoma|sign|score|test|stage|lines?|catheter)\b"
)
_CAPITALS: Final = 0.75  # of a name's occurrences inside sentences, at least
_INSIDE_OFTEN: Final = 0.25  # of a name's occurrences: a word that begins sentences is none
_NOUNS: Final = 0.25  # of the words inside sentences, at most: else capitals say nothing


def words_of_names(texts: Sequence[str]) -> frozenset[str]:
    """The words, in normal form, that these texts use as somebody's name or as a title.

    These are titles; what follows one anywhere in the texts ("Dr. J. van Houten", "Ms Osei"), or
    stands before a degree ("Osei, MD"); and words of two letters or more that are written as a
    name is, one capital and then small letters, in at least three quarters of their occurrences
    inside a sentence, where at least a quarter of all are. The last rule spares what
    a disease or sign is called after in half of these or more ("Crohn's disease"). It is not used
    where over a quarter of the different words inside sentences are written so, as in German; and
    in texts without small letters it finds nothing.
    """
    found = [called[1] for text in texts for called in _called(text)]
    titles = [title[0] for text in texts for title in _TITLE.finditer(text)]
    named = {word for name in (*found, *titles) for word in normalise_text(name).split()}
    return frozenset(named | _capitalised(texts))


def _called(text: str) -> list[re.Match[str]]:
    behind = (_CALLED.match(text, title.end()) for title in _TITLE.finditer(text))
    return [called for called in (*behind, *_DEGREE.finditer(text)) if called]


def _capitalised(texts: Sequence[str]) -> set[str]:
    everywhere, inside = Counter[str](), Counter[str]()
    capitals, eponyms = Counter[str](), Counter[str]()
    for text in texts:
        words = _INSIDE.findall(text)
        everywhere.update(word.lower() for word in _WORD.findall(text))
        inside.update(word.lower() for word in words)
        capitals.update(word.lower() for word in words if len(word) > 1 and word.istitle())
        eponyms.update(match[1].lower() for match in _EPONYM.finditer(text))
    found = {
        word
        for word, count in capitals.items()
        if count >= max(_CAPITALS * inside[word], _INSIDE_OFTEN * everywhere[word])
    }
    if len(found) > _NOUNS * len(inside):
        return set()
    named = (word for word in found if eponyms[word] < capitals[word] / 2)
    return {part for word in named for part in normalise_text(word).split()}
