"""A reader's spreadsheet as it is: what its cells, columns and patients are read as, or refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medpriv.data import load_records, load_reports
from medpriv.data.cohort import Cohort, DataError
from medpriv.evaluation.attack_catalog.records import sensitive_attribute

N = 40
RNG = np.random.default_rng(0)
FINE = RNG.permutation(N) / 8 + 30.25


def write(folder: Path, sep: str = ",", **columns: Sequence[object]) -> Path:
    """A table with these columns, a label, and a patient for each row."""
    given = {"label": np.arange(N) % 2, "patient": [f"p{i}" for i in range(N)], **columns}
    path = folder / "mine.csv"
    pd.DataFrame({name: cells for name, cells in given.items() if cells is not None}).to_csv(
        path, index=False, sep=sep
    )
    return path


def in_order(cohort: Cohort, name: str) -> list[object]:
    """A column in the order of the file."""
    cells = {
        int(patient.removeprefix("patient ")) - 1: cell
        for key, part in cohort.parts().items()
        for patient, cell in zip(part.patient, cohort.frame(key)[name], strict=True)
    }
    return [cells[row] for row in range(N)]


def column(folder: Path, cells: Sequence[object], sep: str = ",", **how: object) -> list[object]:
    return in_order(load_records(write(folder, sep, x=cells), **how), "x")


# --- Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "note", "unit"),
    [
        (lambda v: f"{v}".replace(".", ","), "with decimal commas", ""),
        (lambda v: f"{v} mg/L", "without their unit", "mg/L"),
        (lambda v: f"{v}\u202f%", "without their unit", "%"),
        (lambda v: f"\u2212{v}", "other signs", ""),
        (lambda v: f"{v} 10^9/L", "without their unit", "10^9/L"),
        (lambda v: f"{1000 * v:,.2f}", "separated thousands", ""),
        (lambda v: f"{1000 * v:,.2f}".translate({44: 46, 46: 44}), "with decimal commas", ""),
        (lambda v: f"{1000 * v:,.2f}".replace(",", "\u00a0"), "separated thousands", ""),
        (lambda v: f"{1000 * v:,.2f}".replace(",", "\u2009"), "separated thousands", ""),
        (lambda v: f"{1000 * v:,.2f}".replace(",", "’"), "separated thousands", ""),
    ],
)
def test_numbers_as_spreadsheets_write_them(tmp_path, form, note, unit):
    cells = [form(float(v)) for v in FINE]
    cohort = load_records(write(tmp_path, ";", x=cells))
    size = 1000 if "thousands" in note or ("." in cells[0] and "," in cells[0]) else 1
    truth = FINE * size * (-1 if cells[0][0] == "\u2212" else 1)
    assert np.allclose(np.array(in_order(cohort, "x"), float), truth, rtol=1e-6)
    assert cohort.columns[0].unit == unit
    assert any(note in said and said.endswith(": x") for said in cohort.card.notes)


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        ([f"{v} {'CF'[i % 2]}" for i, v in enumerate(FINE)], "different units.* rows 1 and 2"),
        ([f"{v}{' C' if i else ''}" for i, v in enumerate(FINE)], "with and without one"),
        (["<0.5" if i == 6 else v for i, v in enumerate(FINE)], r"a bound.* in row 7 \(1 such"),
        ([">100" if i % 3 else i for i in range(N)], "a bound.* in row 2"),
        ([f"{1000 + i * i:,}" for i in range(N)], r"in row 1 \(40 such.*decimals or thousands"),
        (["3,5" if i == 3 else v for i, v in enumerate(FINE)], "decimal commas and decimal points"),
        (["1e39" if i == 4 else v for i, v in enumerate(FINE)], "too large in row 5"),
        (["many" if i == 4 else v for i, v in enumerate(FINE)], "a word in row 5"),
        ([f"{60 + i}/{50 + i}" for i in range(N)], "two numbers in a cell"),
        ([""] * N, "empty in all rows.*drop="),
    ],
)
def test_numbers_that_could_be_others_are_refused(tmp_path, cells, wrong):
    with pytest.raises(DataError, match=f"the column 'x' .*{wrong}") as caught:
        column(tmp_path, cells)
    quoted = str(caught.value).split("mine.csv")[1]
    assert not {str(cell) for cell in cells if len(str(cell)) > 3} & set(quoted.split())


def test_another_column_tells_what_a_comma_parts(tmp_path):
    cells, whole = [f"{v + 1:,}" for v in 7 * RNG.permutation(N) + 1000], 7 * np.arange(N)
    read = in_order(load_records(write(tmp_path, x=cells, y=FINE)), "x")
    assert read == [float(cell.replace(",", "")) for cell in cells]
    commas = [f"{v}".replace(".", ",") for v in FINE]
    read = in_order(load_records(write(tmp_path, ";", x=cells, y=commas)), "x")
    assert np.allclose(read, [float(cell.replace(",", ".")) for cell in cells])
    points = [cell.replace(",", ".") for cell in cells]
    for sep, other in ((";", commas), (";", whole)):
        with pytest.raises(DataError, match="decimals or thousands"):
            load_records(write(tmp_path, sep, x=points, y=other[::-1]))
    with pytest.raises(DataError, match="decimals or thousands"):
        column(tmp_path, ["950", *points[1:]])
    assert column(tmp_path, points) == pytest.approx([float(cell) for cell in points])


@pytest.mark.parametrize(
    "words",
    [
        ("40-49", "50-59", "60-69"), ("<40", "40-49", "50-59", ">60"), ("1a", "1b", "2", "3"),
        ("T1", "T2"), ("0", "1+", "2+", "3+"), ("1st", "2nd", "3rd"), ("none", "some"), ("+", "-"),
    ],
)  # fmt: skip
def test_ranges_stages_and_words_are_categories(tmp_path, words):
    cells = [words[i % len(words)] for i in range(N)]
    assert column(tmp_path, cells) == cells


def test_time_grows_with_the_cells(tmp_path):
    """Of 3,000 columns; each costs a few calls, so that a slower way shows as minutes."""
    cells = {f"c{i}": RNG.permutation(N) for i in range(3_000)}
    assert len(load_records(write(tmp_path, **cells)).columns) == 3_000


# --- What is missing ------------------------------------------------------------------------------

SIGNS = ["", "?", "NA", "n/a", "null", "-", "."]


@pytest.mark.parametrize("sign", SIGNS)
def test_what_is_missing_is_refused_until_somebody_decides(tmp_path, sign):
    numbers = [sign if i in (3, 9) else v for i, v in enumerate(FINE)]
    words = [sign if i in (3, 9) else "abb"[i % 3] for i in range(N)]
    for cells in (numbers, words):
        with pytest.raises(DataError, match=r"in row 4 \(2 such cell.*missing='category'"):
            column(tmp_path, cells)
    path = write(tmp_path, x=numbers, y=words)
    middle = np.median(np.delete(FINE, [3, 9]))
    for way, word in (("category", "missing"), ("median", "b")):
        cohort = load_records(path, missing=way)
        assert [in_order(cohort, "x")[row] for row in (3, 4, 9)] == [middle, FINE[4], middle]
        assert [in_order(cohort, "y")[row] for row in (3, 4, 9)] == [word, "b", word]
        assert sum("in 2 row(s)" in note for note in cohort.card.notes) == 2
    told = in_order(load_records(path, missing="category"), "x missing")
    assert [row for row in range(N) if told[row] == "yes"] == [3, 9]


@pytest.mark.parametrize("code", [-9, -99, -999, 99, 999, 9999, -1, "-9.0", "999"])
def test_codes_for_missing_are_asked_about(tmp_path, code):
    cells = [code if i % 9 == 3 else 5 + i * 3 % 31 for i in range(N)]
    with pytest.raises(DataError, match=r"in row 4 \(5 such cell.*missing_codes="):
        column(tmp_path, cells, missing="median")
    kept = column(tmp_path, cells, missing_codes=())
    assert kept == [float(cell) for cell in cells]
    filled = column(tmp_path, cells, missing_codes=(float(code),), missing="median")
    assert filled[3] == np.median([cell for cell in cells if cell != code])


@pytest.mark.parametrize(
    "cells",
    [[-9 if i % 9 == 3 else i % 30 - 15 for i in range(N)],
     [99 if i % 9 == 3 else 60 + i * 3 % 39 for i in range(N)], [i % 2 for i in range(N)]],
)  # fmt: skip
def test_values_in_the_midst_of_others_are_values(tmp_path, cells):
    assert column(tmp_path, cells) == [float(cell) for cell in cells]


# --- Dates ----------------------------------------------------------------------------------------

DAYS = pd.Timestamp("2019-01-05") + pd.to_timedelta(9 * RNG.permutation(N), "D")


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%MZ", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y",
     "%m/%d/%Y", "%m/%d/%Y %I:%M %p", "%Y%m%d"],
)  # fmt: skip
def test_dates_are_days(tmp_path, form):
    cohort = load_records(write(tmp_path, x=[day.strftime(form) for day in DAYS]))
    assert in_order(cohort, "x") == [float((day - pd.Timestamp(0)).days) for day in DAYS]
    assert cohort.columns[0].unit == "days since 1970-01-01"
    assert "dates, as days since 1970-01-01: x" in cohort.card.notes


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        ([f"{1 + i % 12:02d}/{1 + i % 11:02d}/2020" for i in range(N)], "cannot be told apart"),
        ([f"{13 - i % 9}/{5 + i % 9}/2020" for i in range(N)], "begins dates with the day and"),
        ([day.strftime("%d.%m.%y") for day in DAYS], "without their century.*2020-12-31"),
        ([day.strftime("%d %b %Y") for day in DAYS], "dates with words"),
        (["2020-02-30" if i == 4 else f"2020-01-{1 + i % 28:02d}" for i in range(N)], "row 5"),
        (["soon" if i == 4 else f"2020-01-{1 + i % 28:02d}" for i in range(N)], "a word in row 5"),
        ([f"2020-01-01T10:00{'Z' if i % 2 else ''}" for i in range(N)], "with and without a zone"),
        ([f"{i % 24:02d}:30" for i in range(N)], "times.*minutes"),
    ],
)
def test_dates_that_could_be_others_are_refused(tmp_path, cells, wrong):
    with pytest.raises(DataError, match=f"the column 'x' .*{wrong}"):
        column(tmp_path, cells)


# --- Who it is ------------------------------------------------------------------------------------

NAMES = ["patient_id", "Patient", "PatientID", "subject_id", "ID", "id", "name", "mrn", "Case ID",
         "Participant No.", "STUDY_ID", "recordId"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_an_identifier_is_no_input(tmp_path, name):
    path = write(tmp_path, patient=None, age=FINE, **{name: np.arange(N) // 2})
    with pytest.raises(DataError, match=f"{name}.*patient='{name}'.*drop=.*rename"):
        load_records(path)
    cohort = load_records(path, patient=name)
    assert cohort.card.patient_identity
    assert sum(part.patients for part in cohort.parts().values()) == N // 2
    assert [one.name for one in load_records(path, drop=name).columns] == ["age"]
    known = write(tmp_path, age=FINE, **{name: np.arange(N) // 2})
    with pytest.raises(DataError, match="identifier of the patients.*drop="):
        load_records(known)


@pytest.mark.parametrize("name", ["patient_id", "Patient", "mrn"])
def test_reports_of_a_patient_are_not_divided_by_a_name_that_was_not_seen(tmp_path, name):
    texts = [f"report {i} on a film" for i in range(N)]
    path = write(tmp_path, patient=None, text=texts, **{name: np.arange(N) // 2})
    with pytest.raises(DataError, match=f"patient='{name}'"):
        load_reports(path)
    assert load_reports(path, patient=name).card.patient_identity
    assert not load_reports(path, drop=(name,)).card.patient_identity


def test_a_case_may_be_no_control(tmp_path):
    assert load_records(write(tmp_path, case=np.arange(N) % 2)).columns[0].name == "case"


@pytest.mark.parametrize("name", ["Unnamed: 0", ""])
def test_the_index_of_pandas_is_left_out(tmp_path, name):
    cohort = load_records(write(tmp_path, age=FINE, **{name: range(N)}))
    assert [one.name for one in cohort.columns] == ["age"]
    assert "a column without a name that numbers the rows was left out" in cohort.card.notes
    with pytest.raises(DataError, match="column 4 of the header has no name.*drop="):
        load_records(write(tmp_path, age=FINE, **{name: ["a", "b"] * (N // 2)}))


def test_a_column_that_counts_is_refused_and_one_that_could_is_noted(tmp_path):
    for start in (0, 1):
        with pytest.raises(DataError, match=r"'nr' counts the rows.*drop=\('nr',\)"):
            load_records(write(tmp_path, age=FINE, nr=np.arange(N) + start))
    notes = load_records(write(tmp_path, age=FINE, nr=RNG.permutation(N))).card.notes
    assert any(note.startswith("a different whole number in each row") for note in notes)


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("P1", "p1"), ("1", "1.0"), ("1", "01"), ("Renée", nfd("Renée")), ("P1", "P\u200b1"),
     ("P 1", "P\u00a01")],
)  # fmt: skip
@pytest.mark.parametrize("what", ["patient", "label", "x"])
def test_two_ways_to_write_one_thing_are_refused(tmp_path, one, other, what):
    cells = [one if i == 3 else other if i == 8 else "ab"[i % 2] for i in range(N)]
    columns = {"x": FINE, what: cells}
    with pytest.raises(DataError, match="written in two ways, in rows 4 and 9"):
        load_records(write(tmp_path, **columns))


@pytest.mark.parametrize("name", [*SIGNS, "None", "NaN"])
def test_a_patient_without_a_name_is_refused(tmp_path, name):
    patients = [name if i == 3 else f"p{i}" for i in range(N)]
    with pytest.raises(DataError, match="1 patients are not named, the first in row 4"):
        load_records(write(tmp_path, x=FINE, patient=patients))


@pytest.mark.parametrize("label", ["inf", "1e20", str(2**64 - 1), "NaT", "?", "-9", "999"])
def test_a_label_that_is_no_class_is_refused(tmp_path, label):
    labels = [label if i == 7 else i % 2 for i in range(N)]
    with pytest.raises(DataError, match=r"label\(s\) .*the first in row 8"):
        load_records(write(tmp_path, x=FINE, label=labels))


# --- Roles, parts and files -----------------------------------------------------------------------


def test_roles_by_name(tmp_path):
    path = write(
        tmp_path, label=None, patient=None, who=np.arange(N) // 2, outcome=np.arange(N) // 2 % 2,
        age=FINE, ward=["A", "B"] * (N // 2), smoker=RNG.integers(0, 2, N),
    )  # fmt: skip
    cohort = load_records(path, label="outcome", patient="who", drop="ward", sensitive=("smoker",))
    assert [one.name for one in cohort.columns] == ["age", "smoker"]
    assert cohort.columns[1].values == ("0", "1")
    assert sensitive_attribute(cohort) == "smoker"
    assert "columns left out as asked: ward" in cohort.card.notes
    plain = load_records(path, label="outcome", patient="who")
    assert sensitive_attribute(plain) == "ward"
    assert (
        plain.content_hash()
        != load_records(path, label="outcome", patient="who", sensitive="ward").content_hash()
    )
    for wrong in ({"drop": "wart"}, {"patient": "whom"}, {"label": "result"}):
        with pytest.raises(DataError, match="lacks the column"):
            load_records(path, **{"label": "outcome", "patient": "who"} | wrong)
    with pytest.raises(DataError, match="cut it into levels"):
        load_records(path, label="outcome", patient="who", sensitive="age")


def test_roles_are_for_own_files():
    with pytest.raises(ValueError, match="your own file; warfarin is a data set of the course"):
        load_records("warfarin", drop="age")
    with pytest.raises(ValueError, match="your own file; synthetic"):
        load_reports("synthetic", patient="who")


@pytest.mark.parametrize("words", [("members", "others"), ("train", "test"), ("Train", "TEST")])
def test_the_readers_own_split(tmp_path, words):
    parts = [words[i // 2 % 2] for i in range(N)]
    patients = [f"p{i // 2}" for i in range(N)]
    path = write(tmp_path, x=FINE, part=parts, patient=patients)
    cohort = load_records(path)
    assert {name: part.patients for name, part in cohort.parts().items()} == {
        "members": 10, "auxiliary": 7, "victims": 1, "test": 2,
    }  # fmt: skip
    assert set(cohort.members.patient) == {f"patient {i}" for i in range(1, N // 2, 2)}
    assert [one.name for one in cohort.columns] == ["x"]
    patients[4] = patients[2]
    with pytest.raises(DataError, match="rows 3 and 5 are of one patient, in two parts"):
        load_records(write(tmp_path, x=FINE, part=parts, patient=patients))
    with pytest.raises(ValueError, match="patients= takes some"):
        load_records(path, patients=8)


def test_all_four_parts_or_none(tmp_path):
    four = ["members", "auxiliary", "victims", "test"] * (N // 4)
    cohort = load_records(write(tmp_path, x=FINE, role=four), part="role")
    assert [len(part) for part in cohort.parts().values()] == [N // 4] * 4
    three = ["members", "auxiliary", "victims", "victims"] * (N // 4)
    with pytest.raises(DataError, match="no row of test"):
        load_records(write(tmp_path, x=FINE, part=three))
    with pytest.raises(DataError, match=r"has a word in row 2 \(1 such.*where a part"):
        load_records(write(tmp_path, x=FINE, part=[*four[:1], "elsewhere", *four[2:]]))
    limbs = ["arm", "leg"] * (N // 2)
    assert load_records(write(tmp_path, x=FINE, part=limbs)).columns[1].values == ("arm", "leg")


def test_of_rows_alike_in_two_parts_the_members_stay(tmp_path):
    values = [*FINE[: N // 2], *FINE[: N // 2]]
    parts = ["others"] * (N // 2) + ["members", "members", "others", "others"] * (N // 8)
    path = write(tmp_path, patient=None, x=values, part=parts, label=[*range(2)] * (N // 2))
    cohort = load_records(path)
    assert len(cohort.members) == N // 4
    assert not set(cohort.members.x[:, 0].tolist()) & set(cohort.test.x[:, 0].tolist())


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize(("sep", "first"), [(",", ""), (";", "sep=;"), ("\t", "")])
def test_files_of_any_system(tmp_path, end, sep, first):
    rows = [first] * bool(first) + [f"label{sep}age"]
    rows += [f"{i % 2}{sep}{v}" for i, v in enumerate(FINE)]
    path = tmp_path / "UPPER.CSV"
    path.write_bytes(end.join(rows).encode())
    cohort = load_records(path)
    assert sorted(x for part in cohort.parts().values() for x in part.x[:, 0]) == sorted(FINE)


def test_an_own_file_called_like_a_data_set_is_an_own_file(tmp_path, monkeypatch):
    write(tmp_path, patient=None, text=[f"report {i}" for i in range(N)]).rename(
        tmp_path / "synthetic.csv"
    )
    monkeypatch.chdir(tmp_path)
    cohort = load_reports("synthetic.csv")
    assert cohort.card.name == "synthetic.csv"
    assert sum(map(len, cohort.parts().values())) == N
