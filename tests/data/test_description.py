"""A table that is described in a file beside it gives what the same words in a call give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medpriv import data
from medpriv.course import catalog
from medpriv.data.cohort import DataError
from medpriv.data.own_files import own_modality

SAID = {
    "label": "outcome",
    "patient": "mrn",
    "drop": ["ward"],
    "sensitive": ["smoker"],
    "missing": "category",
    "missing_codes": [-9],
}


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    rows = 200
    table = pd.DataFrame(
        {
            "mrn": [f"p{number // 2}" for number in range(rows)],
            "age": draw.integers(20, 90, rows),
            "smoker": draw.choice(["yes", "no", ""], rows),
            "weight": np.where(draw.random(rows) < 0.1, -9, draw.integers(50, 110, rows)),
            "ward": draw.choice(["a", "b"], rows),
            "outcome": draw.choice(["ill", "well"], rows),
        }
    )
    table.to_csv(tmp_path / "clinic.csv", index=False)
    return tmp_path


def described(folder: Path, **said: object) -> Path:
    lines = ['file = "clinic.csv"', *(f"{key} = {value!r}" for key, value in said.items())]
    path = folder / "clinic.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_it_gives_what_the_call_gives(clinic: Path) -> None:
    one = data.load_records(described(clinic, **SAID))
    other = data.load_records(clinic / "clinic.csv", **SAID)
    assert one.content_hash() == other.content_hash()
    assert one.card.sha256 == other.card.sha256
    assert one.sensitive == ("smoker",)


def test_a_chapter_takes_it(clinic: Path) -> None:
    path = described(clinic, **SAID)
    assert own_modality(path) == "records"
    chapter = catalog.spec("04-attribute-inference")
    assert catalog.check_value(chapter, "dataset", str(path)) == str(path.resolve())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("label = 'outcome'", "names no table"),
        ("file = 3", "names no table"),
        ("file = 'clinic.csv'\nlabl = 'outcome'", "beside file it can say"),
        ("file = 'clinic.csv'\ndrop = 'ward'", "drop has to be a list of texts"),
        ("file = 'clinic.csv'\nmissing_codes = [true]", "a list of numbers"),
        ("file : clinic.csv", "is no TOML"),
        ("file = 'other.csv'", "other.csv"),
    ],
)
def test_what_it_cannot_say_is_refused(clinic: Path, text: str, expected: str) -> None:
    path = clinic / "clinic.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=expected):
        data.load_records(path)


def test_of_reports_what_does_not_apply_is_refused(clinic: Path) -> None:
    with pytest.raises(DataError, match="label, patient, part, drop"):
        data.load_reports(described(clinic, sensitive=["smoker"]))


def test_said_twice_is_refused(clinic: Path) -> None:
    with pytest.raises(ValueError, match="say it there, or in the call"):
        data.load_records(described(clinic, **SAID), label="outcome")
