"""More reports from few: the attacker asks about recombinations of his own.

A service embeds any text. So an attacker with a few hundred reports takes sentences of one into
another, and puts other names and numbers where names and numbers stand, and asks about these too.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from medpriv.runtime.seeds import rng

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
# A word; a number with its date or decimal marks, as the decoder's vocabulary has it; the rest.
_PART = re.compile(r"[^\W\d_]+|\d+(?:[.,/-]\d+)*|(?:(?![^\W\d_]|\d).)+", re.DOTALL)
_RARE = 0.01  # a capitalised word in fewer of the texts is taken for a name
_TAKEN = 0.5  # chance that a sentence comes from another report
_RENAMED = 0.7
_RENUMBERED = 0.5


def varied_reports(texts: Sequence[str], number: int, *, seed: int = 0) -> tuple[str, ...]:
    """Recombinations of reports: sentences of others in about the same place, other names, numbers.

    Args:
        texts: the attacker's own reports.
        number: how many to make.
        seed: decides them; the first ones do not depend on ``number``.

    Returns:
        ``number`` texts. They need make no sense as reports of one patient.

    Raises:
        ValueError: there is no text to vary, or the number is negative.
    """
    if number < 0 or (number and not len(texts)):
        raise ValueError(f"expected texts and a number from 0 on, got {len(texts)} and {number}")
    draw = rng(seed, "varied reports")
    sentences = [sentences_of(text) for text in texts]
    names, numbers = _exchangeable(texts)
    return tuple(
        _renamed(_recombined(sentences, draw), names, numbers, draw) for _ in range(number)
    )


def sentences_of(text: str) -> list[str]:
    """The sentences of a text; a text without a full stop is one."""
    return _SENTENCE_END.split(text.strip())


def _recombined(sentences: list[list[str]], draw: np.random.Generator) -> str:
    base = sentences[draw.integers(len(sentences))]
    made = []
    for place, sentence in enumerate(base):
        if draw.random() < _TAKEN:
            other = sentences[draw.integers(len(sentences))]
            there = int((place + draw.random()) / len(base) * len(other))
            sentence = other[min(there, len(other) - 1)]
        made.append(sentence)
    return " ".join(made)


def _exchangeable(texts: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Words that look like names, and numbers by how they are written."""
    # In the order of the texts: a set would give another order in each process.
    counts = Counter(part for text in texts for part in dict.fromkeys(_PART.findall(text)))
    names = [
        word
        for word, count in counts.items()
        if word.istitle()
        and len(word) > 2
        and count <= max(1, _RARE * len(texts))
        and word.lower() not in counts
    ]
    numbers: dict[str, list[str]] = defaultdict(list)
    for part in counts:
        if part[0].isdigit():
            numbers[_kind(part)].append(part)
    return names, numbers


def _kind(number: str) -> str:
    """How a number is written: 12/03/2015 as 00/00/0000."""
    return re.sub(r"\d", "0", number)


def _renamed(
    text: str, names: list[str], numbers: dict[str, list[str]], draw: np.random.Generator
) -> str:
    known, parts = set(names), []
    for part in _PART.findall(text):
        if part in known and draw.random() < _RENAMED:
            part = names[draw.integers(len(names))]
        elif part[0].isdigit() and draw.random() < _RENUMBERED:
            alike = numbers[_kind(part)]
            part = alike[draw.integers(len(alike))]
        parts.append(part)
    return "".join(parts)
