"""The data sets that the three calls know by name: a row here, and a module each.

A data set's module holds its ``CARD``, its ``SOURCE`` (the file's names, and where it can come
from; generated data have none), and ``load``, which makes a :class:`Cohort` of what is wanted. A
module of many data sets gives a ``card(name)`` and a ``source(name)`` instead. It is imported when
one of its data sets is asked for, so that whoever reads one needs the reader of no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from medpriv.data.cohort import Modality
from medpriv.runtime.arguments import choose
from medpriv.runtime.resources import json_resource

# Kept in a file because importing medmnist to list them makes a folder in the reader's home.
MEDMNIST, VOLUMES = map(tuple, json_resource(__file__, "medmnist.json").values())

#: The module of each data set, embedded first. The reader's own file is named by its path instead.
DATASETS: dict[Modality, dict[str, str]] = {
    "images": {
        "phantom": "medpriv.data.sources.phantoms",
        "mias": "medpriv.data.sources.mias",
        **dict.fromkeys(MEDMNIST, "medpriv.data.sources.medmnist_flags"),
    },
    "records": {
        "warfarin": "medpriv.data.sources.warfarin",
        "heart": "medpriv.data.sources.heart",
        "cardio": "medpriv.data.sources.cardio",
    },
    "reports": {
        "synthetic": "medpriv.data.sources.synthetic_reports",
        "openi": "medpriv.data.sources.openi",
    },
}


@dataclass(frozen=True)
class Roles:
    """What the reader says of the columns of a table of their own.

    Attributes:
        label: the column of the classes.
        patient: the column that names the patients, if there is one.
        part: the column that says in which part a patient is, if there is one.
        sensitive: columns that an attack on an attribute guesses, the first where none is named.
        drop: columns that are left out.
        missing: ``"refuse"``, ``"category"`` or ``"median"``.
        missing_codes: numbers that mean "not known"; ``None`` asks where some look like it.
    """

    label: str = "label"
    patient: str | None = "patient"
    part: str | None = "part"
    sensitive: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    missing: str = "refuse"
    missing_codes: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Take single names and other sequences, too.

        Raises:
            ValueError: ``missing`` is none of its values.
        """
        choose(self.missing, ("refuse", "category", "median"), "missing")
        sensitive, drop = (
            (names,) if isinstance(names, str) else tuple(names)
            for names in (self.sensitive, self.drop)
        )
        codes = self.missing_codes
        codes = None if codes is None else tuple(map(float, codes))
        vars(self).update(sensitive=sensitive, drop=drop, missing_codes=codes)


@dataclass(frozen=True)
class Wanted:
    """What a caller wants of a data set; each takes what applies to it.

    Attributes:
        dataset: its name, for a module of many.
        profile: decides how many patients, where ``patients`` does not.
        seed: decides who is in which part, and what is generated.
        patients: how many in all, or ``None``.
        size: of images, side length in pixels.
        burned_in, clean, deduplicate: as for the three calls of :mod:`medpriv.data`.
        roles: of the columns of the reader's own table.
    """

    dataset: str
    profile: str
    seed: int
    patients: int | None
    size: int = 64
    burned_in: bool = False
    clean: bool = True
    deduplicate: bool = True
    roles: Roles = Roles()


def source_module(name: str, modality: Modality | None = None) -> str:
    """The full name of the module that holds everything about a data set.

    Args:
        name: of the data set.
        modality: of which kind it has to be; ``None`` takes any.

    Raises:
        ValueError: the name is unknown, or one of MedMNIST's volumes.
    """
    if name in VOLUMES and modality in (None, "images"):
        raise ValueError(
            f"{name} holds volumes, and this course works on flat images; "
            f"expected one of: {', '.join(MEDMNIST)}"
        )
    if modality is None:
        rows = {name: module for rows in DATASETS.values() for name, module in rows.items()}
        return rows[choose(name, rows, "data set")]
    return DATASETS[modality][choose(name, DATASETS[modality], f"{modality[:-1]} data set")]


def import_source(name: str, modality: Modality | None = None) -> ModuleType:
    """The module itself; see :func:`source_module`."""
    return import_module(source_module(name, modality))
