"""The exercises of chapter 02-patient-data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from medpriv.course.exercises.base import call, number

# Made up for the check: C is in three parts, E in two that follow each other, I in the first and
# the last, and B twice in one part only.
_PARTS = {
    "members": np.array(["A", "B", "B", "C", "I"]),
    "auxiliary": np.array(["C", "D", "E"]),
    "victims": np.array(["F", "E"]),
    "test": np.array(["G", "C", "H", "I"]),
}
_TEXTS = (
    "No acute disease.",
    "Nodule of 3 mm.",
    "no acute  DISEASE",
    "Nodule of 4 mm.",
    "Heart size normal.",
    "No acute disease!",
    "Heart-size normal",
    "Lungs clear.",
)


def parts(answer: Any) -> None:
    """``answer(parts)`` → the patients who are in more than one part."""
    found = call(answer, {name: patients.copy() for name, patients in _PARTS.items()})
    collection = isinstance(found, Iterable) and not isinstance(found, (str, dict))
    assert collection, f"return the patients, as a set or a list, got {type(found).__name__}"
    names = [str(name) for name in found]
    assert len(set(names)) == len(names), "name each patient once, however many parts hold them"
    assert "B" not in names, (
        "your function names B, who is twice in the same part: that is a second image, no leak"
    )
    assert {"C", "E", "I"} <= set(names), (
        f"in the test data C is in three parts, E in two of the later ones, and I in the first and "
        f"the last; your function names {', '.join(sorted(names)) or 'nobody'}. Compare every part "
        "with all the others"
    )
    assert set(names) == {"C", "E", "I"}, (
        f"your function names {', '.join(sorted(names))}; only C, E and I are in more than one part"
    )


def twins(answer: Any) -> None:
    """``answer(texts)`` → how many texts have a twin in normal form."""
    found = call(answer, list(_TEXTS))
    hints = {
        0: "compare normal forms, data.normalise_text(text), not the texts as they are written",
        2: "that is the number of groups of twins; count every text that is in such a group",
        3: "that is how many texts could be dropped; a text that is kept has a twin too",
        7: "3 mm and 4 mm are two findings: the normal form keeps digits, so keep them too",
    }
    count = number(found)
    assert not 0 < count < 1, f"{count:g} looks like a share; return how many texts have a twin"
    assert count == 5, (
        f"for eight test texts your function gives {count:g}, right is 5: "
        + hints.get(int(count), "three say the same, two others say the same, three are alone")
    )


def weinberg(answer: Any) -> None:
    """``answer(copies)`` → share of people with one copy, minus 2a(1 - a)."""
    copies = np.repeat([0, 1, 2], [50, 20, 30])
    frequency = copies.mean() / 2
    expected = 0.2 - 2 * frequency * (1 - frequency)
    found = number(call(answer, copies.copy()))
    assert abs(found + expected) > 1e-9, "the sign is turned round: observed minus expected"
    one_way = 0.2 - frequency * (1 - frequency)
    assert abs(found - one_way) > 1e-9, (
        "an allele comes from the mother or from the father: a(1 - a) happens in two ways"
    )
    undivided = 0.2 - 2 * copies.mean() * (1 - copies.mean())
    assert abs(found - undivided) > 1e-9, (
        "each person has two copies of the gene, so a is the mean of `copies` divided by 2"
    )
    assert abs(found - expected) < 1e-9, (
        f"for 50 people with no copy, 20 with one and 30 with two your function gives "
        f"{found:.4f}, right is {expected:.4f}: the share with exactly one copy, minus 2a(1 - a)"
    )


TESTS = {"02-parts": parts, "02-twins": twins, "02-weinberg": weinberg}
