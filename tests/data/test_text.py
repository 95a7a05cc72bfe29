"""Texts: their normal form, twins among them, reports cut short, and victims without a twin."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medpriv.data import (
    drop_duplicate_texts,
    first_words,
    load_reports,
    normalise_text,
    unseen_reports,
)
from medpriv.data.cohort import Part
from real import real_file


@pytest.fixture
def part() -> Part:
    some = load_reports("synthetic", profile="smoke").victims.take(range(4))
    return replace(some, x=("A b c d", "a, B c!", "x", ""))


def test_reports_are_cut_and_the_rest_of_the_part_stays(part: Part) -> None:
    cut = first_words(part, 2)
    assert cut.x == ("A b", "a, B", "x", "")
    assert (cut.patient == part.patient).all()
    assert first_words(part, None) is part


def test_a_victim_with_a_twin_is_left_out_whatever_its_case_and_signs(part: Part) -> None:
    own = replace(part.take([0, 1]), x=("a b c", "y"))
    left = unseen_reports(part, own)
    assert left.x == ("A b c d", "x", "")
    assert left.patient.tolist() == part.patient[[0, 2, 3]].tolist()
    # What is distinct may become alike when it is cut.
    assert unseen_reports(first_words(part, 2), first_words(own, 2)).x == ("x", "")
    assert len(unseen_reports(part, part)) == 0


@settings(max_examples=500, deadline=None)
@given(st.text())
@example("\u0345a\u0301")
@example("ŉ ﬁ ẞ İ ½ ﷺ")
@example("A\u0300.\u0301")
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise_text(text)
    assert normalise_text(once) == once
    assert once == " ".join(once.split())


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_normalising_ascii_is_lower_case_words(text: str) -> None:
    assert normalise_text(text).split() == re.findall("[a-z0-9]+", text.lower())


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abÄé ñ-.,;:!\n\tX9"))
def test_case_punctuation_space_and_composition_do_not_matter(text: str) -> None:
    form = normalise_text(text)
    assert normalise_text(text.upper()) == form
    assert normalise_text(f"  {text}\n") == form
    assert normalise_text(unicodedata.normalize("NFD", text)) == form
    assert normalise_text(text.replace(" ", " - ")) == form


def test_normal_form_by_hand() -> None:
    assert (
        normalise_text("HIV-positive;  No ACUTE\u00a0disease.") == "hiv positive no acute disease"
    )
    assert normalise_text("Straße, ﬁve ①") == "strasse five 1"
    assert normalise_text("12 mm") != normalise_text("13 mm")
    assert normalise_text(" ... ") == ""


def test_duplicates_by_hand() -> None:
    texts = ["Clear lungs.", "No change.", "clear  lungs", "CLEAR LUNGS!", "New 3 mm nodule"]
    assert drop_duplicate_texts(texts).tolist() == [0, 1, 4]
    assert drop_duplicate_texts(texts, keep_first=False).tolist() == [1, 4]
    assert drop_duplicate_texts([]).dtype == np.int64


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", "A.", "b", "b!", "c", "  c", "d 1", "d 2", ""])))
def test_what_is_kept_is_distinct_and_covers_all(texts: list[str]) -> None:
    forms = [normalise_text(text) for text in texts]
    kept = drop_duplicate_texts(texts)
    assert [forms[i] for i in kept] == list(dict.fromkeys(forms))
    once = drop_duplicate_texts(texts, keep_first=False)
    assert once.tolist() == [i for i, form in enumerate(forms) if forms.count(form) == 1]


@pytest.mark.parametrize("missing", [None, float("nan"), 3])
def test_a_missing_text_is_named(missing: object) -> None:
    with pytest.raises(ValueError, match="expected a text"):
        normalise_text(missing)
    with pytest.raises(ValueError, match="text 1: expected a text"):
        drop_duplicate_texts(["a", missing])


@pytest.mark.real
def test_twins_on_openi() -> None:
    """METHODS: of 3,331 reports with both sections, over a quarter have a verbatim twin."""
    table = pd.read_csv(real_file("openi_reports.csv")).dropna(subset=["findings", "impression"])
    texts = (table["findings"] + " " + table["impression"]).tolist()
    assert len(texts) == 3_331
    assert len(drop_duplicate_texts(texts)) == 2_611
    with_a_twin = len(texts) - len(drop_duplicate_texts(texts, keep_first=False))
    assert 0.25 < with_a_twin / len(texts) < 0.28
    first_forty = {" ".join(normalise_text(text).split()[:40]) for text in texts}
    assert len(first_forty) == pytest.approx(2_592, abs=25)
