"""Facts of a report's patient, and words: on rows written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medpriv.data import age_and_sex, keywords, load_reports, names_words, report_facts
from medpriv.data.cohort import Cohort, Part
from medpriv.data.sources.report_patients import FACTS, SENSITIVE_FACTS


def some(texts: list[str], attributes: dict[str, list]) -> Part:
    return Part(
        x=tuple(texts),
        y=torch.zeros(len(texts), dtype=torch.int64),
        patient=np.array([f"p{i}" for i in range(len(texts))]),
        attributes=pd.DataFrame(attributes),
    )


def cohort_of(auxiliary: Part, victims: Part) -> Cohort:
    return replace(load_reports("synthetic", profile="smoke"), auxiliary=auxiliary, victims=victims)


def test_facts_of_embedded_reports_are_those_they_were_written_from() -> None:
    cohort = load_reports("synthetic", profile="smoke")
    facts = report_facts(cohort, cohort.victims)
    assert tuple(facts) == FACTS
    assert tuple(facts)[:4] == SENSITIVE_FACTS
    assert facts.map(lambda one: isinstance(one, bool)).all(axis=None)
    assert (facts.to_numpy() == cohort.victims.attributes[list(FACTS)].to_numpy()).all()


def test_problems_are_split_folded_and_counted_among_the_auxiliary_reports() -> None:
    own = ["Opacity; Scoliosis", "opacity ;normal", "Other;Opacity", "scoliosis", "Hernia", ""]
    auxiliary = some(["-"] * 6, {"Problems": own})
    victims = some(["-"] * 3, {"Problems": ["Scoliosis;Opacity", "Hernia", "Stents;opacity"]})
    facts = report_facts(cohort_of(auxiliary, victims), victims, at_least=2)
    assert facts.to_dict("list") == {
        "opacity": [True, False, True],
        "scoliosis": [True, False, False],
    }


def test_of_other_reports_the_facts_are_words() -> None:
    auxiliary = some(["the cough of a smoker", "a cough", "fever", "nothing"], {"sex": ["f"] * 4})
    victims = some(["COUGH, no fever."], {"sex": ["m"]})
    facts = report_facts(cohort_of(auxiliary, victims), victims)
    assert facts["fever"].tolist() == [True]
    assert facts["smoker"].tolist() == [False]
    assert "the" not in facts
    assert "cough" not in facts  # in half of the reports, above the limit of keywords


def test_age_and_sex_are_numbers_where_both_are_known() -> None:
    known = some(["-"] * 2, {"age": [30, 70], "sex": ["female", "male"]})
    assert age_and_sex(known).tolist() == [[30, 1, 30], [70, 0, 0]]
    assert age_and_sex(some(["-"] * 2, {"age": [30, 70]})).shape == (2, 0)


def test_keywords_come_by_how_many_texts_name_them() -> None:
    texts = ["fever fever fever", "cough b12", "cough fever", "of the 2", *["-"] * 8]
    assert keywords(texts, 5) == ["cough", "fever"]
    assert keywords(texts, 1) == ["cough"]
    assert keywords(["same"] * 4, 3) == []  # a word in all of them tells nothing


@pytest.mark.parametrize(
    ("number", "most", "alike"), [(0, 0.3, 1), (5, 0.0, 1), (5, 1.5, 1), (5, 0.3, 0), (5, 0.3, 2)]
)
def test_no_words_and_no_share_are_refused(number: int, most: float, alike: float) -> None:
    with pytest.raises(ValueError, match="a number of words from 1 on and a share"):
        keywords(["a text"], number, most=most, alike=alike)


def test_without_words_there_is_a_row_for_each_text_all_the_same() -> None:
    assert names_words(["a", "b"], []).shape == (2, 0)


@given(st.lists(st.text("ab c", max_size=8), min_size=1, max_size=6))
def test_a_word_is_named_where_it_stands(texts: list[str]) -> None:
    found = names_words(texts, ["a", "ab"])
    assert len(found) == len(texts)
    assert found["a"].tolist() == ["a" in text.split() for text in texts]
