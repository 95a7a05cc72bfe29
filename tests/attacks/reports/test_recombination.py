"""Recombined reports: made of what the attacker has, and the same each time."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medpriv.attacks.reports.recombination import sentences_of, varied_reports
from medpriv.data.sources.synthetic_reports import make_reports

TEXTS = tuple(make_reports(120, seed=3)["text"])


def test_they_are_new_and_made_of_known_words() -> None:
    made = varied_reports(TEXTS, 60, seed=1)
    known = {word for text in TEXTS for word in re.findall(r"\w+", text)}
    assert len(set(made)) == 60
    assert not set(made) & set(TEXTS)
    assert all(set(re.findall(r"\w+", text)) <= known for text in made)


def test_the_first_ones_do_not_depend_on_how_many_are_made() -> None:
    assert varied_reports(TEXTS, 30, seed=1)[:7] == varied_reports(TEXTS, 7, seed=1)
    assert varied_reports(TEXTS, 7, seed=1) != varied_reports(TEXTS, 7, seed=2)


def test_names_and_numbers_are_exchanged_and_other_words_stay() -> None:
    people = (("Abel", 11), ("Brown", 12), ("Croft", 21), ("Dirk", 22))
    texts = tuple(f"Mr. {name} has {age} teeth." for name, age in people)
    pairs = {tuple(re.findall(r"[A-Z][a-z]{3,}|\d+", text)) for text in varied_reports(texts, 90)}
    assert len(pairs) > 8  # four names with one number each before
    assert all(" has " in text and " teeth." in text for text in varied_reports(texts, 90))


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_any_text_can_be_varied(texts: list[str]) -> None:
    assert len(varied_reports(texts, 5)) == 5


def test_bad_input() -> None:
    assert varied_reports((), 0) == ()
    assert sentences_of("One. Two; three") == ["One.", "Two;", "three"]
    with pytest.raises(ValueError, match="expected texts"):
        varied_reports((), 1)
    with pytest.raises(ValueError, match="from 0 on"):
        varied_reports(("a",), -1)


def test_another_process_makes_the_same() -> None:
    """Whatever the order in which a process keeps its sets of words."""
    code = (
        "from medpriv.attacks import varied_reports\n"
        "from medpriv.data.sources.synthetic_reports import make_reports\n"
        "print(varied_reports(tuple(make_reports(40, seed=3)['text']), 20, seed=1))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(said) == 1
