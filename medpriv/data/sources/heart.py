"""The Cleveland heart disease records: 303 patients, in UCI's or OpenML's spelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.data.csv_files import read_csv, require_columns
from medpriv.data.fetch import locate
from medpriv.data.sources import Wanted
from medpriv.data.sources.openml import columns_of, openml_source, values_of
from medpriv.data.splitting import file_card, no_attributes, split_rows
from medpriv.runtime.resources import json_resource

SOURCE = openml_source("heart", 49)  # "heart-c", version 1
CLASSES = ("no disease", "disease")
WEIGHTS = (0.35, 0.35, 0.1, 0.2)
UNKNOWN = "not recorded"
_TABLES = json_resource(__file__, "heart.json")
CARD = DataCard.of(_TABLES)
COLUMNS = columns_of(_TABLES["columns"])


def load(wanted: Wanted) -> Cohort:
    """The Cleveland records in all profiles; class 1 is a vessel narrowed by over 50 %."""
    path = locate(SOURCE)
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
    names = [*(column.name for column in COLUMNS), "num"]
    require_columns(frame, names, path, "check the header row")
    labels = values_of(frame, {"num": _TABLES["label"]}, path)[:, 0]
    return values_of(frame, _TABLES["columns"], path), labels.astype(np.int64)
