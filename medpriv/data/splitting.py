"""From rows to a cohort: how many patients, who goes where, and no twin in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from medpriv.data.archives import refuse
from medpriv.data.cohort import PARTS, Cohort, Column, DataCard, DataError, Modality, Part
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
    parts = {}
    split = split_by_patient(rows.patient, shares, seed=wanted.seed, stratify=labels)
    for name, index in split.items():
        order = in_random_order(rows.patient, index, wanted.seed) if in_file_order else index
        parts[name] = rows.take(order)
    return Cohort(modality, card, classes, **parts, columns=columns).check()


def split_by_patient(
    patient: np.ndarray,
    shares: Mapping[str, float],
    *,
    seed: int,
    stratify: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Divide rows into parts so that all rows of a patient fall into one.

    Args:
        patient: ``(n,)`` the patient of each row.
        shares: the share of patients in each part, by name; they add up to at most 1, and
            patients beyond the sum are in no part.
        seed: decides who goes where.
        stratify: ``(n,)`` labels; each label's patients are divided in the same shares (a
            patient counts under the largest label of their rows).

    Returns:
        The row positions of each part, ascending.

    Raises:
        ValueError: the shares are negative or add up to more than 1.
        DataError: there are fewer patients than parts.
    """
    values = np.array(list(shares.values()), dtype=float)
    if (values < 0).any() or values.sum() > 1 + 1e-9:
        raise ValueError(f"shares must be non-negative and add up to at most 1, got {dict(shares)}")
    names, inverse = np.unique(patient, return_inverse=True)
    if len(names) < len(shares):
        raise DataError(
            f"{len(names)} patient(s) cannot be divided into {len(shares)} parts; "
            f"at least {len(shares)} are needed"
        )
    strata = np.zeros(len(names), dtype=np.int64)
    if stratify is not None:
        np.maximum.at(strata, inverse, np.asarray(stratify, dtype=np.int64))
    # Position within one's stratum, scaled to 0..1: equal shares of each stratum in each part.
    order = rng(seed, "split").permutation(len(names))
    place = np.empty(len(names))
    for stratum in np.unique(strata):
        chosen = order[strata[order] == stratum]
        place[chosen] = (np.arange(len(chosen)) + 0.5) / len(chosen)
    ranked = np.argsort(place, kind="stable")
    edges = np.round(np.cumsum(np.concatenate([[0.0], values])) * len(names)).astype(int)
    if (np.diff(edges) < 1).any():
        edges = _at_least_one_each(values, len(names))
    part_of = np.full(len(names), -1)
    for number, (start, stop) in enumerate(pairwise(edges)):
        part_of[ranked[start:stop]] = number
    rows = part_of[inverse]
    return {name: np.flatnonzero(rows == number) for number, name in enumerate(shares)}


def _at_least_one_each(shares: np.ndarray, patients: int) -> np.ndarray:
    """The parts' edges where plain rounding would leave one empty: one each, the rest by share."""
    parts = len(shares)
    spare = max(round(shares.sum() * patients), parts) - parts
    edges = np.round(np.cumsum([0.0, *shares]) / max(shares.sum(), 1e-12) * spare)
    return edges.astype(int) + np.arange(parts + 1)


def in_random_order(patient: np.ndarray, index: np.ndarray, seed: int) -> np.ndarray:
    """Rows with their patients in random order, whatever the order in which they come.

    A patient's rows stay together. Drawn by name: another order of the file gives the same one.
    """
    names, who = np.unique(patient[index], return_inverse=True)
    place = rng(seed, "order of patients").permutation(len(names))
    return index[np.argsort(place[who], kind="stable")]


def file_card(card: DataCard, path: Path, *notes: str, digest: str | None = None) -> DataCard:
    """The card of data read from ``path``: its sha256 (or ``digest``), its name, and notes."""
    notes = (*card.notes, f"read from {path.name}", *notes)
    return replace(card, sha256=digest or sha256(path), notes=notes)


def first_occurrences(keys: Iterable[Hashable]) -> np.ndarray:
    """The positions at which each key occurs for the first time, ascending."""
    return np.flatnonzero(~pd.Series(list(keys), dtype=object).duplicated())


def row_keys(rows: np.ndarray) -> list[bytes]:
    """A digest of each row's content: equal rows have equal keys."""
    return [hashlib.sha256(np.ascontiguousarray(row)).digest() for row in rows]


def refuse_contradictions(
    path: Path, keys: Iterable[Hashable], labels: np.ndarray, *, patients: bool = False
) -> None:
    """Refuse data that gives two labels to the same key, or with ``patients`` two patients.

    Raises:
        DataError: it names the first two such rows.
    """
    wrong, advice = "data with different labels", "decide which is right and remove the other row"
    if patients:
        wrong, advice = "picture under two patients", "correct one of the patients, or remove a row"
    first: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        before = first.setdefault(key, row)
        if labels[before] != labels[row]:
            raise refuse(path, f"rows {before + 1} and {row + 1} hold the same {wrong}", advice)
