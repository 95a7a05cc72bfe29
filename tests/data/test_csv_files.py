"""The strict reader of .csv files: what it reads, and what it refuses and how it says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medpriv.data.cells import class_labels
from medpriv.data.cohort import DataError
from medpriv.data.csv_files import read_csv
from medpriv.data.sources.openml import values_of

HTML = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"
HERE = Path("toy.csv")


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x y\n 2 ,é\n",
        "\ufeffa,b\r\n1,x y\r\n2,é\r\n",
        "a;b\n1;x y\n2;é\n",
        'a , b\n"1","x y"\n2,é',
    ],
)
def test_csv_gives_stripped_text(tmp_path, text):
    frame = read_csv(write(tmp_path / "toy.csv", text), ("a", "b"))
    assert frame["a"].tolist() == ["1", "2"]
    assert frame["b"].tolist() == ["x y", "é"]
    assert values_of(frame, {"a": "cm"}, HERE).tolist() == [[1.0], [2.0]]


def test_csv_keeps_words_that_look_missing(tmp_path):
    frame = read_csv(write(tmp_path / "toy.csv", "a,b\nNA,1\nnull,2\n,3\n"))
    assert frame["a"].tolist() == ["NA", "null", ""]


@pytest.mark.parametrize(
    ("text", "encoding", "wrong"),
    [
        ("", "utf-8", "the file is empty"),
        ("a,b\n", "utf-8", r"has 0 row\(s\)"),
        ("a,b\n1,2\n", "utf-8", r"has 1 row\(s\)"),
        ("a,c\n1,2\n3,4\n", "utf-8", r"lacks the column\(s\) b \(it has a, c\)"),
        ("a,b,a\n1,2,3\n4,5,6\n", "utf-8", "columns 1 and 3 of the header share their names"),
        ("Osei,yes\nAbara,no\nKhan,yes\n", "utf-8", r"\(it has 2 columns, .* patient's\)"),
        ("a,b\n1,2\n1,2,3\n", "utf-8", "this is no table"),
        ("a,b\n1,2,3\n4,5,6\n", "utf-8", "this is no table"),
        ('a,b\n1,"2\n3,4\n', "utf-8", "this is no table"),
        ("a,b\n1,é\n2,ü\n", "latin-1", "not encoded in UTF-8.*'CSV UTF-8'"),
        ("a,b\n1,2\n3,4\n", "utf-16", "not encoded in UTF-8.*UTF-16"),
        ("a,b\n1,2\n3,4\n", "utf-16-le", "not encoded in UTF-8.*UTF-16"),
        (HTML.decode(), "utf-8", "web page"),
        ("\n\n\n", "utf-8", "this is no table|lacks the column"),
    ],
)
def test_csv_that_is_refused(tmp_path, text, encoding, wrong):
    with pytest.raises(DataError, match=rf"toy\.csv: .*({wrong})"):
        read_csv(write(tmp_path / "toy.csv", text, encoding), ("a", "b"))


@pytest.mark.parametrize(
    "rows",
    [
        ["Osei,Accra,ill", "Khan,Oslo,well", "Abara,Lagos,ill"],
        ["Osei,34,ill", "Khan,51,well", "Abara,47,well"],
        ["Osei,NA,ill", "Khan,51,well", "Abara,47,well"],
        ["2020-01-05,Osei,0", "2020-01-06,Khan,1", "2020-01-07,Abara,1"],
        ["Osei,yes,unknown", "Khan,no,0", "Abara,yes,1"],
    ],
)
def test_the_first_row_of_a_file_without_a_header_is_not_shown(tmp_path, rows):
    with pytest.raises(DataError, match=r"lacks the column\(s\) label .*check the") as caught:
        read_csv(write(tmp_path / "toy.csv", "\n".join(rows)), ("label",))
    said = str(caught.value).replace(str(tmp_path), "")  # whose counter may be a patient's number
    assert not [cell for cell in rows[0].split(",") if len(cell) > 1 and cell in said]


def test_names_of_columns_are_shown_where_they_are_names(tmp_path):
    path = write(tmp_path / "toy.csv", "Outcome,age\nill,34\nwell,51\n")
    with pytest.raises(DataError, match=r"lacks the column\(s\) label \(it has Outcome, age\)"):
        read_csv(path, ("label",))


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("", "an empty cell"),
        ("many", "a word"),
        ("nan", "no finite number"),
        ("inf", "no finite number"),
        ("1,5", "a number with other signs"),
        ("12 kg", "digits and letters"),
    ],
)
def test_text_in_a_number_column(tmp_path, cell, kind):
    frame = read_csv(write(tmp_path / "toy.csv", f'a,b\n1,2\n3,"{cell}"\n'))
    with pytest.raises(DataError, match=f"column 'b' has {kind} in row 2") as caught:
        values_of(frame, {"b": "cm"}, HERE)
    said = str(caught.value).replace(str(tmp_path), "")
    assert len(cell) < 3 or cell == "nan" or cell not in said  # it is a patient's


def test_codes_are_positions(tmp_path):
    frame = read_csv(write(tmp_path / "toy.csv", "a,b\n3,1\n1.0,1\n2,9\n"))
    written = {"one": ["1"], "two": ["2", "zwei"], "three": ["3"]}
    assert values_of(frame, {"a": written}, HERE)[:, 0].tolist() == [2, 0, 1]
    with pytest.raises(
        DataError, match=r"'b' has another number in row 3.*one of 1, 2, zwei, 3 is expected"
    ):
        values_of(frame, {"b": written}, HERE)


@pytest.mark.parametrize(
    ("labels", "coded", "classes"),
    [
        (["b", "a", "b"], [1, 0, 1], ("a", "b")),
        ([0.0, 1.0, 1.0], [0, 1, 1], ("0", "1")),
        (["10", "9", "10"], [1, 0, 1], ("9", "10")),
        ([[3], [1], [3]], [1, 0, 1], ("1", "3")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
    ],
)
def test_labels_of_any_kind(labels, coded, classes):
    values, names = class_labels(np.array(labels), HERE)
    assert values.tolist() == coded
    assert values.dtype == np.int64
    assert names == classes


@pytest.mark.parametrize(
    ("labels", "wrong"),
    [
        (["a", "", "b"], r"1 label\(s\) are missing, the first in row 2"),
        ([0.0, np.nan, 1.0], "missing"),
        (["a", "NA"], "missing"),
        ([0.5, 1.0], "fractions"),
        ([1, 1, 1], "all labels are the same"),
        (list(range(101)), "101 different labels"),
        (np.zeros((3, 2)), "shape"),
    ],
)
def test_labels_that_are_refused(labels, wrong):
    with pytest.raises(DataError, match=wrong):
        class_labels(np.array(labels), HERE)
