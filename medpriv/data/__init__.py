"""The data room: three calls that give a :class:`Cohort`, split by patient."""

from medpriv.data.cohort import (
    PARTS,
    Cohort,
    Column,
    DataCard,
    DataError,
    Part,
    split_by_patient,
)
from medpriv.data.loaders import load_images, load_records, load_reports
from medpriv.data.names import known_datasets

__all__ = [
    "PARTS",
    "Cohort",
    "Column",
    "DataCard",
    "DataError",
    "Part",
    "known_datasets",
    "load_images",
    "load_records",
    "load_reports",
    "split_by_patient",
]
