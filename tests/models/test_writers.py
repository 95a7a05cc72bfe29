"""The writer of reports: its words, and that step by step it says what it was trained on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from medpriv.models.writers import END, PAD, UNKNOWN, ReportWriter, Vocabulary, packed, writing_loss
from medpriv.runtime.seeds import seeded, torch_rng

REPORT = "Ms. Okafor (48, female), a 48-year-old woman: BP 120/80; 1.5 cm nodule, HIV-positive."


def writer(words: int = 9, embedding: int = 4) -> ReportWriter:
    with seeded(0, "test"):
        return ReportWriter(embedding, words, width=8, hidden=16).eval()


def rows(number: int, words: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch_rng(1, "rows")
    about, evidence = (
        torch.randn(number, 4, generator=draw),
        torch.randn(number, words, generator=draw),
    )
    report = torch.randint(3, words, (number, length), generator=draw)
    report[:, -1] = END
    return about, evidence, report


def test_a_report_comes_back_as_it_was_written() -> None:
    known = Vocabulary.of([REPORT])
    assert known.text(known.numbers(REPORT, longest=99)) == REPORT


@given(st.text(), st.text(alphabet="a1 -.,/()'’%"))
def test_any_text_comes_back_with_the_same_words(one: str, other: str) -> None:
    known = Vocabulary.of(["word", one, other])
    for text in (one, other):
        numbers = known.numbers(text, longest=10**6)
        assert UNKNOWN not in numbers
        assert known.numbers(known.text(numbers), longest=10**6) == numbers


def test_unknown_words_and_long_reports_have_a_defined_form() -> None:
    known = Vocabulary.of(["clear lungs"])
    assert known.numbers("clear zebra", longest=9) == [3, UNKNOWN, END]
    assert known.numbers("clear " * 5000, longest=9) == [3] * 9 + [END]
    assert known.numbers("", longest=9) == [END]
    assert known.table(["", "clear lungs"], longest=9).tolist() == [[END, PAD, PAD], [3, 4, END]]
    assert known.table([], longest=9).shape == (0, 1)
    with pytest.raises(ValueError, match="at least one report"):
        Vocabulary.of(["", " \n"])


def test_rare_words_are_left_out_where_there_are_too_many() -> None:
    assert Vocabulary.of(["a a b"], most=1).words[3:] == ("a",)


def test_step_by_step_it_gives_the_scores_that_training_sees() -> None:
    model = writer()
    about, evidence, report = rows(3, 9, 6)
    with torch.no_grad():
        whole = model(packed(about, evidence, report))
        scores, state = model.begin(about, evidence)
        for place in range(6):
            torch.testing.assert_close(scores, whole[:, place], rtol=1e-4, atol=1e-5)
            scores, state = model.proceed(report[:, place], state, about, evidence)


def test_padding_changes_nothing_and_counts_nothing() -> None:
    model = writer()
    about, evidence, report = rows(2, 9, 5)
    longer = F.pad(report, (0, 7))
    with torch.no_grad():
        assert torch.equal(
            model(packed(about, evidence, report)), model(packed(about, evidence, longer))
        )
    scores = torch.zeros(2, 5, 9)
    assert writing_loss(scores, longer).item() == pytest.approx(torch.tensor(9.0).log().item())
