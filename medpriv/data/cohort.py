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
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medpriv.runtime.hashing import content_hash

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
        identity = "not known; disjointness by patient cannot be claimed"
        rows = {
            "Title": self.title,
            "Origin": self.origin,
            "Licence": self.licence,
            "Consent": self.consent,
            "De-identification": self.deidentification,
            "Synthetic": "yes" if self.synthetic else "no",
            "Patient identity": "known; parts share no patient"
            if self.patient_identity
            else identity,
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


def class_numbers(y: object) -> Tensor:
    """Labels as class numbers, ``(n,)`` int64.

    Args:
        y: a tensor, an array or a list of whole numbers of any type, ``(n,)`` or ``(n, 1)``.

    Raises:
        DataError: it is something else, such as one-hot rows or probabilities.
    """
    if isinstance(y, Tensor) and y.ndim == 1 and y.dtype == torch.int64:
        return y
    given = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    if given.dtype.kind not in "biuf":
        raise DataError(
            f"labels are class numbers from 0, got {type(y).__name__} of {given.dtype}; "
            "np.unique(names, return_inverse=True) numbers them"
        )
    found = torch.from_numpy(given.astype(np.float64 if given.dtype.kind == "f" else np.int64))
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or not bool((found == found.long()).all()):
        raise DataError(
            f"labels are one class number a row, (n,) from 0; got shape {tuple(found.shape)} of "
            f"{given.dtype}. Of one-hot rows take y.argmax(1)"
        )
    return found.long()


@dataclass(frozen=True)
class Part:
    """The rows of one part of a cohort.

    Attributes:
        x: images ``(n, c, h, w)`` float32 in [0, 1]; records ``(n, columns)`` float32 with
            categorical values as codes; reports a tuple of n strings.
        y: ``(n,)`` int64 class labels; an array, whole floats and ``(n, 1)`` become that.
        patient: ``(n,)`` str, the patient of each row.
        attributes: n rows of facts about the patient that the model does not see; without them a
            frame of n rows and no column.
        mask: images only, ``(n, 1, h, w)`` bool, where the anatomy is; ``None`` if not known.
    """

    x: Tensor | tuple[str, ...]
    y: Tensor
    patient: np.ndarray
    attributes: pd.DataFrame = field(default=None)
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "y", class_numbers(self.y))
        if self.attributes is None:
            object.__setattr__(self, "attributes", pd.DataFrame(index=pd.RangeIndex(len(self))))

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

    ``columns`` describes the records' columns and is empty for images and reports. ``sensitive``
    names those of a reader's own records that an attack on an attribute guesses, the first where
    none is named.
    """

    modality: Modality
    card: DataCard
    classes: tuple[str, ...]
    members: Part
    auxiliary: Part
    victims: Part
    test: Part
    columns: tuple[Column, ...] = field(default=())
    sensitive: tuple[str, ...] = ()

    def parts(self) -> dict[str, Part]:
        """The four parts by name."""
        return {name: getattr(self, name) for name in PARTS}

    def sizes(self) -> pd.DataFrame:
        """Rows, patients and class shares of each part, as a table."""
        rows = []
        for name, part in self.parts().items():
            shares = [(part.y == number).float().mean() for number in range(len(self.classes))]
            shown = zip(self.classes, (f"{share:.0%}" for share in shares), strict=True)
            rows.append({"part": name, "rows": len(part), "patients": part.patients, **dict(shown)})
        return pd.DataFrame(rows).set_index("part")

    def frame(self, part: str) -> pd.DataFrame:
        """A part's records as a readable table, categories by name."""
        x, named = getattr(self, part).x.numpy(), {}
        for place, column in enumerate(self.columns):
            values, codes = np.asarray(column.values, dtype=object), x[:, place]
            named[column.name] = values[codes.astype(int)] if column.categorical else codes
        return pd.DataFrame(named)

    def content_hash(self) -> str:
        """A sha256 of everything that a model or an attack can see of this cohort."""
        parts = [
            (part.x, part.y, list(part.patient), part.attributes.astype(str).to_csv(), part.mask)
            for part in self.parts().values()
        ]
        # Beside the others only where there are some: what is kept of other cohorts stays valid.
        told = (self.sensitive,) if self.sensitive else ()
        return content_hash(self.modality, self.card.name, self.classes, self.columns, parts, *told)

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
                        f"{self.card.name}: a patient (row "
                        f"{int(np.flatnonzero(part.patient == patient)[0]) + 1} of {name}) is in "
                        f"{seen[patient]} and in {name}; a patient belongs to one part only"
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
