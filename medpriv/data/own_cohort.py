"""From what was read of a reader's own data to a cohort of it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cohort import Cohort, Column, DataCard, Modality, Part
from medpriv.data.csv_files import class_labels
from medpriv.data.own_cells import nameless_rows, refuse_two_spellings
from medpriv.data.own_missing import likely_codes
from medpriv.data.own_split import member_rows, rows_of_parts
from medpriv.data.sources import Wanted
from medpriv.data.splitting import (
    file_card,
    first_occurrences,
    no_attributes,
    refuse_contradictions,
    split_rows,
)

WEIGHTS = (0.4, 0.4, 0.1, 0.1)
LABELS = "labels.csv"
YOURS = "yours to establish; the course cannot know it"


@dataclass(frozen=True)
class OwnRows:
    """What was read: ``keys`` say which rows have the same content, ``part`` where they belong."""

    path: Path
    x: Tensor | tuple[str, ...]
    labels: NDArray
    patient: NDArray | None
    keys: Sequence[Hashable]
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    digest: str | None = None
    attributes: pd.DataFrame | None = None
    part: NDArray | None = None


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
    """The rows, checked, without repetitions, and split by patient or as the reader says.

    Raises:
        DataError: labels or patients are missing, contradict each other, or are written in two
            ways; or the reader's own split puts a patient into two parts.
    """
    y, classes = _classes(read.labels, read.path)
    if len(read.x) != len(y):
        raise refuse(
            read.path, f"there are {len(read.x)} rows but {len(y)} labels", "expected one a row"
        )
    known = read.patient is not None
    who = _identities(read.patient, len(y), read.path) if known else np.arange(len(y)).astype(str)
    keys, notes = read.keys, read.notes
    if known and modality == "images":
        refuse_contradictions(read.path, keys, who, patients=True)
    if known:
        refuse_contradictions(read.path, zip(who, keys, strict=True), y)
    elif modality == "records":
        keys = list(zip(keys, y.tolist(), strict=True))  # two people can measure alike
    else:
        refuse_contradictions(read.path, keys, y)
    known_of_them = no_attributes(len(y)) if read.attributes is None else read.attributes
    rows, part = Part(read.x, torch.from_numpy(y), who, known_of_them), read.part
    if not known:
        notes = (*notes, "the patients are not named: each row counts as one")
    if not known or modality == "reports":
        unique = _once(keys, part)
        what = "removed" if wanted.deduplicate else "kept"
        notes = (*notes, f"{len(rows) - len(unique)} rows that repeat another exactly were {what}")
        if wanted.deduplicate:
            rows, part = rows.take(unique), None if part is None else part[unique]
    card = file_card(own_card(read.path, known), read.path, *notes, digest=read.digest)
    return replace(
        _split(modality, card, classes, rows, part, read, wanted), sensitive=wanted.roles.sensitive
    )


def _split(
    modality: Modality,
    card: DataCard,
    classes: tuple[str, ...],
    rows: Part,
    part: NDArray | None,
    read: OwnRows,
    wanted: Wanted,
) -> Cohort:
    if part is None:
        return split_rows(
            modality, card, classes, rows, WEIGHTS, wanted, columns=read.columns, in_file_order=True
        )
    if wanted.patients is not None:
        raise ValueError("patients= takes some of a file; this one says itself who is in each part")
    note = "split into parts as the reader says; others are divided 4:1:1 by patient"
    card = replace(card, notes=(*card.notes, note))
    where = rows_of_parts(part, rows.patient, rows.y.numpy(), read.path, wanted.seed)
    parts = {name: rows.take(index) for name, index in where.items()}
    return Cohort(modality, card, classes, **parts, columns=read.columns).check()


def _once(keys: Sequence[Hashable], part: NDArray | None) -> NDArray:
    """The rows without repetitions; of rows alike in two parts the member's stays."""
    if part is None:
        return first_occurrences(keys)
    order = np.argsort(~member_rows(part), kind="stable")
    return np.sort(order[first_occurrences([keys[row] for row in order])])


def _classes(labels: NDArray, path: Path) -> tuple[NDArray, tuple[str, ...]]:
    y, classes = class_labels(labels, path)
    if all(re.fullmatch(r"-?\d+", name) for name in classes):
        codes = np.flatnonzero(likely_codes(np.array(classes, dtype=np.float64))[y])
        if len(codes):
            raise refuse(
                path,
                f"{len(codes)} label(s) look like a code for 'not known', the first in row "
                f"{codes[0] + 1}",
                "remove these rows, or name the classes by words",
            )
    return y, classes


def _identities(patient: NDArray, rows: int, path: Path) -> NDArray[np.str_]:
    patient = np.asarray(patient)
    if patient.shape != (rows,):
        raise refuse(path, f"patient has shape {patient.shape}", f"expected ({rows},)")
    names = np.array([name.strip() for name in patient.astype(str).tolist()], dtype=object)
    missing = nameless_rows(names)
    if len(missing):
        raise refuse(
            path,
            f"{len(missing)} patients are not named, the first in row {missing[0] + 1}",
            "name them all, or leave patient out",
        )
    refuse_two_spellings(names, "a patient", path)
    return names.astype(str)
