"""From rows to a cohort: how many patients, who goes where, and no twin in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from medpriv.data.archives import refuse
from medpriv.data.cohort import (
    PARTS,
    Cohort,
    Column,
    DataCard,
    DataError,
    Modality,
    Part,
    split_by_patient,
)
from medpriv.data.fetch import sha256
from medpriv.data.sources import Wanted
from medpriv.runtime.seeds import rng

MIN_PATIENTS = len(PARTS)


def split_rows(
    modality: Modality,
    card: DataCard,
    classes: tuple[str, ...],
    rows: Part,
    weights: tuple[float, float, float, float],
    wanted: Wanted,
    *,
    limit: int | None = None,
    stratify: bool = True,
    columns: tuple[Column, ...] = (),
    in_file_order: bool = False,
) -> Cohort:
    """Split ``rows`` by patient into a checked cohort.

    Args:
        modality: what the rows are.
        card: the data card so far.
        classes: the labels' names.
        rows: everything there is to split.
        weights: relative sizes of members, auxiliary, victims and test, in patients.
        wanted: its ``seed`` decides who goes where; of its ``patients`` exactly so many are taken.
        limit: where it says none, take at most so many (drawn with the seed); ``None`` takes all.
        stratify: divide the patients of each class in the same shares.
        columns: what the columns of records mean.
        in_file_order: the rows are as somebody sorted them, perhaps by their label. The patients of
            each part then come in random order, so that the first few stand for all.

    Raises:
        DataError: there are fewer patients than parts, or only one class.
        ValueError: more ``patients`` were asked for than there are.
    """
    if len(np.unique(rows.y)) < 2:
        raise DataError(
            f"{card.name}: all {len(rows)} rows have one label; a model needs at least two classes"
        )
    available = rows.patients
    if available < MIN_PATIENTS:
        raise DataError(
            f"{card.name}: {available} patient(s) cannot be divided into {', '.join(PARTS)}; "
            f"at least {MIN_PATIENTS} are needed"
        )
    if wanted.patients is not None and wanted.patients > available:
        raise ValueError(f"patients={wanted.patients}, but {card.name} has {available}")
    taken = wanted.patients or min(available, limit or available)
    shares = {
        name: weight / sum(weights) * taken / available
        for name, weight in zip(PARTS, weights, strict=True)
    }
    labels = rows.y.numpy() if stratify else None
    where = split_by_patient(rows.patient, shares, seed=wanted.seed, stratify=labels)
    if in_file_order:
        where = {name: _mixed(rows.patient, index, wanted.seed) for name, index in where.items()}
    parts = {name: rows.take(index) for name, index in where.items()}
    return Cohort(modality, card, classes, **parts, columns=columns).check()


def _mixed(patient: np.ndarray, index: np.ndarray, seed: int) -> np.ndarray:
    """Rows with their patients in random order, whatever the order in which they come.

    A patient's rows stay together. Drawn by name: another order of the file gives the same one.
    """
    names, who = np.unique(patient[index], return_inverse=True)
    place = rng(seed, "order of patients").permutation(len(names))
    return index[np.argsort(place[who], kind="stable")]


def file_card(card: DataCard, path: Path, *notes: str, digest: str | None = None) -> DataCard:
    """The card of data read from ``path``: its sha256 (or ``digest``), its name, and notes."""
    digest = digest or sha256(path)
    notes = (*card.notes, f"read from {path.name}", *notes)
    return replace(card, sha256=digest, notes=notes)


def first_occurrences(keys: Iterable[Hashable]) -> np.ndarray:
    """The positions at which each key occurs for the first time, ascending."""
    return np.flatnonzero(~pd.Series(list(keys), dtype=object).duplicated())


def row_keys(rows: np.ndarray) -> list[bytes]:
    """A digest of each row's content: equal rows have equal keys."""
    return [hashlib.sha256(np.ascontiguousarray(row)).digest() for row in rows]


def refuse_contradictions(path: Path, keys: Iterable[Hashable], labels: np.ndarray) -> None:
    """Refuse data that gives two labels to the same key.

    Raises:
        DataError: it names the first two such rows.
    """
    first: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        before = first.setdefault(key, row)
        if labels[before] != labels[row]:
            raise refuse(
                path,
                f"rows {before + 1} and {row + 1} hold the same data with different labels",
                "decide which label is right and remove the other row",
            )


def no_attributes(rows: int) -> pd.DataFrame:
    """A frame of facts about ``rows`` patients of whom none is known."""
    return pd.DataFrame(index=pd.RangeIndex(rows))
