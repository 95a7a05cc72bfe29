"""Which words look like names: in sentences written out by hand."""

from __future__ import annotations

import pytest

from medpriv.data import keywords
from medpriv.data.person_names import words_of_names

PLAIN = ["The lungs are clear, and the heart is normal in size. No effusion is seen today."] * 3


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Seen by Dr. Kowalski today.", {"dr", "kowalski"}),
        ("Seen by dr kowalski today.", {"dr", "kowalski"}),
        ("SEEN BY DR. KOWALSKI.", {"dr", "kowalski"}),
        ("Prof J. van Houten, and others", {"prof", "j", "van", "houten"}),
        ("Ms Ana Maria Osei coughs.", {"ms", "ana", "maria", "osei"}),
        ("Mr. O'Brien-Smith came.", {"mr", "o", "brien", "smith"}),
        ("Reported: Adeyemi, MD", {"adeyemi"}),
        ("Sent to our colleague Lindqvist again.", {"lindqvist"}),
        ("Read by A. Lindqvist.", {"lindqvist"}),
    ],
)
def test_names_are_found_by_titles_and_capitals(text: str, names: set[str]) -> None:
    assert words_of_names([*PLAIN, text]) == names


@pytest.mark.parametrize(
    "text",
    [
        "Findings: Effusion. Cough since May.",  # May is one, but only once, and no rule knows it
        "MR angiography and DR chest were done.",
        "On MR. Effusion was seen, HIV is known, with COPD.",
        "Known Crohn's disease and Kerley lines.",
        "Hepatitis B. Heart and lungs are as before.",
        "Clear. Negative for a mass. Negative chest. Negative spine. Negative. Chest Negative.",
    ],
)
def test_methods_diseases_and_beginnings_of_sentences_are_none(text: str) -> None:
    assert words_of_names([*PLAIN, text]) <= {"may"}


def test_a_name_before_the_name_of_a_test_is_one_all_the_same() -> None:
    texts = [*PLAIN, "For Lindqvist test negative.", "Then Lindqvist came.", "Now Lindqvist left."]
    assert words_of_names(texts) == {"lindqvist"}


def test_where_all_nouns_have_capitals_capitals_say_nothing() -> None:
    texts = ["Der Patient hat eine Fraktur der Rippe, und ein Infiltrat im Oberlappen."] * 3
    assert words_of_names(texts) == frozenset()
    assert words_of_names([*texts, "Befund von Frau Lindqvist"]) == {"frau", "lindqvist"}


def test_to_stand_for_facts_words_are_no_names_and_differ() -> None:
    texts = [f"clear lungs {i}" for i in range(30)]
    texts += [f"with a mass, says Dr. Kowalski and signs {i}" for i in range(9)]
    texts += [f"a mass that signs, fever {i}" for i in range(3)]
    texts += [f"smoker with fever {i}" for i in range(5)]
    assert keywords(texts, 4) == ["mass", "signs", "dr", "kowalski"]
    assert keywords(texts, 9, names=False) == ["mass", "signs", "says", "fever", "smoker"]
    # A mass is signed for each time: the two words are one fact.
    assert keywords(texts, 9, alike=0.9, names=False) == ["mass", "says", "fever", "smoker"]
    assert keywords(texts, 1, alike=0.9) == ["mass"]
