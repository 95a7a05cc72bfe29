"""From what was read of a reader's own data to a cohort of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cohort import Cohort, Column, DataCard, Modality, Part
from medpriv.data.csv_files import class_labels
from medpriv.data.sources import Wanted
from medpriv.data.splitting import (
    file_card,
    first_occurrences,
    no_attributes,
    refuse_contradictions,
    refuse_two_patients,
    split_rows,
)

WEIGHTS = (0.4, 0.4, 0.1, 0.1)
LABELS = "labels.csv"
YOURS = "yours to establish; the course cannot know it"


@dataclass(frozen=True)
class OwnRows:
    """What was read: ``keys`` say which rows have the same content."""

    path: Path
    x: Tensor | tuple[str, ...]
    labels: NDArray
    patient: NDArray | None
    keys: Sequence[Hashable]
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    digest: str | None = None
    attributes: pd.DataFrame | None = None


def labels_and_patients(frame: pd.DataFrame) -> tuple[NDArray, NDArray | None]:
    """The columns ``label`` and, if there is one, ``patient`` of a table."""
    patient = frame["patient"].to_numpy() if "patient" in frame else None
    return frame["label"].to_numpy(), patient


def own_card(path: Path, patient_identity: bool) -> DataCard:
    """The card of a reader's own file, of which the course knows nothing more."""
    return DataCard(
        # With its ending, so that no file is taken for a data set of the course.
        name=f"{path.parent.name}/{LABELS}" if path.name.lower() == LABELS else path.name,
        title="The reader's own data",
        origin="the reader's own file",
        licence=YOURS,
        consent=YOURS,
        deidentification=YOURS,
        synthetic=False,
        patient_identity=patient_identity,
        citation="none",
    )


def own_cohort(modality: Modality, read: OwnRows, wanted: Wanted) -> Cohort:
    """The rows, checked, without repetitions, and split by patient.

    Raises:
        DataError: labels or patients are missing, or contradict each other.
    """
    y, classes = class_labels(read.labels, read.path)
    if len(read.x) != len(y):
        raise refuse(
            read.path, f"there are {len(read.x)} rows but {len(y)} labels", "expected one a row"
        )
    known = read.patient is not None
    who = _identities(read.patient, len(y), read.path) if known else np.arange(len(y)).astype(str)
    keys, notes = read.keys, read.notes
    if known and modality == "images":
        refuse_two_patients(read.path, keys, who)
    if known:
        refuse_contradictions(read.path, zip(who, keys, strict=True), y)
    elif modality == "records":
        keys = list(zip(keys, y.tolist(), strict=True))  # two people can measure alike
    else:
        refuse_contradictions(read.path, keys, y)
    known_of_them = no_attributes(len(y)) if read.attributes is None else read.attributes
    rows = Part(read.x, torch.from_numpy(y), who, known_of_them)
    if not known:
        notes = (*notes, "the patients are not named: each row counts as one")
    if not known or modality == "reports":
        unique = first_occurrences(keys)
        what = "removed" if wanted.deduplicate else "kept"
        notes = (*notes, f"{len(rows) - len(unique)} rows that repeat another exactly were {what}")
        rows = rows.take(unique) if wanted.deduplicate else rows
    card = own_card(read.path, known)
    card = file_card(card, read.path, *notes, digest=read.digest)
    return split_rows(
        modality, card, classes, rows, WEIGHTS, wanted, columns=read.columns, in_file_order=True
    )


def _identities(patient: NDArray, rows: int, path: Path) -> NDArray[np.str_]:
    if patient.shape != (rows,):
        raise refuse(path, f"patient has shape {patient.shape}", f"expected ({rows},)")
    names = pd.Series(patient.astype(str)).str.strip()
    missing = np.flatnonzero(names.str.lower().isin(["", "nan", "none"]))
    if len(missing):
        raise refuse(
            path,
            f"{len(missing)} patients are not named, the first in row {missing[0] + 1}",
            "name them all, or leave patient out",
        )
    return names.to_numpy(dtype=str)
