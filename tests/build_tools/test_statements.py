"""Sentences that state a result with nothing behind them: what is listed, and that none is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_tools import cli, statements
from build_tools.statements import uncovered
from medpriv.course.catalog import CHAPTERS, ChapterError
from tiny import Tiny


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of notes, empty."""
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setattr(statements, "NOTED", folder)
    return folder


def listed(tiny: Tiny, text: str) -> list[str]:
    tiny.write(f"\n{text}\n")
    return [one.sentence for one in uncovered(tiny.name)]


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_chapter_states_a_result_with_nothing_behind_it(name: str) -> None:
    assert [str(one) for one in uncovered(name)] == []


@pytest.mark.parametrize(
    "sentence",
    [
        "The attack reaches 0.87.",
        "It finds 79 % of them.",
        "Of these, 3 of 4 are right.",
        "Half of the leak is gone.",
        "Nearly every cell is red.",
        "Two thirds of the names are read.",
        "The defense beats nobody.",
        "Longer training helps.",
        "The AUC falls with it.",
        "Averaging brings back what was lost.",
        "One key tells more than no coin.",
        "It is as good as before.",
        "Deeper layers are worse.",
    ],
)
def test_numbers_shares_effects_and_comparisons_are_listed(
    tiny: Tiny, notes: Path, sentence: str
) -> None:
    assert listed(tiny, f"We look. {sentence} Then we go on.") == [sentence]


@pytest.mark.parametrize(
    "text",
    [
        "It reaches {glue:text}`gain`, more than before.",
        "It falls by half {cite:p}`Key`.",
        "It falls. It was 0.87 before ({glue:text}`claim-falls`).",
        "1. It falls ({glue:text}`claim-falls`).",
        "The noise has $\\sigma = 0.05$ and `p = 0.2`.",
        "> *It is 0.87, half of before.*",
        ":::{prf:definition} Half\n:label: def-half\n\nHalf of the leak is gone.\n:::",
        ":::{dropdown} First hint\nHalf of them are worse.\n:::",
        "```{exercise-start} Half\n:label: ex\n```\n\nHalf of them.\n\n```{exercise-end}\n```",
        "## Read on\n\nHalf of it.",
        "We look at two networks.",
    ],
)
def test_what_is_backed_or_states_nothing_is_not(tiny: Tiny, notes: Path, text: str) -> None:
    assert listed(tiny, text) == []


def test_a_figure_covers_its_sentence_and_a_claim_its_paragraph_or_item(
    tiny: Tiny, notes: Path
) -> None:
    text = """\
It falls to {glue:text}`gain`. Half is left.

- It rises ({glue:text}`claim-rises`).
- It doubles.

| what | why |
|---|---|
| one | It drops ({glue:text}`claim-drops`). |
| two | It improves. |
"""
    assert listed(tiny, text) == ["Half is left.", "It doubles.", "two | It improves. |"]


def test_each_line_of_a_summary_names_its_claim(tiny: Tiny, notes: Path) -> None:
    text = """\
## Summary

We saw this.

1. It is {glue:text}`gain` ({glue:text}`claim-gain`).
2. *Worth.* It is {glue:text}`gain`.
"""
    tiny.write(f"\n{text}\n")
    (one,) = uncovered(tiny.name)
    assert (one.section, one.wanted) == ("Summary", "names no claim")
    assert one.sentence == "*Worth.* It is {glue:text}`gain`."


def test_a_sentence_that_states_no_result_is_noted_with_a_reason(tiny: Tiny, notes: Path) -> None:
    tiny.write("\nThe clinic has half of them.\n")
    file = notes / "99-tiny.csv"
    file.write_text("reason,sentence\nstory,The clinic has half of them.\n")
    assert uncovered(tiny.name) == []
    file.write_text("reason,sentence\nwhatever,The clinic has half of them.\n")
    with pytest.raises(ChapterError, match="expected a reason of setting, story.*'whatever'"):
        uncovered(tiny.name)


def test_a_note_on_what_is_not_said_any_more_is_an_error(tiny: Tiny, notes: Path) -> None:
    (notes / "99-tiny.csv").write_text("reason,sentence\nstory,The clinic has half of them.\n")
    with pytest.raises(ChapterError, match="take it out.*The clinic has half"):
        uncovered(tiny.name)


def test_the_command_lists_and_says_what_to_do(
    tiny: Tiny, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write("\n## Seen\n\nHalf is left.\n")
    assert cli.main(["statements"]) == 1
    said = capsys.readouterr().out
    assert "99-tiny [Seen] nothing behind: Half is left." in said
    assert "1 sentence(s)" in said
    assert "advice: what to do" in said
    tiny.write()
    assert cli.main(["statements"]) == 0
    assert capsys.readouterr().out == ""
