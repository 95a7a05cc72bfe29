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
from medpriv.data.facts import age_and_sex, keywords, names_words, report_facts
from medpriv.data.listing import card, cards
from medpriv.data.loaders import load_images, load_records, load_reports
from medpriv.data.names import known_datasets
from medpriv.data.statements import (
    Slot,
    named_findings,
    report_slots,
    report_statements,
    stated_facts,
)
from medpriv.data.text import (
    drop_duplicate_texts,
    first_words,
    normalise_text,
    unseen_reports,
)

__all__ = [
    "PARTS",
    "Cohort",
    "Column",
    "DataCard",
    "DataError",
    "Part",
    "Slot",
    "age_and_sex",
    "card",
    "cards",
    "drop_duplicate_texts",
    "first_words",
    "keywords",
    "known_datasets",
    "load_images",
    "load_records",
    "load_reports",
    "named_findings",
    "names_words",
    "normalise_text",
    "report_facts",
    "report_slots",
    "report_statements",
    "split_by_patient",
    "stated_facts",
    "unseen_reports",
]
