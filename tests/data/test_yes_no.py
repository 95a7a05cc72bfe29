"""Columns of yes and no in a reader's table of reports: which are facts, and which are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from medpriv.data import age_and_sex, load_reports, report_facts
from medpriv.data.cohort import Cohort, DataError


def reports(folder: Path, **columns: list[str]) -> Path:
    """A table of forty reports, with these columns beside text and label."""
    rows = [
        f"{i % 2},report {i} of a film with words,{','.join(cells)}"
        for i, cells in enumerate(zip(*columns.values(), strict=True))
    ]
    path = folder / "mine.csv"
    path.write_text("\n".join([f"label,text,{','.join(columns)}", *rows]), encoding="utf-8")
    return path


def facts(cohort: Cohort) -> dict[str, list[str]]:
    """The facts of all parts, with the number of the report that each belongs to."""
    found: dict[str, list[str]] = {}
    for part in cohort.parts().values():
        for name, truth in report_facts(cohort, part).items():
            told = zip(part.x, truth, strict=True)
            found.setdefault(str(name), []).extend(text.split()[1] for text, one in told if one)
    return found


@pytest.mark.parametrize(
    ("yes", "no"),
    [("1", "0"), ("1.0", "0.0"), ("true", "false"), ("YES", "No"), ("Present", "absent"),
     ("positive", "negative"), ("y", "n")],
)  # fmt: skip
def test_a_column_of_yes_and_no_is_a_fact(tmp_path: Path, yes: str, no: str) -> None:
    path = reports(tmp_path, hiv=[yes if i % 3 == 0 else no for i in range(40)])
    cohort = load_reports(path)
    found = facts(cohort)
    assert set(found) == {"hiv"}
    assert sorted(map(int, found["hiv"])) == list(range(0, 40, 3))
    assert any("columns of yes and no: hiv" in note for note in cohort.card.notes)
    assert not any("left out" in note for note in cohort.card.notes)


def test_what_is_to_be_guessed_is_not_known_as_age_and_sex(tmp_path: Path) -> None:
    cohort = load_reports(reports(tmp_path, age=["1", "0", "0", "0"] * 10, sex=["1", "0"] * 20))
    assert set(facts(cohort)) == {"age", "sex"}
    assert age_and_sex(cohort.victims).shape == (len(cohort.victims), 0)


def test_other_columns_are_named_and_no_cell_of_them(tmp_path: Path) -> None:
    path = reports(
        tmp_path,
        id=[f"Okafor{i}" for i in range(40)],
        children=[str(i % 3) for i in range(40)],
        weeks=["1", *["0"] * 37, "7", "9"],
        smoker=["yes", "no"] * 20,
        asked=["yes"] * 40,
        ticked=[*["x"] * 9, *[""] * 31],
    )
    cohort = load_reports(path)
    assert set(facts(cohort)) == {"smoker"}
    assert any(note.endswith(": id, children, weeks, asked, ticked") for note in cohort.card.notes)
    assert "Okafor" not in cohort.card.table().to_string()


def test_without_such_columns_the_card_says_that_words_stand_for_facts(tmp_path: Path) -> None:
    notes = load_reports(reports(tmp_path, ward=["A", "B"] * 20)).card.notes
    assert any("common words of the reports are their facts" in note for note in notes)
    assert any(note.endswith(": ward") for note in notes)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [("", "an empty cell"), ("Okafor", "a word"), ("since 2019", "digits and letters")],
)
def test_what_says_neither_yes_nor_no_is_refused_and_not_quoted(
    tmp_path: Path, cell: str, kind: str
) -> None:
    says = rf"mine\.csv: the column 'hiv' has {kind} in row 8 \(1 such cell.*yes or no is expected"
    path = reports(tmp_path, hiv=[*["1", "0"] * 3, "1", cell, *["0"] * 32])
    with pytest.raises(DataError, match=says) as caught:
        load_reports(path)
    assert not cell or cell not in str(caught.value).replace(str(tmp_path), "")


def test_facts_stay_with_their_reports_where_repetitions_go(tmp_path: Path) -> None:
    rows = [f"{i % 2},report {i // 2 * 2 + i % 2},{int(i % 4 == 3)}" for i in range(60)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["label,text,hiv", *rows, *rows[:9]]), encoding="utf-8")
    found = facts(load_reports(path))
    assert sorted(map(int, found["hiv"])) == list(range(3, 60, 4))
