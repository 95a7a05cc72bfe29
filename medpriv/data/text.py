"""When two texts count as the same report.

A report that also stands, word for word, among the attacker's texts is not reconstructed but
looked up. Every split of texts therefore goes through one normal form first.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from medpriv.data.cohort import Part

_NOT_LETTER_OR_DIGIT = re.compile("[^a-z0-9]+")


def normalise_text(text: str) -> str:
    """The form under which two texts count as duplicates.

    Unicode NFKC and case folding, then everything that is neither letter, mark nor digit becomes
    one space. Digits stay: two reports that differ in a measurement are two reports. Applying it
    twice changes nothing.

    Raises:
        ValueError: ``text`` is no string.
    """
    if not isinstance(text, str):
        raise ValueError(
            f"expected a text (str), got one of type {type(text).__name__}; "
            "drop missing texts or replace them by the empty string first."
        )
    folded = _fold(text)
    # Folding can compose new characters out of folded ones, so go on until it settles.
    while folded != (again := _fold(folded)):
        folded = again
    return folded


def drop_duplicate_texts(texts: Iterable[str], *, keep_first: bool = True) -> np.ndarray:
    """Positions of the texts that remain once duplicates, by :func:`normalise_text`, are dropped.

    Args:
        texts: n strings.
        keep_first: ``True`` keeps the first text of each group of equal ones. ``False`` keeps none
            of a group, only texts that occur once: what is left then has no twin in the original
            collection either.

    Returns:
        The positions as int64, ascending.

    Raises:
        ValueError: a text is no string; the message names its position.
    """
    forms = []
    for position, text in enumerate(texts):
        try:
            forms.append(normalise_text(text))
        except ValueError as error:
            raise ValueError(f"text {position}: {error}") from error
    repeats = pd.Series(forms, dtype=object).duplicated(keep="first" if keep_first else False)
    return np.flatnonzero(~repeats)


def first_words(part: Part, words: int | None) -> Part:
    """A part whose reports are cut to their first so many words; whole where that is ``None``."""
    if words is None:
        return part
    return replace(part, x=tuple(" ".join(text.split()[:words]) for text in part.x))


def unseen_reports(victims: Part, own: Part) -> Part:
    """The victims whose report, by its normal form, is none of the attacker's.

    Args:
        victims: whom he attacks.
        own: the attacker's part.
    """
    known = {normalise_text(text) for text in own.x}
    new = [row for row, text in enumerate(victims.x) if normalise_text(text) not in known]
    return victims.take(new)


def _fold(text: str) -> str:
    if text.isascii():  # the same, ten times faster
        return " ".join(_NOT_LETTER_OR_DIGIT.sub(" ", text.lower()).split())
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join("".join(kept).split())
