"""A report beside its reconstruction: marked by more than colour, and safe to show."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from medpriv.course import side_by_side


def marked(page: str, tag: str) -> list[str]:
    return re.findall(f"<{tag}[^>]*>(.*?)</{tag}>", page)


def test_what_agrees_is_underlined_in_both_and_the_rest_is_told_apart() -> None:
    page = side_by_side("Denies HIV. Known COPD.", "denies cancer. Known COPD").data
    assert marked(page, "u") == ["Denies", "Known COPD.", "denies", "Known COPD"]
    assert marked(page, "i") == ["HIV."]
    assert marked(page, "s") == ["cancer."]
    assert 'scope="col"' in page


def test_signs_of_html_are_text() -> None:
    page = side_by_side("<b>x</b> & y", "<script>alert(1)</script>").data
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@given(st.text(), st.text())
def test_every_word_is_shown_once(truth: str, guess: str) -> None:
    page = side_by_side(truth, guess).data
    shown = sum(len(run.split()) for tag in "uis" for run in marked(page, tag))
    assert shown == len(re.findall(r"\S+", truth)) + len(re.findall(r"\S+", guess))
