"""A cohort: one data set, split by patient into the four parts that every experiment needs.

============  =====================================================
part          who is in it
============  =====================================================
members       the patients whose data trained the target model
auxiliary     the patients whose data the attacker owns
victims       the patients who are attacked
test          the patients on whom the model's utility is measured
============  =====================================================

One patient is in one part only. :meth:`Cohort.check` proves it for each cohort that is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medpriv.runtime.hashing import content_hash
from medpriv.runtime.seeds import rng

PARTS = ("members", "auxiliary", "victims", "test")
Modality = Literal["images", "records", "reports"]


class DataError(ValueError):
    """A data set is malformed: the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class DataCard:
    """Where a data set comes from and what may be done with it.

    ``sha256`` is the checksum of the file that was read, or ``None`` for generated data and for a
    card without its data (see :func:`.card`).
    ``patient_identity`` is ``False`` where the source does not say which rows belong to one
    patient: then disjointness by patient cannot be claimed, and the card says so.
    ``notes`` lists what was done to the data on reading, with counts.
    """

    name: str
    title: str
    origin: str
    licence: str
    consent: str
    deidentification: str
    synthetic: bool
    patient_identity: bool
    citation: str
    sha256: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> DataCard:
        """The card in a data set's JSON file."""
        card = resource["card"]
        return cls(**card | {"notes": tuple(card.get("notes", ()))})

    def table(self) -> pd.DataFrame:
        """The card as a two-column table, for a page."""
        identity = (
            "known; parts share no patient"
            if self.patient_identity
            else "not known; disjointness by patient cannot be claimed"
        )
        rows = {
            "Title": self.title,
            "Origin": self.origin,
            "Licence": self.licence,
            "Consent": self.consent,
            "De-identification": self.deidentification,
            "Synthetic": "yes" if self.synthetic else "no",
            "Patient identity": identity,
            "sha256": self.sha256 or ("generated, no file" if self.synthetic else "no file read"),
            "Citation": self.citation,
        }
        rows |= {f"Note {number}": note for number, note in enumerate(self.notes, start=1)}
        return pd.DataFrame({"": rows.values()}, index=pd.Index(rows.keys(), name=self.name))


@dataclass(frozen=True)
class Column:
    """One attribute of a record.

    A categorical one is stored as the position in ``values``; a numeric one has no ``values``.
    """

    name: str
    values: tuple[str, ...] = ()
    unit: str = ""

    @property
    def categorical(self) -> bool:
        """Whether the values are codes of named categories."""
        return bool(self.values)


@dataclass(frozen=True)
class Part:
    """The rows of one part of a cohort.

    Attributes:
        x: images ``(n, c, h, w)`` float32 in [0, 1]; records ``(n, columns)`` float32 with
            categorical values as codes; reports a tuple of n strings.
        y: ``(n,)`` int64 class labels.
        patient: ``(n,)`` str, the patient of each row.
        attributes: n rows of facts about the patient that the model does not see.
        mask: images only, ``(n, 1, h, w)`` bool, where the anatomy is; ``None`` if not known.
    """

    x: Tensor | tuple[str, ...]
    y: Tensor
    patient: np.ndarray
    attributes: pd.DataFrame
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def patients(self) -> int:
        """How many different patients."""
        return len(np.unique(self.patient))

    def take(self, rows: np.ndarray | Sequence[int] | slice) -> Part:
        """The part made of these rows (positions, a boolean mask or a slice), in this order."""
        index = np.arange(len(self))[rows]
        where = torch.from_numpy(index)
        x = self.x[where] if isinstance(self.x, Tensor) else tuple(self.x[i] for i in index)
        return Part(
            x=x,
            y=self.y[where],
            patient=self.patient[index],
            attributes=self.attributes.iloc[index].reset_index(drop=True),
            mask=None if self.mask is None else self.mask[where],
        )

    def first_patients(self, number: int) -> Part:
        """All rows of the first ``number`` patients, in order of appearance."""
        keep = pd.unique(self.patient)[:number]
        return self.take(np.isin(self.patient, keep))


@dataclass(frozen=True)
class Cohort:
    """A data set split by patient into the four ``PARTS``.

    ``columns`` describes the records' columns and is empty for images and reports.
    """

    modality: Modality
    card: DataCard
    classes: tuple[str, ...]
    members: Part
    auxiliary: Part
    victims: Part
    test: Part
    columns: tuple[Column, ...] = field(default=())

    def parts(self) -> dict[str, Part]:
        """The four parts by name."""
        return {name: getattr(self, name) for name in PARTS}

    def sizes(self) -> pd.DataFrame:
        """Rows, patients and class shares of each part, as a table."""
        rows = [
            {
                "part": name,
                "rows": len(part),
                "patients": part.patients,
                **{
                    label: f"{(part.y == number).float().mean():.0%}"
                    for number, label in enumerate(self.classes)
                },
            }
            for name, part in self.parts().items()
        ]
        return pd.DataFrame(rows).set_index("part")

    def frame(self, part: str) -> pd.DataFrame:
        """A part's records as a readable table, categories by name."""
        codes = getattr(self, part).x.numpy()
        return pd.DataFrame(
            {
                column.name: (
                    np.asarray(column.values, dtype=object)[codes[:, j].astype(int)]
                    if column.categorical
                    else codes[:, j]
                )
                for j, column in enumerate(self.columns)
            }
        )

    def content_hash(self) -> str:
        """A sha256 of everything that a model or an attack can see of this cohort."""
        parts = [
            (part.x, part.y, list(part.patient), part.attributes.astype(str).to_csv(), part.mask)
            for part in self.parts().values()
        ]
        return content_hash(self.modality, self.card.name, self.classes, self.columns, parts)

    def check(self) -> Cohort:
        """Return the cohort if it keeps its promises.

        Raises:
            DataError: a part is empty, its columns differ in length, a value is not finite, or
                one patient is in two parts.
        """
        for name, part in self.parts().items():
            _check_part(self.card.name, name, part, len(self.classes))
        seen: dict[str, str] = {}
        for name, part in self.parts().items():
            for patient in np.unique(part.patient):
                if seen.setdefault(patient, name) != name:
                    raise DataError(
                        f"{self.card.name}: patient {patient} is in {seen[patient]} and in {name}; "
                        "a patient belongs to one part only"
                    )
        return self


def _check_part(dataset: str, name: str, part: Part, classes: int) -> None:
    if not len(part):
        raise DataError(f"{dataset}: the part {name!r} is empty; more patients are needed")
    lengths = {len(part.x), len(part.y), len(part.patient), len(part.attributes)}
    if len(lengths) > 1:
        raise DataError(f"{dataset}: the part {name!r} has columns of lengths {sorted(lengths)}")
    if isinstance(part.x, Tensor) and not bool(part.x.sum(dtype=torch.float64).isfinite()):
        raise DataError(f"{dataset}: the part {name!r} holds values that are not finite")
    if int(part.y.min()) < 0 or int(part.y.max()) >= classes:
        raise DataError(f"{dataset}: the part {name!r} has labels outside 0..{classes - 1}")


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
