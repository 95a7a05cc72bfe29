"""Random tables, as spreadsheets of many places write them: read as meant, or refused or noted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from medpriv.data import load_records
from medpriv.data.cohort import Cohort, DataError

ROWS = 24
#: Between columns, before decimals and between thousands.
PLACES = [",.", ";,", ";,.", ",.,", ";, ", ";,\u00a0", "\t,\u202f", ";.'", ",,", ",,.", "\t."]
UNITS = ["", "", "", " mg", "mg", " %", "%", "\u00a0mmol/L", " C", "°C", " kg/m2", " 10^9/L"]
MISSING = ["", "?", "NA", "n/a", "null", "-", ".", "NaN"]
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%Y%m%d"]


def written(value: float, digits: int, place: str, unit: str, minus: str) -> str:
    """A number as people of that place write it."""
    parted = place[2:] or ""
    text = f"{abs(value):,.{digits}f}".replace(",", "T").replace(".", place[1]).replace("T", parted)
    return (minus if value < 0 else "") + text + unit


@st.composite
def columns(draw: st.DrawFn, place: str) -> tuple[list[str], list[float]]:
    """The cells of a column, and what they mean."""
    digits = draw(st.integers(0, 4))
    size = draw(st.sampled_from([1, 9, 90, 999, 5_000, 2_000_000]))
    low = draw(st.sampled_from([0, 0, -1])) * size
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))  # Hypothesis prefers small numbers
    drawn = rng.integers(low * 10**digits, size * 10**digits, ROWS, endpoint=True)
    values = [round(int(value) / 10**digits, digits) for value in drawn]
    unit, minus = draw(st.sampled_from(UNITS)), draw(st.sampled_from("-\u2212"))
    cells = [written(value, digits, place, unit, minus) for value in values]
    for row in draw(st.sets(st.integers(0, ROWS - 1), max_size=3)):
        values[row], cells[row] = float("nan"), draw(st.sampled_from(MISSING))
    return cells, values


@st.composite
def days(draw: st.DrawFn) -> tuple[list[str], list[float]]:
    form = draw(st.sampled_from(DATES))
    drawn = np.random.default_rng(draw(st.integers(0, 2**20)))
    values = drawn.integers(-20_000, 20_000, ROWS).tolist()
    return [(pd.Timestamp(0) + pd.Timedelta(day, "D")).strftime(form) for day in values], values


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, dict[str, tuple[list[str], list[float]]]]:
    place = draw(st.sampled_from(PLACES))
    kinds = st.one_of(columns(place), columns(place), days())
    return place[0], {f"c{n}": draw(kinds) for n in range(draw(st.integers(1, 4)))}


def read(sep: str, given: dict[str, list[str]], **how: object) -> tuple[Cohort | None, str]:
    """The cohort, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.csv"
        pd.DataFrame(given).to_csv(path, sep=sep, index=False)
        try:
            return load_records(path, **how), ""
        except DataError as error:
            return None, str(error).split("mine.csv: ")[1]


def by_row(cohort: Cohort, name: str) -> dict[int, object]:
    """The cells of a column by their row in the file, where each is a patient."""
    return {
        int(patient.removeprefix("patient ")) - 1: cell
        for key, part in cohort.parts().items()
        for patient, cell in zip(part.patient, cohort.frame(key)[name], strict=True)
    }


@settings(max_examples=100)
@given(tables(), st.randoms(use_true_random=False), st.sampled_from(["category", "median"]))
def test_what_is_read_is_what_was_meant(table, random, missing) -> None:
    """But for commas and points of which nothing shows what they part: those are noted."""
    sep, meant = table
    cells = {
        "label": [str(row % 2) for row in range(ROWS)],
        "patient": [f"p{row}" for row in range(ROWS)],
        **{name: cells for name, (cells, _) in meant.items()},
    }
    order = random.sample(range(ROWS), ROWS)
    shuffled = {name: [own[row] for row in order] for name, own in cells.items()}
    cohort, refused = read(sep, shuffled, missing=missing)
    if cohort is None:
        long = [cell for own, _ in meant.values() for cell in own if len(cell) > 3]
        assert "the column 'c" in refused
        assert not [cell for cell in long if cell in refused.replace("2020-12-31", "")]
        return
    notes = [note for note in cohort.card.notes if "before three digits" in note]
    assert not [one for one in cohort.columns if one.values not in ((), ("no", "yes"))]
    for name, (_, values) in meant.items():
        found, truth = by_row(cohort, name), np.array(values, dtype=float)
        gone = np.isnan(truth)
        wanted = np.where(gone, np.median(truth[~gone]), truth)
        read_ = [found[order.index(row)] for row in range(ROWS)]
        close = np.allclose(read_, wanted, rtol=1e-5, atol=1e-6)
        assert close or any(name in note for note in notes)
        if gone.any():
            assert any(f"{name} in {gone.sum()} row(s)" in note for note in cohort.card.notes)


IDENTIFIERS = ["patient_id", "Patient", "PatientID", "PATIENT ID", "patient-id", "subject_id",
               "SubjectID", "subj", "ID", "pid", "MRN", "mrn", "Name", "case id", "CaseNo", "ssn",
               "participant", "Participant_ID", "hadm_id", "stay_id", "animalId"]  # fmt: skip


@settings(max_examples=60)
@given(
    st.sampled_from(IDENTIFIERS),
    st.lists(st.integers(0, 10**6), min_size=30, max_size=30, unique=True),
    st.integers(1, 3),
    st.booleans(),
)
def test_nobody_is_in_two_parts_unnoticed(name, people, visits, counted) -> None:
    """Whatever the column of patients is called, and in whatever order their rows come."""
    who = [person for person in people for _ in range(visits)]
    draw = np.random.default_rng(people[0])
    draw.shuffle(who)
    given = {
        name: [f"K{one}" if counted else str(one) for one in who],
        "label": [str(one % 2) for one in range(len(who))],
        "age": [f"{value:.2f}" for value in draw.normal(50, 9, len(who))],
    }
    cohort, refused = read(",", given)
    if cohort is None:
        assert f"patient='{name}'" in refused
        return
    assert visits == 1
    assert [one.name for one in cohort.columns] == ["age"]
    assert any(name in note and "left out" in note for note in cohort.card.notes)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "B", "1", "01", "é", "x y"]), min_size=ROWS, max_size=ROWS),
       st.sampled_from([str.upper, str.lower, lambda c: c + "\u200b", lambda c: f"0{c}",
                        lambda c: c.replace(" ", "\u00a0")]),
       st.sets(st.integers(0, ROWS - 1)))  # fmt: skip
def test_categories_stay_what_they_are(cells, change, where) -> None:
    """Two ways to write one category are refused; of others none is lost and none is added."""
    cells = ["word", *cells[1:]]  # never a column of numbers alone
    mixed = [change(cell) if row in where else cell for row, cell in enumerate(cells)]
    given = {"label": [str(row % 2) for row in range(ROWS)], "c": mixed}
    given["patient"] = [f"p{row}" for row in range(ROWS)]
    cohort, refused = read(",", given)
    if cohort is None:
        assert "in two ways" in refused or "a finite number is expected" in refused
        return
    found = by_row(cohort, "c")
    assert [found[row] for row in range(ROWS)] == [cell.strip() for cell in mixed]
