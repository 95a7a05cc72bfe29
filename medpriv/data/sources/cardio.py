"""Cardiovascular disease records: 70,000 patients, some with values that cannot be true.

Cleaning is a choice of the caller and is counted either way. The rules keep what a living adult
can have, generously; they remove slips of the keyboard (a systolic pressure of 16,020 mmHg):

=====================  ==========================================
rule                   kept
=====================  ==========================================
systolic pressure      60 to 250 mmHg
diastolic pressure     30 to 200 mmHg
order of pressures     diastolic below systolic
height                 120 to 220 cm
weight                 30 to 250 kg
=====================  ==========================================
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from medpriv.data.archives import refuse
from medpriv.data.cohort import Cohort, DataCard, Part
from medpriv.data.csv_files import read_csv
from medpriv.data.fetch import locate
from medpriv.data.sources import Wanted
from medpriv.data.sources.openml import columns_of, openml_source, values_of
from medpriv.data.splitting import file_card, no_attributes, split_rows
from medpriv.runtime.profile import CARDIO_PATIENTS
from medpriv.runtime.resources import json_resource

SOURCE = openml_source("cardio", 45547)
CLASSES = ("no disease", "disease")
WEIGHTS = (0.4, 0.4, 0.05, 0.15)
DAYS_A_YEAR = 365.25
_TABLES = json_resource(__file__, "cardio.json")
CARD = DataCard.of(_TABLES)
COLUMNS = columns_of(_TABLES["columns"])


def load(wanted: Wanted) -> Cohort:
    """Cardiovascular disease records; class 1 is disease present."""
    path = locate(SOURCE)
    values, labels, identity = read_cardio(path)
    broken = impossible(values)
    keep = ~np.logical_or.reduce(list(broken.values()))
    counts = ", ".join(f"{rule} {found.sum():,}" for rule, found in broken.items())
    total = f"{(~keep).sum():,} of {len(keep):,} records have impossible values ({counts})"
    if not wanted.clean:
        keep[:] = True
    done = "they were removed" if wanted.clean else "nothing was removed"
    card = file_card(CARD, path, f"{total}; {done}")
    rows = Part(
        x=torch.from_numpy(values[keep].astype(np.float32)),
        y=torch.from_numpy(labels[keep]),
        patient=identity[keep],
        attributes=no_attributes(int(keep.sum())),
    )
    sizes = CARDIO_PATIENTS.of(wanted.profile)
    limit = sum(sizes) if sizes else None
    weights = sizes or WEIGHTS
    return split_rows("records", card, CLASSES, rows, weights, wanted, limit=limit, columns=COLUMNS)


def read_cardio(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.str_]]:
    """Values ``(n, columns)`` with categories as positions, labels ``(n,)`` and identities.

    Raises:
        DataError: a column is missing or holds what it should not.
    """
    _, *others = _TABLES["columns"].items()
    frame = read_csv(path, (*dict(others), "cardio"))
    age = next((name for name in ("age_years", "age_days", "age") if name in frame), None)
    if age is None:
        raise refuse(path, "it lacks an age", "expected a column age_years, age_days or age")
    values = values_of(frame, {age: "years", **dict(others)}, path)
    # OpenML and Kaggle call days "age": nobody is 150 years old, nor 150 days.
    values[:, 0] /= DAYS_A_YEAR if np.median(values[:, 0]) > 150 else 1
    labels = values_of(frame, {"cardio": {"no": ("0",), "yes": ("1",)}}, path)[:, 0]
    number = frame["id"] if "id" in frame else pd.Series(np.arange(len(frame)).astype(str))
    if number.duplicated().any():
        twice = number[number.duplicated()].iloc[0]
        raise refuse(path, f"the id {twice} occurs twice", "one record is one patient here")
    return values, labels.astype(np.int64), ("cardio-" + number).to_numpy(dtype=str)


def impossible(values: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Which records break each rule of the module's table; a record may break several."""
    of = {column.name: values[:, position] for position, column in enumerate(COLUMNS)}

    def outside(name: str, low: int, high: int) -> NDArray[np.bool_]:
        return (of[name] < low) | (of[name] > high)

    return {
        "systolic pressure": outside("ap_hi", 60, 250),
        "diastolic pressure": outside("ap_lo", 30, 200),
        "diastolic not below systolic": of["ap_lo"] >= of["ap_hi"],
        "height": outside("height", 120, 220),
        "weight": outside("weight", 30, 250),
    }
