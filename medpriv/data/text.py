"""When two texts count as the same report.

A report that also stands, word for word, among the attacker's texts is not reconstructed but
looked up. Every split of texts therefore goes through one normal form first.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np

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
            f"expected a text (str), got {text!r} ({type(text).__name__}); "
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
    if keep_first:
        first = {form: position for position, form in reversed(list(enumerate(forms)))}
        return np.array(sorted(first.values()), dtype=np.int64)
    count = Counter(forms)
    return np.array([i for i, form in enumerate(forms) if count[form] == 1], dtype=np.int64)


def _fold(text: str) -> str:
    if text.isascii():  # the same, ten times faster
        return " ".join(_NOT_LETTER_OR_DIGIT.sub(" ", text.lower()).split())
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return " ".join("".join(kept).split())
