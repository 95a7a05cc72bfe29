"""What a report states, read from its text: exact where the truth is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medpriv.data import load_reports
from medpriv.data.sources.report_patients import FACTS
from medpriv.data.sources.synthetic_reports import make_reports
from medpriv.data.statements import named_findings, report_statements, stated_facts


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_statement_of_the_generators_reports_is_read_and_no_other(seed: int) -> None:
    for row in make_reports(1500, seed=seed).itertuples():
        expected = {("diagnosis", fact) for fact in FACTS if getattr(row, fact)}
        expected.add(("age", str(row.age)))
        if row.finding != "none":
            expected.add(("finding", row.finding))
        if row.name_in_text:
            expected.add(("name", row.name.split()[-1].lower()))
        assert stated_facts(row.text) == expected, row.text


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("", set()),
        ("HIV", {("diagnosis", "hiv")}),
        ("Denies HIV. Known depression.", {("diagnosis", "depression")}),
        ("Rule out pneumonia in a 40-year-old man.", {("age", "40")}),
        ("The right pneumothorax has cleared. Clear chest.", set()),
        ("患者 no acute Ärzte ...", set()),
        ("no " * 5000 + "effusion", set()),
    ],
)
def test_texts_worked_out_by_hand(text: str, stated: set[tuple[str, str]]) -> None:
    assert stated_facts(text) == stated


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    kinds = [kind for kind, _ in stated_facts(text)]
    assert kinds.count("age") <= 1
    assert kinds.count("name") <= 1
    assert kinds.count("finding") <= 1
    named_findings(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("No effusion or pneumothorax. The heart is mildly enlarged.", {"cardiomegaly"}),
        ("Small effusion without pneumothorax; calcified granuloma.",
         {"effusion", "granuloma", "calcification"}),
        ("Resolved pneumonia, but a new nodule.", {"nodule"}),
        ("No definite 1.5 cm nodule is seen.", set()),
        ("", set()),
    ],
)  # fmt: skip
def test_a_finding_that_is_denied_is_not_named(text: str, found: set[str]) -> None:
    assert named_findings(text) == {("finding", name) for name in found}


def test_a_cohort_has_its_own_reader() -> None:
    cohort = load_reports("synthetic", profile="smoke")
    texts = [*cohort.victims.x, "A left effusion."]
    read = report_statements(cohort, texts)
    assert read == [stated_facts(text) for text in texts]
