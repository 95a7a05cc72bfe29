"""Reports cut to a length, and victims whose report the attacker does not have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from medpriv.data import first_words, load_reports, unseen_reports
from medpriv.data.cohort import Part


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
