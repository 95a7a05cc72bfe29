"""From what was read of a reader's own data to a cohort of it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from medpriv.data.archives import refuse
from medpriv.data.cells import Cells, class_labels, forbid_rows, names_of, spelling
from medpriv.data.cohort import PARTS, Cohort, Column, DataCard, Modality, Part
from medpriv.data.own_numbers import likely_codes
from medpriv.data.sources import Wanted
from medpriv.data.splitting import (
    file_card,
    first_occurrences,
    in_random_order,
    no_attributes,
    refuse_contradictions,
    split_by_patient,
    split_rows,
)

LABELS: Final = "labels.csv"
_WEIGHTS: Final = (0.4, 0.4, 0.1, 0.1)
_YOURS: Final = "yours to establish; the course cannot know it"

#: How the reader's own split may name a part.
_PART_OF: Final = {
    word: part
    for part, words in {
        "members": "members member train training",
        "auxiliary": "auxiliary",
        "victims": "victims victim",
        "test": "test testing",
        "others": "others other nonmembers nonmember non-members non-member",
    }.items()
    for word in words.split()
}
_OTHERS: Final = {"auxiliary": 4 / 6, "victims": 1 / 6, "test": 1 / 6}
_SAY_PARTS: Final = (
    f"write {', '.join(PARTS[:-1])} and {PARTS[-1]}, or members and others (or train and test)"
)


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


def own_card(path: Path, patient_identity: bool) -> DataCard:
    """The card of a reader's own file, of which the course knows nothing more."""
    return DataCard(
        # With its ending, so that no file is taken for a data set of the course.
        name=f"{path.parent.name}/{LABELS}" if path.name.lower() == LABELS else path.name,
        title="The reader's own data",
        origin="the reader's own file",
        licence=_YOURS,
        consent=_YOURS,
        deidentification=_YOURS,
        synthetic=False,
        patient_identity=patient_identity,
        citation="none",
    )


def own_cohort(modality: Modality, read: OwnRows, wanted: Wanted) -> Cohort:
    """The rows, checked, without repetitions, and split by patient or as the reader says.

    Patients are called by their place in the file, "patient 12", and not as the reader's data name
    them: what a chapter prints of them names nobody.

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
    attributes = no_attributes(len(y)) if read.attributes is None else read.attributes
    rows, part = Part(read.x, torch.from_numpy(y), who, attributes), read.part
    if not known:
        notes = (*notes, "the patients are not named: each row counts as one")
    if not known or modality == "reports":
        unique = _once(keys, part)
        what = "removed" if wanted.deduplicate else "kept"
        notes = (*notes, f"{len(rows) - len(unique)} rows that repeat another exactly were {what}")
        if wanted.deduplicate:
            rows, part = rows.take(unique), None if part is None else part[unique]
    card = file_card(own_card(read.path, known), read.path, *notes, digest=read.digest)
    if part is None:
        cohort = split_rows(
            modality, card, classes, rows, _WEIGHTS, wanted, columns=read.columns,
            in_file_order=True,
        )  # fmt: skip
    else:
        parts = _own_parts(rows, part, read.path, wanted)
        note = "split into parts as the reader says; others are divided 4:1:1 by patient"
        card = replace(card, notes=(*card.notes, note))
        cohort = Cohort(modality, card, classes, **parts, columns=read.columns).check()
    number = {name: f"patient {place}" for place, name in enumerate(pd.unique(who), start=1)}
    called = {
        name: replace(part, patient=np.array([number[one] for one in part.patient]))
        for name, part in cohort.parts().items()
    }
    return replace(cohort, **called, sensitive=wanted.roles.sensitive)


def _classes(labels: NDArray, path: Path) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    y, classes = class_labels(labels, path)
    if all(re.fullmatch(r"-?\d+", name) for name in classes):
        codes = likely_codes(np.array(classes, dtype=np.float64))[y]
        advice = "remove these rows, or name the classes by words"
        forbid_rows(path, codes, "label(s) look like a code for 'not known'", advice)
    return y, classes


def _identities(patient: NDArray, rows: int, path: Path) -> NDArray[np.str_]:
    patient = np.asarray(patient)
    if patient.shape != (rows,):
        raise refuse(path, f"patient has shape {patient.shape}", f"expected ({rows},)")
    advice = "name them all, or leave patient out"
    cells = names_of(patient, path, "patients are not named", advice)
    cells.forbid_two_spellings("a patient")
    return cells.text.astype(str)


def _once(keys: Sequence[Hashable], part: NDArray | None) -> NDArray:
    """The rows without repetitions; of rows alike in two parts the member's stays."""
    if part is None:
        return first_occurrences(keys)
    order = np.argsort(part != "members", kind="stable")
    return np.sort(order[first_occurrences([keys[row] for row in order])])


def parts_of(cells: Cells) -> NDArray | None:
    """In which part each row is, ``(n,)``: one of ``PARTS``, or ``others`` beside ``members``.

    ``None`` where a column that is called ``part`` never says so: it is a part of something else.

    Raises:
        DataError: only some of its cells do, or one of another name does not; or parts are missing.
    """
    parts = np.array([_PART_OF.get(spelling(word), "") for word in cells.words])
    if cells.name == "part" and not parts.any():
        return None
    cells.forbid(
        (parts == "")[cells.code],
        f"{_SAY_PARTS}; or rename the column, if it means something else",
        expected="a part",
    )
    said = set(parts)
    if said == {"members", "test"}:
        parts, said = np.where(parts == "test", "others", parts), {"members", "others"}
    lacks = {"members", "others"} - said if "others" in said else set(PARTS) - said
    if lacks or len(said) not in (2, len(PARTS)):
        what = f"no row of {', '.join(sorted(lacks))}" if lacks else "others beside other parts"
        raise cells.refuse(f"has {what}", _SAY_PARTS)
    return parts[cells.code]


def _own_parts(rows: Part, part: NDArray, path: Path, wanted: Wanted) -> dict[str, Part]:
    """The reader's own split, the patients of each part in random order.

    ``others`` are divided 4:1:1 by patient, in each class, into auxiliary, victims and test.

    Raises:
        DataError: a patient is in two parts.
        ValueError: a number of patients is wanted.
    """
    if wanted.patients is not None:
        raise ValueError("patients= takes some of a file; this one says itself who is in each part")
    pairs = pd.DataFrame({"patient": rows.patient, "part": part}).drop_duplicates()
    again = pairs[pairs["patient"].duplicated()]
    if len(again):
        second = int(again.index[0])
        before = int((rows.patient == rows.patient[second]).argmax())
        raise refuse(
            path,
            f"rows {before + 1} and {second + 1} are of one patient, in two parts "
            f"({again['patient'].nunique()} such patient(s))",
            "a patient belongs to one part: whoever trained the model is a member with all rows",
        )
    where = {name: np.flatnonzero(part == name) for name in (*PARTS, "others")}
    others = where.pop("others")
    if len(others):
        labels = rows.y.numpy()[others]
        shared = split_by_patient(rows.patient[others], _OTHERS, seed=wanted.seed, stratify=labels)
        where |= {name: others[index] for name, index in shared.items()}
    return {
        name: rows.take(in_random_order(rows.patient, where[name], wanted.seed)) for name in PARTS
    }
