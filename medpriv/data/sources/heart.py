"""The Cleveland heart disease records: 303 patients, in UCI's or OpenML's spelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cohort import Cohort, Column, DataCard, Part
from medpriv.data.csv_files import codes, numbers, read_csv
from medpriv.data.sources import Wanted
from medpriv.data.sources.openml import OpenmlTable, locate_table
from medpriv.data.splitting import file_card, no_attributes, split_rows
from medpriv.runtime.resources import json_resource

SOURCE = OpenmlTable("heart", 49)  # "heart-c", version 1
CLASSES = ("no disease", "disease")
WEIGHTS = (0.35, 0.35, 0.1, 0.2)
UNKNOWN = "not recorded"
_SPELLED = json_resource(__file__, "heart.json")["columns"]
COLUMNS = tuple(
    Column(name, unit=how) if isinstance(how, str) else Column(name, tuple(how))
    for name, how in _SPELLED.items()
    if name != "num"
)
CARD = DataCard(
    name="heart",
    title="Heart disease: the Cleveland Clinic's 303 patients",
    origin=f"UCI Heart Disease, through OpenML data set {SOURCE.data_id} (heart-c)",
    licence="UCI: CC BY 4.0; OpenML: public",
    consent="not stated by the source",
    deidentification="names and social security numbers were replaced by the publisher",
    synthetic=False,
    patient_identity=True,
    citation="Detrano et al. 1989, American Journal of Cardiology 64:304",
    notes=("one record is one patient",),
)


def load(wanted: Wanted) -> Cohort:
    """The Cleveland records in all profiles; class 1 is a vessel narrowed by over 50 %."""
    path = locate_table(SOURCE)
    values, labels = read_heart(path)
    unknown = {
        column.name: int((values[:, position] == len(column.values) - 1).sum())
        for position, column in enumerate(COLUMNS)
        if UNKNOWN in column.values
    }
    counts = ", ".join(f"{name} {count}" for name, count in unknown.items())
    card = file_card(CARD, path, f"missing values are a category of their own ({counts})")
    rows = Part(
        x=torch.from_numpy(values.astype(np.float32)),
        y=torch.from_numpy(labels),
        patient=np.array([f"heart-{row:04d}" for row in range(len(labels))]),
        attributes=no_attributes(len(labels)),
    )
    return split_rows("records", card, CLASSES, rows, WEIGHTS, wanted, columns=COLUMNS)


def read_heart(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values ``(n, columns)`` with categories as positions, and labels ``(n,)``.

    Raises:
        DataError: a column is missing or holds what it should not.
    """
    frame = read_csv(path)
    if "target" in frame and "num" not in frame:
        raise refuse(
            path,
            "its label is called target: in the widely copied edition of that name the codes "
            "are renumbered and 1 means healthy",
            "use UCI's file with the column num, or OpenML's (leave the file out)",
        )
    frame = read_csv(path, (*(column.name for column in COLUMNS), "num"))
    stacked = [
        _positions(frame, column.name, path) if column.categorical
        else numbers(frame, column.name, path)
        for column in COLUMNS
    ]  # fmt: skip
    return np.stack(stacked, axis=1).astype(np.float64), _positions(frame, "num", path)


def _positions(frame: pd.DataFrame, name: str, path: Path) -> NDArray[np.int64]:
    spelled = _SPELLED[name].values()
    known = tuple(word for words in spelled for word in words)
    value_of = np.array([value for value, words in enumerate(spelled) for _ in words])
    return value_of[codes(frame, name, known, path)].astype(np.int64)
